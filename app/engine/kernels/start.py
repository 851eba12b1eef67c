"""Puts a text model onto the kernels while it is loaded, if this GPU and this model allow it: the engine's one door to
them.

Knows: what can go wrong and how to say it, and whether a GPU was checked before. Does not know: the protocol, files of
a model. Whatever goes wrong, the plain path is still there, and what was packed until then is used by it.
"""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from app.engine.config import TextConfig
from app.engine.kernels.check import self_check
from app.engine.kernels.choose import MOST_VALID, LargestLogits, self_check_largest
from app.engine.kernels.decode import Decoder, PackedLayer, require_fit
from app.engine.kernels.linear import UnsuitableError, tile_blocks
from app.engine.kernels.module import TiledLinear
from app.engine.kernels.prefill import Prefill
from app.engine.kernels.prefill_check import self_check_many
from app.engine.kernels.runtime import CudaKernels, DriverError, KernelError, Kernels
from app.engine.kernels.token_check import self_check_one
from app.engine.model import Layer, TextModel

_LONGEST = 300
_TRACES = 2
_KERNELS: dict[tuple[torch.device, int], Kernels] = {}
"""What this process has loaded, by GPU and how many query heads share a key head: once, whatever models come and go."""


def start_kernels(
    config: TextConfig, device: torch.device, cache: Path | None, progress: Callable[[int, int], None]
) -> Kernels:
    """The kernels on a GPU, compiled or taken from the folder `cache`, and checked the first time that this GPU runs
    them. `progress(done, total)` is called in between. Raises `KernelError`, or `ImportError` without NVIDIA's
    bindings."""
    group = config.heads // config.kv_heads
    kernels = _KERNELS.get((device, group)) or CudaKernels(device, group, cache, progress)
    _KERNELS[device, group] = kernels
    mark = None if cache is None else cache / f"checked-{_fingerprint(device, group)}"
    if mark is None or not mark.exists():
        _check_once(kernels, device, group, mark)
    return kernels


def _check_once(kernels: Kernels, device: torch.device, group: int, mark: Path | None) -> None:
    """Check the kernels and leave `mark`. A check that ends the whole process, as a wrong address on a GPU does, leaves
    a trace; so may a person who closes the window, and only two traces mean that it is not tried again. Raises
    `KernelError`."""
    trace = None if mark is None else mark.with_name(mark.name.replace("checked", "trying"))
    _leave_trace(trace)
    try:
        wrong = self_check(kernels, device, group) or self_check_many(kernels, device)
        wrong = wrong or self_check_largest(kernels, device) or self_check_one(kernels, device)
        torch.zeros(1, device=device).item()  # raises where the GPU takes no more work from this process
    except torch.AcceleratorError:
        raise
    except Exception:
        _wipe(trace)
        raise
    _wipe(trace)
    if wrong is not None:
        raise KernelError(wrong)
    with suppress(OSError):
        if mark is not None:
            mark.touch()


def _leave_trace(trace: Path | None) -> None:
    """Add a byte to the file; raises `KernelError` if two are there."""
    with suppress(OSError):  # then the next start checks again
        if trace is None:
            return
        trace.parent.mkdir(parents=True, exist_ok=True)
        with trace.open("ab") as file:
            if file.tell() >= _TRACES:
                raise KernelError(
                    "The fast kernels ended the engine when they were tried on this GPU, so answers come slowly; "
                    f"to try them again, empty the folder {trace.parent}."
                )
            file.write(b"x")


def _wipe(trace: Path | None) -> None:
    with suppress(OSError):
        if trace is not None:
            trace.unlink(missing_ok=True)


def _fingerprint(device: torch.device, group: int) -> str:
    """What a check was good for: these sources on this kind of GPU, with this driver and this torch."""
    from cuda.bindings import driver  # type: ignore[import-untyped]  # noqa: PLC0415 - absent where there is no CUDA

    sources = sorted(file.name for file in files(__package__).iterdir() if file.name.endswith((".cu", ".cuh")))
    digest = hashlib.sha256()
    for name in sources:
        digest.update((files(__package__) / name).read_bytes())
    place = (torch.cuda.get_device_name(device), driver.cuDriverGetVersion()[1], torch.__version__, group)
    digest.update(repr(place).encode())
    return digest.hexdigest()[:32]


class FastPath:
    """What of one model is on the kernels. `slow` says why it is not all of it, as a sentence for the person."""

    def __init__(self, config: TextConfig, dtype: torch.dtype, start: Callable[[], Kernels]) -> None:
        self.slow: str | None = None
        self._kernels: Kernels | None = None
        self._layers: list[PackedLayer] = []
        try:
            require_fit(config, dtype)
            self._kernels = start()
        except (KernelError, UnsuitableError, ImportError) as error:
            self._give_up(error)

    def pack(self, layer: Layer) -> int | None:
        """Pack a layer's weights and let go of the old ones; the bytes they take now, or None if nothing was done."""
        if self._kernels is None:
            return None
        try:
            packed = PackedLayer(self._kernels, layer)
        except UnsuitableError as error:
            self._give_up(error)
            return None
        self._layers.append(packed)
        return sum(matrix.nbytes for matrix in packed.matrices)

    def pack_head(
        self, blocks: Iterable[tuple[int, Tensor]], shape: tuple[int, int], device: torch.device
    ) -> TiledLinear | None:
        """The output matrix [outputs, inputs] from blocks of its rows, or None if nothing was read."""
        if self._kernels is None:
            return None
        try:
            return TiledLinear(self._kernels, tile_blocks(blocks, *shape, device))
        except UnsuitableError as error:
            self._give_up(error)
            return None

    def decoder(self, model: TextModel) -> Decoder | None:
        """What runs the model token by token, once all of it is packed."""
        if self._kernels is None:
            return None
        try:
            return Decoder(model, self._kernels, self._layers)
        except UnsuitableError as error:
            self._give_up(error)
            return None

    def prefill(self, model: TextModel, decoder: Decoder) -> Prefill | None:
        """What reads many tokens at once, with the decoder's weights."""
        if self._kernels is None:
            return None
        try:
            return Prefill(model, self._kernels, *decoder.packed)
        except UnsuitableError as error:
            self._give_up(error)
            return None

    def largest(self, valid: int, device: torch.device) -> LargestLogits | None:
        """What finds the largest of the first `valid` logits, if the vocabulary is not too large for it."""
        if self._kernels is None or valid > MOST_VALID:
            return None
        return LargestLogits(self._kernels, valid, device)

    def _give_up(self, error: KernelError | UnsuitableError | ImportError) -> None:
        self._kernels = None
        match error:
            case DriverError():
                self.slow = f"The fast kernels do not start on this GPU ({error}), so answers come slowly."[:_LONGEST]
            case KernelError():
                self.slow = str(error)[:_LONGEST]
            case UnsuitableError():
                self.slow = f"The fast kernels do not take this model's weights ({error}), so answers come slowly."
            case _:
                self.slow = "The fast kernels need NVIDIA's cuda-bindings, which are missing, so answers come slowly."

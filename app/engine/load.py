"""Opens a model folder and puts the model on its device: the engine's one door to a model.

Knows: devices, element types, the order of loading. Does not know: the protocol, prompts, sampling.
"""

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from app.engine.ahead import ReadAhead
from app.engine.cache import KvBits, State, TensorState
from app.engine.capacity import ANYTHING, Wanted, crowded, gpu_plan, still_fits, too_full
from app.engine.checkpoint import Checkpoint
from app.engine.config import ModelConfig, stretched, text_prefix
from app.engine.devices import DeviceChoice, choose_device, device_name, free_memory, use_cores
from app.engine.errors import CheckpointError, NotEnoughMemoryError
from app.engine.kernels.start import FastPath, start_kernels
from app.engine.layout import plain_shapes, vision_shapes
from app.engine.memory import free_bytes
from app.engine.model import Layer, TextModel
from app.engine.pixels import read_processors
from app.engine.quantized import DenseLinear, Linear, QuantizedLinear, linear_for
from app.engine.rope import YARN_WARNING, text_positions
from app.engine.sampling import Largest, Sampler
from app.engine.shards import Entry
from app.engine.vision import Vision
from app.plan import Plan
from app.presets import DIRECT_GREEDY, THINKING_GENERAL

Backend = Literal["parley", "gptqmodel"]
Progress = Callable[[str, int, int], None]

_USABLE = 0.93  # of the free memory; the rest is for activations and the pieces of a weight on its way
_LOADING = "Loading the weights"
_SLOW_ON_CPU = 2**30
"""Bytes of weights from which on a person notices that a processor computes."""
_TOO_FULL = (
    "The GPU is too full for even this small model, so the processor computes; close other programs and load it again "
    "for the GPU."
)
_WARM_LENGTHS = (2048, 128, 1)
"""A whole chunk of a prompt, a short rest, one token: how long inputs are."""


class LoadedModel(Protocol):
    """A model that is ready, whichever engine runs it.

    `notes` are sentences for the person, such as why a slow path is used. Bytes are on `device`. `largest` finds the
    largest logits, where the device has something faster for it than torch.
    """

    config: ModelConfig
    device: torch.device
    device_name: str
    weight_bytes: int
    vision_bytes: int
    notes: tuple[str, ...]
    vision: Vision | None
    plan: Plan | None
    largest: Largest | None

    def new_state(self, capacity: int) -> State:
        """An empty memory for at most `capacity` tokens."""

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [T] → embeddings [T, hidden]."""

    def forward(self, embeddings: Tensor, positions: Tensor, state: State) -> Tensor:
        """Read T tokens: embeddings [T, hidden], positions [3, T] → logits of the last, fp32 [vocab]; moves `state`."""


def open_model(
    folder: Path,
    device: DeviceChoice,
    backend: Backend,
    progress: Progress,
    cache: Path | None = None,
    *,
    wanted: Wanted = ANYTHING,
) -> LoadedModel:
    """Load the model in a folder. `progress(stage, done bytes, total bytes)` is called for every tensor, and within
    large ones. What is compiled for this GPU is kept in the folder `cache`. On a GPU memory is planned for `wanted`.

    Raises `CheckpointError`, `DeviceError`, `NotEnoughMemoryError`, `PromptError`, or what `progress` raises.
    """
    progress("Checking the model's files", 0, 0)
    checkpoint, chosen = Checkpoint(folder), choose_device(device)
    if backend == "gptqmodel":
        from app.engine.fallback import open_fallback  # noqa: PLC0415 - its libraries take seconds and memory

        if wanted.yarn != 1:
            raise CheckpointError("The GPTQModel engine cannot use YaRN; choose Parley's own engine, or no YaRN.")
        if wanted.kv_bits != 16:
            raise CheckpointError(
                "The GPTQModel engine keeps keys and values in 16 bits only; choose Parley's own engine, or 16 bits."
            )
        return open_fallback(checkpoint, chosen, progress)
    checkpoint.config = stretched(checkpoint.config, wanted.yarn)
    place = _place(checkpoint, chosen, device, wanted.kv_bits)
    model = ParleyModel(checkpoint, place, progress, cache, wanted=wanted)
    if place != chosen:
        model.notes += (_TOO_FULL,)
    elif chosen.type == "cpu" and device == "auto" and model.weight_bytes >= _SLOW_ON_CPU:
        model.notes += ("No CUDA GPU can be used here: the processor computes, so answers come slowly.",)
    return model


def _place(checkpoint: Checkpoint, chosen: torch.device, device: DeviceChoice, kv_bits: KvBits) -> torch.device:
    """Where the model runs: on the processor if the choice is Parley's, the GPU too full, and the model a small one."""
    small = _stored_bytes(checkpoint) < _SLOW_ON_CPU
    if chosen.type == "cuda" and device == "auto" and small and too_full(checkpoint, free_bytes(chosen), kv_bits):
        return torch.device("cpu")
    return chosen


class ParleyModel:
    """The model on Parley's own engine. `decoder` runs single tokens and `prefill` many where the GPU and the weights
    allow it. On a GPU, `plan` says what lies where."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        progress: Progress,
        cache: Path | None = None,
        *,
        wanted: Wanted = ANYTHING,
    ) -> None:
        self.config, self.kv_bits = checkpoint.config, wanted.kv_bits
        self.device, self.device_name = device, device_name(device)
        self.plan: Plan | None = None
        if device.type == "cuda":
            self.plan = gpu_plan(checkpoint, wanted.context, free_bytes(device), wanted.kv_bits)
        dtype = _activations(checkpoint, device)
        fast = _fast_path(checkpoint, device, dtype, cache, progress)
        with _read_ahead(checkpoint, device, progress) as source:
            checkpoint.read_through(source)
            outside = self.plan is not None and self.plan.embeddings_outside
            table = torch.device("cpu") if outside else device
            heard = progress if source is None else _unheard  # what reads ahead reports for itself
            loader = _Loader(checkpoint, device, dtype, heard, fast, table=table)
            self.text = TextModel(self.config.text, loader, device, dtype, loader.made)
            self.weight_bytes = loader.held
            self.vision: Vision | None = None
            if self.config.vision is not None:
                processors = read_processors(checkpoint.folder, self.config.vision)
                parked = self.plan is not None and self.plan.tower_parked
                self.vision = Vision(self.config.vision, processors, loader.vision_tensor, device, dtype, parked=parked)
            checkpoint.read_through(None)
        self.vision_bytes = 0 if self.vision is None else self.vision.nbytes
        self.decoder = fast.decoder(self.text) if fast is not None else None
        self.prefill = fast.prefill(self.text, self.decoder) if fast is not None and self.decoder is not None else None
        self.largest: Largest | None = None if fast is None else fast.largest(self.config.vocab_valid, device)
        self.notes: tuple[str, ...] = (fast.slow,) if fast is not None and fast.slow is not None else ()
        self.notes += (YARN_WARNING,) if self.config.text.yarn is not None else ()
        gc.collect()
        if self.plan is not None:
            taken = 0 if self.prefill is None else self.prefill.nbytes
            self.plan, gone = still_fits(self.plan, wanted.context, free_bytes(device), taken)
            total = torch.cuda.get_device_properties(device).total_memory
            self.notes += gone or crowded(self.plan, wanted.context, total)

    def new_state(self, capacity: int) -> State:
        """An empty memory for at most `capacity` tokens. With it the GPU is warmed up: whatever torch loads with the
        first use, and the recording of a token, is not left to the first message."""
        state = self.text.new_state(capacity, self.kv_bits)
        if self.decoder is not None:
            for length in _WARM_LENGTHS:
                count = min(length, capacity)
                if state.length + count > capacity:
                    state.reset()  # in a small context each by itself, in a large one behind the others
                positions = text_positions(state.length, state.length + count, 0)
                logits = self.forward(self.embed(torch.zeros(count, dtype=torch.long)), positions, state)
            for usual in (THINKING_GENERAL, DIRECT_GREEDY):
                Sampler(usual, self.config.vocab_valid, self.largest).choose(logits)
            state.reset()
        return state

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [T] → embeddings [T, hidden]."""
        if self.decoder is not None and len(ids) == 1 and self.text.table.device == self.device:
            return self.text.table[int(ids)].clone().unsqueeze(0)  # without a copy of ids, for which the GPU would wait
        return self.text.embed(ids)

    def forward(self, embeddings: Tensor, positions: Tensor, state: State) -> Tensor:
        """Read T tokens: embeddings [T, hidden], positions [3, T] → logits of the last, fp32 [vocab]; moves `state`."""
        if not isinstance(state, TensorState):
            raise TypeError("a state of another engine")
        if self.decoder is not None and embeddings.shape[0] == 1:
            # Positions come in ordinary memory, so that looking at them does not wait for the GPU.
            time, height, width = positions[:, 0].tolist()
            if time == height == width:
                return self.decoder.step(embeddings[0], time, state)
        reader = self.prefill or self.text
        return reader.forward(embeddings, positions, state)


def _fast_path(
    checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, cache: Path | None, progress: Progress
) -> FastPath | None:
    """The kernels for quantized weights on a GPU; whatever else there is runs on plain torch."""
    if device.type != "cuda" or not checkpoint.packed_bits:
        return None
    config = checkpoint.config.text
    report = partial(progress, "Preparing the GPU")
    return FastPath(config, dtype, partial(start_kernels, config, device, cache, report))


def _read_ahead(checkpoint: Checkpoint, device: torch.device, progress: Progress) -> ReadAhead | nullcontext[None]:
    """For a GPU the files are read ahead in the order in which the model is put together."""
    if device.type != "cuda":
        return nullcontext()
    total = _stored_bytes(checkpoint)
    return ReadAhead(groups_of(checkpoint), device, lambda done: progress(_LOADING, done, total))


def _unheard(_stage: str, _done: int, _total: int) -> None:
    """Somebody else reports."""


def groups_of(checkpoint: Checkpoint) -> Sequence[Sequence[Entry]]:
    """All stored tensors in the order of loading: the embeddings, layer by layer, the norm, the head, the tower."""
    prefix = text_prefix(checkpoint.config)
    layers: dict[str, list[Entry]] = {}
    for name in (*checkpoint.plain_names, *checkpoint.linears):
        inner = name.removeprefix(prefix)
        key = ".".join(inner.split(".")[:2]) if inner.startswith("layers.") else inner
        layers.setdefault(key, []).extend(checkpoint.entries(name))
    first, last = [layers.pop("embed_tokens.weight")], [layers.pop("norm.weight")]
    last += [layers.pop("lm_head")] if "lm_head" in layers else []
    vision = checkpoint.config.vision
    tower = [entry for name in (vision_shapes(vision) if vision else ()) for entry in checkpoint.entries(name)]
    return [*first, *layers.values(), *last, tower]


class _Loader:
    """Reads the parts of a checkpoint onto a device, counting as it goes."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        dtype: torch.dtype,
        progress: Progress,
        fast: FastPath | None,
        *,
        table: torch.device,
    ) -> None:
        self.checkpoint, self.device, self.dtype, self.progress = checkpoint, device, dtype, progress
        self.fast, self.table = fast, table
        self.prefix = text_prefix(checkpoint.config)
        self.done = self.held = self._unpacked = 0
        self.total = _stored_bytes(checkpoint)

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        return self._plain(self.prefix + name, dtype, self.table if name == "embed_tokens.weight" else self.device)

    def vision_tensor(self, name: str) -> Tensor:
        return self._plain(f"model.visual.{name}", self.dtype, self.device)

    def linear(self, name: str) -> Linear:
        full = name if name == "lm_head" else self.prefix + name
        packed = self.checkpoint.packed(full, self.device)
        if packed is None:
            head = self._packed_head(full) if name == "lm_head" else None
            return head or DenseLinear(self._plain(f"{full}.weight", self.dtype, self.device))
        linear = linear_for(packed, self.checkpoint.correction(full, self.device), self.dtype)
        if isinstance(linear, DenseLinear):
            self.held += linear.weight.nbytes
        elif isinstance(linear, QuantizedLinear):
            self.held += linear.nbytes
            self._unpacked += linear.nbytes
        self._count(full)
        return linear

    def made(self, layer: Layer) -> None:
        """A layer is there: pack it before the next one is read."""
        packed = None if self.fast is None else self.fast.pack(layer)
        if packed is not None:
            self.held += packed - self._unpacked
        self._unpacked = 0

    def _packed_head(self, full: str) -> Linear | None:
        """The output matrix, packed block by block: it is the one that would not fit twice."""
        if self.fast is None:
            return None
        name = f"{full}.weight"
        out, into = self.checkpoint.shards[name].shape
        head = self.fast.pack_head(self._blocks(name), (out, into), self.device)
        if head is not None:
            self.held += head.nbytes
            self._count(name)
        return head

    def _plain(self, full: str, dtype: torch.dtype, place: torch.device) -> Tensor:
        tensor = torch.empty(self.checkpoint.shards[full].shape, dtype=dtype, device=place)
        for begin, block in self._blocks(full):
            if block.shape == tensor.shape:
                tensor.copy_(block)
            else:
                tensor[begin : begin + len(block)].copy_(block)
        self.held += tensor.nbytes if place == self.device else 0
        self._count(full)
        return tensor

    def _blocks(self, full: str) -> Iterator[tuple[int, Tensor]]:
        """A tensor's blocks of rows, reported one by one."""
        entry = self.checkpoint.shards[full]
        for begin, block in self.checkpoint.shards.blocks(full, self.device):
            yield begin, block
            if block.shape != entry.shape:
                self._report((begin + len(block)) * entry.nbytes // entry.shape[0])

    def _count(self, name: str) -> None:
        self.done += self.checkpoint.stored_bytes(name)
        self._report(0)

    def _report(self, more: int) -> None:
        self.progress(_LOADING, min(self.done + more, self.total), self.total)


def _stored_bytes(checkpoint: Checkpoint) -> int:
    """Bytes of all that is going to be read."""
    names = [*checkpoint.linears, *checkpoint.plain_names]
    names += vision_shapes(checkpoint.config.vision) if checkpoint.config.vision else []
    return sum(checkpoint.stored_bytes(name) for name in names)


def _activations(checkpoint: Checkpoint, device: torch.device) -> torch.dtype:
    """The element type to compute in: bf16 on a GPU; on a CPU fp32 if the expanded model fits, else bf16.

    Never fp16: this model's activations overflow it. Raises `NotEnoughMemoryError`.
    """
    if device.type == "cuda":
        return torch.bfloat16
    free = free_memory(device)
    shapes = {**checkpoint.linears, **plain_shapes(checkpoint.config)}
    if checkpoint.config.vision:
        shapes |= vision_shapes(checkpoint.config.vision)
    count = sum(math.prod(shape) for shape in shapes.values())
    use_cores(count)
    if count * torch.float32.itemsize < free * _USABLE:
        return torch.float32
    needed = count * torch.bfloat16.itemsize
    if needed > free * _USABLE:
        raise NotEnoughMemoryError(
            f"The model needs {needed / _USABLE / 1e9:.1f} GB of memory and the computer has {free / 1e9:.1f} GB free; "
            "close other programs or choose a smaller model."
        )
    return torch.bfloat16

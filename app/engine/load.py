"""Opens a model folder and puts the model on its device: the engine's one door to a model.

Knows: devices, element types, the order of loading. Does not know: the protocol, prompts, sampling.
"""

import gc
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from app.engine.cache import State, TensorState
from app.engine.checkpoint import Checkpoint
from app.engine.config import ModelConfig, text_prefix
from app.engine.devices import DeviceChoice, choose_device, device_name, free_memory, use_cores
from app.engine.errors import NotEnoughMemoryError
from app.engine.layout import plain_shapes, vision_shapes
from app.engine.model import TextModel
from app.engine.pixels import read_processors
from app.engine.quantized import DenseLinear, Linear, QuantizedLinear, linear_for
from app.engine.vision import Vision

Backend = Literal["parley", "gptqmodel"]
Progress = Callable[[str, int, int], None]

_USABLE = 0.93  # of the free memory; the rest is for activations and the pieces of a weight on its way


class LoadedModel(Protocol):
    """A model that is ready, whichever engine runs it.

    `notes` are sentences for the person, such as why a slow path is used. Bytes are on `device`.
    """

    config: ModelConfig
    device: torch.device
    device_name: str
    weight_bytes: int
    vision_bytes: int
    notes: tuple[str, ...]
    vision: Vision | None

    def new_state(self, capacity: int) -> State:
        """An empty memory for at most `capacity` tokens."""

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [T] → embeddings [T, hidden]."""

    def forward(self, embeddings: Tensor, positions: Tensor, state: State) -> Tensor:
        """Read T tokens: embeddings [T, hidden], positions [3, T] → logits of the last, fp32 [vocab]; moves `state`."""


def open_model(folder: Path, device: DeviceChoice, backend: Backend, progress: Progress) -> LoadedModel:
    """Load the model in a folder. `progress(stage, done bytes, total bytes)` is called for every tensor, and within
    large ones.

    Raises `CheckpointError`, `DeviceError`, `NotEnoughMemoryError`, or what `progress` raises.
    """
    progress("Checking the model's files", 0, 0)
    checkpoint = Checkpoint(folder)
    try:
        if backend == "gptqmodel":
            from app.engine.fallback import open_fallback  # noqa: PLC0415 - its libraries take seconds and memory

            return open_fallback(checkpoint, choose_device(device), progress)
        return ParleyModel(checkpoint, choose_device(device), progress)
    finally:
        checkpoint.close()


class ParleyModel:
    """The model on Parley's own engine."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, progress: Progress) -> None:
        self.config = checkpoint.config
        self.device, self.device_name = device, device_name(device)
        dtype = _activations(checkpoint, device)
        loader = _Loader(checkpoint, device, dtype, progress)
        self.text = TextModel(self.config.text, loader, device, dtype)
        self.weight_bytes = loader.held
        self.vision: Vision | None = None
        if self.config.vision is not None:
            processors = read_processors(checkpoint.folder, self.config.vision)
            self.vision = Vision(self.config.vision, processors, loader.vision_tensor, device, dtype)
        self.vision_bytes = 0 if self.vision is None else self.vision.nbytes
        slow = device.type == "cuda" and checkpoint.packed_bits
        self.notes: tuple[str, ...] = (
            ("Quantized weights are expanded again for every token, which is slow; fast kernels are not there yet.",)
            if slow
            else ()
        )
        gc.collect()

    def new_state(self, capacity: int) -> State:
        """An empty memory for at most `capacity` tokens."""
        return self.text.new_state(capacity)

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [T] → embeddings [T, hidden]."""
        return self.text.embed(ids)

    def forward(self, embeddings: Tensor, positions: Tensor, state: State) -> Tensor:
        """Read T tokens: embeddings [T, hidden], positions [3, T] → logits of the last, fp32 [vocab]; moves `state`."""
        if not isinstance(state, TensorState):
            raise TypeError("a state of another engine")
        return self.text.forward(embeddings, positions, state)


class _Loader:
    """Reads the parts of a checkpoint onto a device, counting as it goes."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, progress: Progress) -> None:
        self.checkpoint, self.device, self.dtype, self.progress = checkpoint, device, dtype, progress
        self.prefix = text_prefix(checkpoint.config)
        self.done = self.held = 0
        self.total = _stored_bytes(checkpoint)

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        return self._plain(self.prefix + name, dtype)

    def vision_tensor(self, name: str) -> Tensor:
        return self._plain(f"model.visual.{name}", self.dtype)

    def linear(self, name: str) -> Linear:
        full = name if name == "lm_head" else self.prefix + name
        packed = self.checkpoint.packed(full, self.device)
        if packed is None:
            return DenseLinear(self._plain(f"{full}.weight", self.dtype))
        linear = linear_for(packed, self.checkpoint.correction(full, self.device), self.dtype)
        if isinstance(linear, DenseLinear):
            self.held += linear.weight.nbytes
        elif isinstance(linear, QuantizedLinear):
            self.held += linear.nbytes
        self._count(full)
        return linear

    def _plain(self, full: str, dtype: torch.dtype) -> Tensor:
        # A copy, so that nothing stays mapped: a file that changes under a mapping would end the process.
        shards = self.checkpoint.shards
        tensor = torch.empty(shards[full].shape, dtype=dtype, device=self.device)
        for begin, block in shards.blocks(full, self.device):
            if block.shape == tensor.shape:
                tensor.copy_(block)
            else:
                tensor[begin : begin + len(block)].copy_(block)
                self._report((begin + len(block)) * shards[full].nbytes // tensor.shape[0])
        self.held += tensor.nbytes
        self._count(full)
        return tensor

    def _count(self, name: str) -> None:
        self.done += self.checkpoint.stored_bytes(name)
        self._report(0)

    def _report(self, more: int) -> None:
        self.progress("Loading the weights", min(self.done + more, self.total), self.total)


def _stored_bytes(checkpoint: Checkpoint) -> int:
    """Bytes of all that is going to be read."""
    names = [*checkpoint.linears, *checkpoint.plain_names]
    names += vision_shapes(checkpoint.config.vision) if checkpoint.config.vision else []
    return sum(checkpoint.stored_bytes(name) for name in names)


def _activations(checkpoint: Checkpoint, device: torch.device) -> torch.dtype:
    """The element type to compute in: bf16 on a GPU; on a CPU fp32 if the expanded model fits, else bf16.

    Never fp16: this model's activations overflow it. Raises `NotEnoughMemoryError`.
    """
    free = free_memory(device)
    if device.type == "cuda":
        _require(_stored_bytes(checkpoint), free, "GPU", "choose the GPTQModel engine, which can share the work")
        return torch.bfloat16
    shapes = {**checkpoint.linears, **plain_shapes(checkpoint.config)}
    if checkpoint.config.vision:
        shapes |= vision_shapes(checkpoint.config.vision)
    count = sum(math.prod(shape) for shape in shapes.values())
    use_cores(count)
    if count * torch.float32.itemsize < free * _USABLE:
        return torch.float32
    _require(count * torch.bfloat16.itemsize, free, "computer", "choose a smaller model")
    return torch.bfloat16


def _require(needed: int, free: int, whose: str, otherwise: str) -> None:
    if needed > free * _USABLE:
        raise NotEnoughMemoryError(
            f"The model needs {needed / _USABLE / 1e9:.1f} GB of memory and the {whose} has {free / 1e9:.1f} GB free; "
            f"close other programs or {otherwise}."
        )

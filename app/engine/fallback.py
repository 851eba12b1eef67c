"""The same model run by GPTQModel and transformers: slower, another implementation to fall back on and to compare with.

Knows: how to make them load a checkpoint without compiling anything, and to share layers between a small GPU and the
computer's memory. Does not know: prompts, sampling. Imported only when it was chosen, for its libraries take seconds.
Pictures and clips go through Parley's own vision tower.
"""

import copy
import gc
import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from app.engine.cache import Snapshot, State, bytes_a_token, fixed_bytes
from app.engine.checkpoint import Checkpoint
from app.engine.config import ModelConfig, TextConfig, text_prefix
from app.engine.devices import device_name, free_memory
from app.engine.errors import CheckpointError, NotEnoughMemoryError
from app.engine.layout import vision_shapes
from app.engine.pixels import read_processors
from app.engine.sampling import Largest
from app.engine.vision import Vision
from app.plan import Plan

_DTYPE = torch.bfloat16
_ROOM = 2 * 10**9  # for activations, the state and the vision tower beside the weights, in bytes


class FallbackState(State):
    """The state that transformers keeps. Copying it copies keys and values too."""

    def __init__(self, config: TextConfig, capacity: int, cache: Any) -> None:
        super().__init__(capacity)
        self._config, self._empty = config, cache
        self.cache = copy.deepcopy(cache)

    @property
    def nbytes(self) -> int:
        """Bytes that are held, calculated: transformers lets the keys and values grow."""
        return fixed_bytes(self._config, _DTYPE) + self.length * bytes_a_token(self._config, _DTYPE)

    def snapshot(self) -> Snapshot:
        """A copy of everything."""
        return Snapshot(self.length, self.rope_delta, copy.deepcopy(self.cache), self.nbytes)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this state."""
        self.cache = copy.deepcopy(snapshot.parts)
        self.length, self.rope_delta = snapshot.length, snapshot.rope_delta

    def reset(self) -> None:
        """Forget everything."""
        self.cache = copy.deepcopy(self._empty)
        self.length = self.rope_delta = 0


class FallbackModel:
    """GPTQModel's model behind the interface of `LoadedModel`. `language` and `head` are transformers' modules."""

    def __init__(
        self, config: ModelConfig, loaded: Any, device: torch.device, vision: Vision | None, notes: tuple[str, ...]
    ) -> None:
        self.config, self.device, self.device_name = config, device, device_name(device)
        self.vision, self.notes = vision, notes
        self._language = getattr(loaded.model.model, "language_model", loaded.model.model)
        self._head = loaded.model.lm_head
        self.weight_bytes = _bytes_on(device, self._language) + _bytes_on(device, self._head)
        self.vision_bytes = 0 if vision is None else vision.nbytes
        self.plan: Plan | None = None
        self.largest: Largest | None = None

    def new_state(self, capacity: int) -> State:
        """An empty memory for at most `capacity` tokens."""
        from transformers import DynamicCache  # noqa: PLC0415 - only this engine may import it

        return FallbackState(self.config.text, capacity, DynamicCache(config=self._language.config))

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [T] → embeddings [T, hidden]."""
        embeddings: Tensor = self._language.embed_tokens(ids.to(self.device))
        return embeddings

    @torch.no_grad()
    def forward(self, embeddings: Tensor, positions: Tensor, state: State) -> Tensor:
        """Read T tokens: embeddings [T, hidden], positions [3, T] → logits of the last, fp32 [vocab]; moves `state`."""
        if not isinstance(state, FallbackState):
            raise TypeError("a state of another engine")
        if not 0 < embeddings.shape[0] <= state.capacity - state.length:
            raise ValueError(f"{embeddings.shape[0]} tokens do not fit after {state.length} of {state.capacity}")
        output = self._language(
            inputs_embeds=embeddings.to(self.device, _DTYPE).unsqueeze(0),
            position_ids=positions.to(self.device).unsqueeze(1),
            past_key_values=state.cache,
            use_cache=True,
        )
        state.length += embeddings.shape[0]
        logits: Tensor = self._head(output.last_hidden_state[:, -1])
        return logits[0].float()


def open_fallback(
    checkpoint: Checkpoint, device: torch.device, progress: Callable[[str, int, int], None]
) -> FallbackModel:
    """Load a checked checkpoint with GPTQModel. Raises `CheckpointError` for what GPTQModel cannot do."""
    if not checkpoint.packed_bits:
        raise CheckpointError(f"{checkpoint.folder.name} is not quantized; choose Parley's own engine for it.")
    if checkpoint.eora is not None and checkpoint.eora.scale != 1.0:
        raise CheckpointError("GPTQModel cannot apply this model's scaled EoRA; choose Parley's own engine for it.")
    progress("Starting GPTQModel", 0, 0)
    notes = ["GPTQModel runs this model, which is slower than Parley's own engine."]
    placement = place(checkpoint, device)
    if "cpu" in placement.values() and device.type == "cuda":
        resident = sum(".layers." in name and where != "cpu" for name, where in placement.items())
        notes.append(f"The GPU is too small: {resident} layers stay on it, the others come from memory for each token.")
    loaded = _load(checkpoint, device, placement, progress)
    if hasattr(loaded.model.model, "visual"):
        loaded.model.model.visual = None  # Parley's own tower takes its place
    gc.collect()
    vision = None
    if checkpoint.config.vision is not None:
        processors = read_processors(checkpoint.folder, checkpoint.config.vision)
        dtype = _DTYPE if device.type == "cuda" else torch.float32

        def tensor(name: str) -> Tensor:
            return checkpoint.plain(f"model.visual.{name}", device).to(dtype, copy=True)

        vision = Vision(checkpoint.config.vision, processors, tensor, device, dtype)
    return FallbackModel(checkpoint.config, loaded, device, vision, tuple(notes))


def _load(
    checkpoint: Checkpoint,
    device: torch.device,
    placement: dict[str, str],
    progress: Callable[[str, int, int], None],
) -> Any:
    # Without these GPTQModel refuses to start on two cores, and compiles kernels with a compiler that nobody has.
    compiler = device.type == "cuda" and shutil.which("cc") is not None
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(os.cpu_count() or 1))
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    os.environ.setdefault("GPTQ_TORCH_TRITON_DEQUANT", "1" if compiler else "0")
    try:
        from gptqmodel import BACKEND, GPTQModel  # noqa: PLC0415 - seconds, and only for this engine
        from gptqmodel.adapter.adapter import Lora  # noqa: PLC0415
    except ModuleNotFoundError as error:  # the small bundle leaves it out
        raise CheckpointError("GPTQModel is not part of this installation; choose Parley's own engine.") from error

    torch._dynamo.config.disable = True  # the variable above is read once, perhaps before
    adapter = None
    if checkpoint.eora is not None:
        first = next(iter(checkpoint.eora.names))
        weights = checkpoint.eora.shards[checkpoint.eora.names[first][0]].shard
        path = str(weights.parent) if checkpoint.eora.transposed else ""
        adapter = Lora(rank=checkpoint.eora.rank(first), path=path)
    progress("Loading the weights", 0, 0)
    return GPTQModel.load(
        str(checkpoint.folder),
        backend=BACKEND.GPTQ_TRITON if compiler else BACKEND.GPTQ_TORCH,
        device_map=placement,
        adapter=adapter,
        dtype=_DTYPE,
        trust_remote_code=False,
        local_files_only=True,
    )


def place(checkpoint: Checkpoint, device: torch.device) -> dict[str, str]:
    """Which module goes where: all on one device, or as many layers on the GPU as fit and the rest in memory.

    Raises `NotEnoughMemoryError` if not even embeddings and head fit.
    """
    if device.type == "cpu":
        return {"": "cpu"}
    prefix, gpu = text_prefix(checkpoint.config), str(device)
    layers = [f"{prefix}layers.{index}" for index in range(len(checkpoint.config.text.layer_kinds))]
    sizes = dict.fromkeys(layers, 0)
    others = 0
    tower = vision_shapes(checkpoint.config.vision) if checkpoint.config.vision else {}
    for name in [*checkpoint.linears, *checkpoint.plain_names, *tower]:
        size = checkpoint.stored_bytes(name)
        layer = next((layer for layer in layers if name.startswith(f"{layer}.")), None)
        if layer is None:
            others += size
        else:
            sizes[layer] += size
    left = free_memory(device) - others - _ROOM
    if sum(sizes.values()) <= left:
        return {"": gpu}
    if left < 0:
        raise NotEnoughMemoryError("The GPU is too small even for this model's vocabulary; choose the CPU.")
    placement = {f"{prefix}embed_tokens": gpu, f"{prefix}norm": gpu, f"{prefix}rotary_emb": gpu, "lm_head": gpu}
    if tower:
        placement["model.visual"] = "cpu"
    left -= max(sizes.values()) * 2  # a visiting layer, and the next one on its way
    for layer in layers:
        left -= sizes[layer]
        placement[layer] = gpu if left > 0 else "cpu"
    return placement


def _bytes_on(device: torch.device, module: torch.nn.Module) -> int:
    """Bytes of a module's tensors that live on a device."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.nbytes for tensor in tensors if tensor.device.type == device.type)

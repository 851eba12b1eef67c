"""A loaded model with all that belongs to it: its state and what is remembered, its prompt maker, its gauge.

Knows: how these are put together from a `Load`, and how they look in messages. Does not know: commands, what is done
with the model, when.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from app import paths
from app.engine.cache import TensorState
from app.engine.generation import Pace, chunk_tokens
from app.engine.load import LoadedModel
from app.engine.memory import Gauge, gauge_for
from app.engine.prompt import Composer
from app.engine.sessions import Sessions
from app.engine.sessions_disk import SavedSessions, identity
from app.protocol import Forget, Gauges, Load, ModelInfo, VideoLimits

_SHARE_OF_MEMORY = 4
"""Conversations may fill this part of the memory that is free once the model is loaded."""
_GPU_SPACING = 256
_CPU_SPACING = 16
"""Tokens between two places to go back to: on a GPU reading so few takes no longer than reading one."""


@dataclass(slots=True)
class Resident:
    """A loaded model and what belongs to it. `load_seconds` is what the load took, until the first request has reported
    it."""

    model: LoadedModel
    composer: Composer
    sessions: Sessions
    saved: SavedSessions | None
    pace: Pace
    gauge: Gauge
    load_seconds: float = 0.0


def resident_for(folder: Path, model: LoadedModel, context: int, command: Load) -> Resident:
    """A model with an empty state of `context` tokens and whatever was kept of earlier runs. Raises `CheckpointError`
    for a vocabulary or template that cannot be used, and what torch raises when memory is short."""
    composer = _composer(folder, model)
    sessions = _sessions(model, context, command.memory_limit)
    saved = _saved(folder, model, sessions, command)
    return Resident(model, composer, sessions, saved, Pace(chunk_tokens(model)), gauge_for(model.device))


def saved_below(command: Load | Forget) -> Path | None:
    """The folder of what was read, of every model, if there is to be one."""
    return Path(command.cache_dir) / "sessions" if command.cache_dir else None


def _composer(folder: Path, model: LoadedModel) -> Composer:
    if model.vision is None:
        return Composer(folder, model.config)
    return Composer(folder, model.config, model.vision.prepare, model.vision.measure)


def _sessions(model: LoadedModel, context: int, limit: int | None) -> Sessions:
    """An empty state, and as much host memory for what is read as the person allows, or as is usual."""
    state = model.new_state(context)
    on_gpu = model.device.type == "cuda"
    budget = psutil.virtual_memory().available // _SHARE_OF_MEMORY if limit is None else limit
    if on_gpu and not isinstance(state, TensorState):
        budget = 0  # a state of another engine leaves its copies on the GPU
    sessions = Sessions(state, budget, _GPU_SPACING if on_gpu else _CPU_SPACING)
    sessions.make_ready()
    return sessions


def _saved(folder: Path, model: LoadedModel, sessions: Sessions, command: Load) -> SavedSessions | None:
    """The folder of what was read in earlier runs, if there is to be one."""
    root = saved_below(command)
    if root is None or not isinstance(sessions.state, TensorState):
        return None
    dtype, kv_bits = model.embed(torch.zeros(1, dtype=torch.long)).dtype, sessions.state.kv_bits
    meaning = f"{model.config.text} {model.config.vision} {dtype} {kv_bits}"
    try:
        return SavedSessions(root, identity(folder, meaning), command.cache_limit)
    except OSError:  # a model that cannot be told from others
        return None


def described(folder: Path, model: LoadedModel, context: int) -> ModelInfo:
    """The model as the person sees it."""
    demo = folder.resolve() == paths.demo_model_dir().resolve()
    return ModelInfo(
        name="Demo model" if demo else model.config.name,
        path=str(folder),
        device=model.device_name,
        precision=model.config.precision,
        context=context,
        native_context=model.config.native_context,
        demo=demo,
        sees=model.vision is not None,
        video=model.vision.video_limits if model.vision is not None else VideoLimits(),
        notes=model.notes,
    )


def gauges_of(resident: Resident | None) -> Gauges:
    """On a GPU the parts add up to what the driver calls used."""
    if resident is None:
        return Gauges("none", 0, 0, 0, 0, 0, 0, 0)
    memory, state = resident.gauge.read(), resident.sessions.state
    if resident.model.device.type != "cuda":
        return Gauges("cpu", memory.total, memory.own, 0, 0, memory.other, state.length, state.capacity)
    cache, vision = state.nbytes, resident.model.vision_bytes
    weights = min(resident.model.weight_bytes, max(0, memory.own - cache - vision))
    return Gauges(
        kind="gpu",
        total=memory.total,
        weights=weights,
        cache=cache,
        vision=vision,
        other=memory.other,
        context_used=state.length,
        context=state.capacity,
        workspace=max(0, memory.own - weights - cache - vision),
    )

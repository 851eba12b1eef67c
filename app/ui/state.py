"""What the window may be in, derived from events alone. Pure values: knows no widget, no process and no clock."""

from dataclasses import dataclass
from typing import assert_never

from app.protocol import (
    Delta,
    EngineEvent,
    Failed,
    Finished,
    Gauges,
    Hello,
    Loaded,
    Loading,
    Measured,
    ModelInfo,
    Prefill,
    Unloaded,
)


@dataclass(frozen=True, slots=True)
class Starting:
    """The engine's process is starting."""


@dataclass(frozen=True, slots=True)
class NoModel:
    """The engine runs and holds no model; `reason` is a sentence, or empty. One that was `unloaded` comes back with the
    next question."""

    reason: str = ""
    unloaded: bool = False


@dataclass(frozen=True, slots=True)
class LoadingModel:
    """A model called `name` is being loaded since `since`; bytes are 0 while unknown."""

    name: str
    since: float
    stage: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """The model waits for a question."""

    model: ModelInfo


@dataclass(frozen=True, slots=True)
class Answering:
    """The model works on a request."""

    model: ModelInfo
    request: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The engine is gone; `reason` is a sentence."""

    reason: str


State = Starting | NoModel | LoadingModel | Ready | Answering | Dead


@dataclass(frozen=True, slots=True)
class Started:
    """The engine's process was started."""


@dataclass(frozen=True, slots=True)
class LoadSent:
    """The engine was told to load a model."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class GenerateSent:
    """The engine was asked to answer."""

    request: str


@dataclass(frozen=True, slots=True)
class Died:
    """The engine's process ended, or was ended because it hung."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnloadSent:
    """The engine was told to give the model's memory back."""


LocalEvent = Started | LoadSent | GenerateSent | UnloadSent | Died
UNLOADED = NoModel("The model is unloaded; it comes back with your next question.", unloaded=True)


def after(state: State, event: EngineEvent | LocalEvent) -> State:  # noqa: C901, PLR0911, PLR0912  (a table)
    """The state after an event; the same object where the event changes nothing."""
    match event:
        case Started():
            return Starting()
        case Died():
            return Dead(event.reason)
        case LoadSent():
            return LoadingModel(event.name, event.at)
        case Loading():
            if not isinstance(state, LoadingModel):
                return state
            return LoadingModel(state.name, state.since, event.stage, event.done, event.total)
        case Loaded():
            return Ready(event.model)
        case Unloaded() | UnloadSent():
            return UNLOADED if isinstance(state, Ready | Answering) else state
        case GenerateSent():
            return Answering(state.model, event.request) if isinstance(state, Ready) else state
        case Finished():
            return _ended(state, event.request)
        case Failed():
            if isinstance(state, LoadingModel) and not event.request:
                return NoModel(event.message)
            return _ended(state, event.request)
        case Hello() | Prefill() | Delta() | Measured() | Gauges():
            return state
        case _:
            assert_never(event)


def _ended(state: State, request: str) -> State:
    return Ready(state.model) if isinstance(state, Answering) and state.request == request else state

"""The engine's worker: takes one command after another, holds the model, and keeps the face informed.

Knows: commands, one loaded model with its state, when to report. Does not know: how lines are read, what a template or
a layer is. It runs in the main thread, the only one that touches the device; `measure` alone is also called by the
reader thread, and it only counts.
"""

import gc
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Never, assert_never

import torch

from app import paths
from app.engine.cache import State
from app.engine.capacity import choose_context
from app.engine.devices import choose_device
from app.engine.failure import failed
from app.engine.load import LoadedModel, open_model
from app.engine.memory import Gauge, free_bytes, gauge_for
from app.engine.prompt import Composer, PromptError
from app.engine.request import Request
from app.engine.wire import Pulse, Reader, Wire, leave
from app.protocol import (
    AnswerNow,
    EngineCommand,
    FailureKind,
    Forget,
    Gauges,
    Generate,
    Load,
    Loaded,
    Loading,
    Measure,
    ModelInfo,
    Stop,
    Unload,
    Unloaded,
    VideoLimits,
)

_REPORT_SECONDS = 1.0
_PROGRESS_SECONDS = 0.1
_FOREIGN_BEATS = 600
_WORTH_LOGGING = ("memory", "device", "internal")


@dataclass(slots=True)
class Resident:
    """A loaded model and what belongs to it. `conversation` is the one that the state was last used for, `load_seconds`
    what the load took, until the first request has reported it."""

    model: LoadedModel
    composer: Composer
    state: State
    gauge: Gauge
    load_seconds: float
    conversation: str = ""


class Worker:
    """Does what the face asks, in order."""

    def __init__(self, wire: Wire, reader: Reader) -> None:
        self._wire = wire
        self._send = wire.send
        self._reader = reader
        self._resident: Resident | None = None
        self._device = torch.device("cpu")
        self._reported = 0.0
        self._progressed = 0.0

    def run(self) -> Never:
        """Work until the process ends, which the reader decides."""
        while True:
            self._report()
            try:
                command = self._reader.commands.get(timeout=_REPORT_SECONDS)
            except Empty:
                continue
            self._do(command)

    def _do(self, command: EngineCommand) -> None:
        match command:
            case Load():
                self._recover(self._guarded("", lambda: self._load(command), self._free_bytes))
            case Generate():
                self._recover(self._guarded(command.request, lambda: self._generate(command), self._free_bytes))
                self._reader.interrupts.close(command.request)
            case Measure():
                self.measure(command)
            case Forget():
                if self._resident is not None and self._resident.conversation == command.conversation:
                    self._resident.state.reset()
            case Unload():
                self._drop()
                self._send(Unloaded())
            case Stop() | AnswerNow():  # the reader takes these; one that came here has nothing to act on
                pass
            case _:
                assert_never(command)
        self._report(now=True)

    def measure(self, command: Measure) -> None:
        """Count a draft. Touches neither the device nor the state, so that the reader may call it at any time."""
        self._guarded(command.request, lambda: self._measure(command), int)

    def _measure(self, command: Measure) -> None:
        resident = self._loaded()
        self._send(resident.composer.measure(command, resident.state.capacity))

    def _load(self, command: Load) -> None:
        began = time.monotonic()
        self._drop()
        folder = Path(command.model)
        self._progress("Looking at the model", 0, 0)
        self._device = choose_device(command.device)
        with self._patience(command):
            model = open_model(folder, command.device, command.backend, self._progress)
        self._device = model.device
        composer = _composer(folder, model)
        self._progress("Making room for the context", 0, 0)
        context = choose_context(model, command.context, free_bytes(model.device))
        state = model.new_state(context)
        seconds = time.monotonic() - began
        self._resident = Resident(model, composer, state, gauge_for(model.device), seconds)
        self._reader.measure = self.measure
        self._send(Loaded(_described(folder, model, context), seconds))

    def _patience(self, command: Load) -> AbstractContextManager[None]:
        """Parley's own engine reports every tensor; GPTQModel imports and loads for minutes without a word."""
        if command.backend == "parley":
            return nullcontext()
        return Pulse(self._wire, Loading("Loading with GPTQModel", 0, 0), beats=_FOREIGN_BEATS)

    def _generate(self, command: Generate) -> None:
        resident = self._loaded()
        resident.conversation = command.conversation
        request = Request(command, resident.load_seconds, self._reader.interrupts, self._send, self._report)
        resident.load_seconds = 0.0
        request.answer(resident.model, resident.composer, resident.state)

    def _loaded(self) -> Resident:
        if self._resident is None:
            raise PromptError("No model is loaded; choose a model first.")
        return self._resident

    def _drop(self) -> None:
        self._reader.measure = None
        self._resident = None
        _give_back_memory()

    def _progress(self, stage: str, done: int, total: int) -> None:
        """Pass a load's progress on; it comes for every tensor, which is more often than anyone can see."""
        now = time.monotonic()
        if done in (0, total) or now - self._progressed >= _PROGRESS_SECONDS:
            self._progressed = now
            self._send(Loading(stage, done, total))

    def _report(self, *, now: bool = False) -> None:
        """Send the gauges if they are due."""
        clock = time.monotonic()
        if now or clock - self._reported >= _REPORT_SECONDS:
            self._reported = clock
            self._send(_gauges(self._resident))

    def _free_bytes(self) -> int:
        return free_bytes(self._device)

    def _guarded(self, request: str, work: Callable[[], None], free: Callable[[], int]) -> FailureKind | None:
        """Do something that may fail: whatever it raises becomes one message, and the engine goes on."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the engine's one broad except
            message = failed(request, error, free)
        else:
            return None
        if message.kind in _WORTH_LOGGING:
            sys.stderr.write(message.detail)
        self._send(message)
        return message.kind

    def _recover(self, kind: FailureKind | None) -> None:
        """After a failure: by now the exception is gone, and with it every tensor that its frames held."""
        touched = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch does not annotate it
        if kind == "device" and (self._resident is not None or touched):
            leave(1)  # after a CUDA error nothing on the device can be used any more
        if kind == "memory" or (kind is not None and self._resident is None):
            _give_back_memory()  # also after a load that failed once the weights were there


def _composer(folder: Path, model: LoadedModel) -> Composer:
    if model.vision is None:
        return Composer(folder, model.config)
    return Composer(folder, model.config, model.vision.prepare, model.vision.measure)


def _described(folder: Path, model: LoadedModel, context: int) -> ModelInfo:
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


def _gauges(resident: Resident | None) -> Gauges:
    """On a GPU the parts add up to what the driver calls used: `weights` is this process's memory without the state and
    the vision tower, so it includes what the computation itself needs."""
    if resident is None:
        return Gauges("none", 0, 0, 0, 0, 0, 0, 0)
    memory, state = resident.gauge.read(), resident.state
    if resident.model.device.type != "cuda":
        return Gauges("cpu", memory.total, memory.own, 0, 0, memory.other, state.length, state.capacity)
    cache, vision = state.nbytes, resident.model.vision_bytes
    rest = max(0, memory.own - cache - vision)
    return Gauges("gpu", memory.total, rest, cache, vision, memory.other, state.length, state.capacity)


def _give_back_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

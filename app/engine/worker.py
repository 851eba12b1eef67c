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
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Never, assert_never

import torch

from app.engine.capacity import Wanted, choose_context
from app.engine.devices import choose_device
from app.engine.failure import failed
from app.engine.generation import Between
from app.engine.load import open_model
from app.engine.memory import free_bytes
from app.engine.prompt import PromptError
from app.engine.request import Request
from app.engine.resident import Resident, described, gauges_of, resident_for, saved_below
from app.engine.sessions import Sessions
from app.engine.sessions_disk import SavedSessions, forget
from app.engine.sessions_idle import read_ahead
from app.engine.sessions_keys import Keys
from app.engine.wire import Pulse, Reader, Wire, leave
from app.protocol import (
    AnswerNow,
    EngineCommand,
    FailureKind,
    Forget,
    Generate,
    Load,
    Loaded,
    Loading,
    Measure,
    Stop,
    Unload,
    Unloaded,
)

_REPORT_SECONDS = 1.0
_PROGRESS_SECONDS = 0.1
_QUIET_SECONDS = 300.0
"""After so long without a command the person is gone, and what can wait until then is done."""
_FOREIGN_BEATS = 600
_WORTH_LOGGING = ("memory", "device", "internal")


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
        self._idle: Callable[[], bool] | None = None
        self._later: Callable[[], bool] | None = None
        self._commanded = 0.0
        self._asked = ""

    def run(self) -> Never:
        """Work until the process ends, which the reader decides."""
        while True:
            self._report()
            try:
                command = self._reader.commands.get(timeout=0 if self._idle else _REPORT_SECONDS)
            except Empty:
                self._while_idle()
                continue
            self._do(command)

    def _while_idle(self) -> None:
        """Do what is good to have done before the next command; nobody asked for it, so nobody hears of a failure. What
        a command interrupts goes on behind it, if it is of use then."""
        work, self._idle = self._idle, None
        if work is None and time.monotonic() - self._commanded >= _QUIET_SECONDS:
            work, self._later = self._later, None
        if work is None:
            return

        def begin() -> None:
            if not work():
                self._idle = work

        self._recover(self._guarded("", begin, self._free_bytes, quietly=True))
        self._report(now=True)

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
                self._forget(command)
            case Unload():
                self._drop()
                self._send(Unloaded())
            case Stop() | AnswerNow():  # the reader takes these; one that came here has nothing to act on
                pass
            case _:
                assert_never(command)
        self._commanded = time.monotonic()
        self._report(now=True)

    def measure(self, command: Measure) -> None:
        """Count a draft. Touches neither the device nor the state, so that the reader may call it at any time."""
        self._guarded(command.request, lambda: self._measure(command), int)

    def _measure(self, command: Measure) -> None:
        resident = self._loaded()
        self._send(resident.composer.measure(command, resident.sessions.state.capacity))

    def _load(self, command: Load) -> None:
        began = time.monotonic()
        self._drop()
        folder = Path(command.model)
        self._progress("Looking at the model", 0, 0)
        self._device = choose_device(command.device)
        with self._patience(command):
            kernels = Path(command.cache_dir) / "kernels" if command.cache_dir else None
            wanted = Wanted(command.context, command.yarn, command.kv_bits)
            model = open_model(folder, command.device, command.backend, self._progress, kernels, wanted=wanted)
        self._device = model.device
        self._progress("Making room for the context", 0, 0)
        context = choose_context(model, command.context, free_bytes(model.device), command.kv_bits)
        self._resident = resident_for(folder, model, context, command)
        self._resident.load_seconds = seconds = time.monotonic() - began
        self._reader.measure = self.measure
        self._send(Loaded(described(folder, model, context), seconds))

    def _patience(self, command: Load) -> AbstractContextManager[None]:
        """Parley's own engine reports every tensor; GPTQModel imports and loads for minutes without a word."""
        if command.backend == "parley":
            return nullcontext()
        return Pulse(self._wire, Loading("Loading with GPTQModel", 0, 0), beats=_FOREIGN_BEATS)

    def _generate(self, command: Generate) -> None:
        resident = self._loaded()
        self._idle = self._later = None
        request = Request(command, resident.load_seconds, self._reader.interrupts, self._send, self._report)
        resident.load_seconds = 0.0
        saved, name = resident.saved, command.conversation

        def recall(keys: Keys, check: Callable[[], None]) -> None:
            if saved is not None and name:
                saved.recall(name, keys, resident.sessions, check)

        answered = request.answer(resident.model, resident.composer, resident.sessions, resident.pace, recall)
        self._idle, self._asked = partial(self._prepare, resident, command, answered), name

    def _prepare(self, resident: Resident, asked: Generate, answered: str) -> bool:
        """Make the next turn of a conversation quick, until a command comes; False if one came."""
        between = Between(self._awaited, _unheard, self._report)
        model, composer, sessions = resident.model, resident.composer, resident.sessions
        done = read_ahead(model, composer, sessions, resident.pace, asked=asked, answered=answered, between=between)
        sessions.make_ready()
        if done and resident.saved is not None and asked.conversation:
            save = partial(self._save, resident.saved, asked.conversation, sessions)
            if resident.saved.worth(asked.conversation, sessions):
                return save()
            self._later = save
        return done

    def _save(self, saved: SavedSessions, conversation: str, sessions: Sessions) -> bool:
        """Write down what was read of a conversation, until a command comes; False if one came."""
        try:
            return saved.save(conversation, sessions, self._awaited_or_reported)
        except (OSError, MemoryError) as error:  # a full disk: the conversation will be read again, nothing else
            sys.stderr.write(f"what was read could not be saved: {error}\n")
            return True

    def _awaited_or_reported(self) -> bool:
        self._report()
        return self._awaited()

    def _awaited(self) -> bool:
        return not self._reader.commands.empty()

    def _forget(self, command: Forget) -> None:
        """Erase a conversation: whatever fails, the rest of it goes."""
        name, below = command.conversation, saved_below(command)
        if name == self._asked:
            self._idle = self._later = None
        if below is not None:
            self._recover(self._guarded("", partial(forget, below, name), self._free_bytes, quietly=True))
        if self._resident is not None:
            sessions = self._resident.sessions
            kind = self._guarded("", partial(sessions.forget, name, self._report), self._free_bytes, quietly=True)
            self._recover(kind)
            if kind is not None:
                sessions.clear()

    def _loaded(self) -> Resident:
        if self._resident is None:
            raise PromptError("No model is loaded; choose a model first.")
        return self._resident

    def _drop(self) -> None:
        self._finish_saving()
        self._reader.measure = None
        self._idle = self._resident = None
        _give_back_memory()

    def _finish_saving(self) -> None:
        """What could wait cannot wait any longer."""
        work, self._later = self._later, None

        def finish() -> None:
            if work is not None:
                work()

        self._recover(self._guarded("", finish, self._free_bytes, quietly=True))

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
            self._send(gauges_of(self._resident))

    def _free_bytes(self) -> int:
        return free_bytes(self._device)

    def _guarded(
        self, request: str, work: Callable[[], None], free: Callable[[], int], *, quietly: bool = False
    ) -> FailureKind | None:
        """Do something that may fail: whatever it raises becomes one message, or, `quietly`, one in the log, and the
        engine goes on."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the engine's one broad except
            message = failed(request, error, free)
        else:
            return None
        if message.kind in _WORTH_LOGGING:
            sys.stderr.write(message.detail)
        if not quietly or message.kind == "device":
            self._send(message)
        return message.kind

    def _recover(self, kind: FailureKind | None) -> None:
        """After a failure: by now the exception is gone, and with it every tensor that its frames held."""
        touched = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch does not annotate it
        if kind == "device" and (self._resident is not None or touched):
            leave(1)  # after a CUDA error nothing on the device can be used any more
        if kind in _WORTH_LOGGING and self._resident is not None:
            self._resident.sessions.spoil()
            if kind == "internal":
                self._resident.sessions.clear()  # it may come of what was kept, and every retry would fail as well
            if kind == "memory" and self._resident.model.device.type == "cpu":
                self._resident.sessions.clear()  # what is kept of other conversations is of the memory that ran out
        if kind == "memory" or (kind is not None and self._resident is None):
            _give_back_memory()  # also after a load that failed once the weights were there


def _unheard(_done: int) -> None:
    """Nobody watches how far it is."""


def _give_back_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

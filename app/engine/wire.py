"""The engine's two streams: messages out on a private copy of stdout, commands in on stdin, each one line.

Knows lines, threads and which commands are urgent. Does not know what a model is, and never touches CUDA: `Stop`,
`AnswerNow` and `Measure` are taken here, in the reader thread, while the worker is busy with something else.
"""

import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import BinaryIO

from app.protocol import (
    AnswerNow,
    EngineCommand,
    EngineEvent,
    Failed,
    Forget,
    Generate,
    Load,
    Measure,
    ProtocolError,
    Stop,
    Unload,
    decode,
    encode,
)


def claim_stdout() -> int:
    """A private descriptor for messages; from now on whatever prints to stdout, in Python or in C, lands on stderr.

    The copy is not inherited by child processes, so none of them can hold the stream open or write into it.
    """
    private = os.dup(1)
    if os.name == "nt":
        import msvcrt  # noqa: PLC0415  only there

        msvcrt.setmode(private, os.O_BINARY)  # type: ignore[attr-defined, unused-ignore]
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return private


class Wire:
    """Writes messages, one whole line at a time, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, event: EngineEvent) -> None:
        """Write one message. A face that is gone ends the process: there is nobody left to answer."""
        line = memoryview(encode(event))
        try:
            with self._lock:
                while line:
                    line = line[os.write(self._descriptor, line) :]
        except OSError:  # a broken pipe, or on Windows an invalid argument
            leave(0)


class Pulse:
    """Says the same again and again while one call takes long and cannot report, such as the import of torch from a
    cold disk, so that the face does not take it for a hang.

    Only for a named section, and only so many `beats` at an `interval` of seconds: after that the pulse falls silent
    and a hang shows as one. It is no proof of life of the worker, so it must never be put around work that can report
    by itself.
    """

    def __init__(self, wire: Wire, event: EngineEvent, *, beats: int, interval: float = 1.0) -> None:
        self.thread = threading.Thread(target=self._beat, name="pulse", daemon=True)
        self._wire = wire
        self._event = event
        self._beats = beats
        self._interval = interval
        self._over = threading.Event()

    def __enter__(self) -> None:
        self._wire.send(self._event)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.thread.join()

    def _beat(self) -> None:
        for _ in range(self._beats):
            if self._over.wait(self._interval):
                return
            self._wire.send(self._event)


class Interrupts:
    """What was said about requests that are not finished yet. Written by the reader, read by the worker."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._stopped: set[str] = set()
        self._hurried: set[str] = set()

    def expect(self, request: str) -> None:
        """A request was read; it can be stopped from now on, also while it still waits its turn."""
        self._open.add(request)

    def stop(self, request: str) -> None:
        """Remember to stop it; a request that is not open is none of ours."""
        if request in self._open:
            self._stopped.add(request)

    def hurry(self, request: str) -> None:
        """Remember to lead it out of its thinking."""
        if request in self._open:
            self._hurried.add(request)

    def stopped(self, request: str) -> bool:
        """Whether the person wants it to end."""
        return request in self._stopped

    def hurried(self, request: str) -> bool:
        """Whether the person wants the answer now."""
        return request in self._hurried

    def close(self, request: str) -> None:
        """It is finished: forget what was said about it."""
        for known in (self._open, self._stopped, self._hurried):
            known.discard(request)


class Reader(threading.Thread):
    """Takes stdin. Urgent commands are done here and now, everything else goes to the worker's queue, `commands`.

    The worker sets `measure` while it holds a model: then a `Measure` is answered on the spot, and otherwise waits its
    turn. The end of stdin means that the face is gone and ends the process, whatever the worker is doing.
    """

    def __init__(self, stream: BinaryIO, wire: Wire) -> None:
        super().__init__(name="reader", daemon=True)
        self.commands: SimpleQueue[EngineCommand] = SimpleQueue()
        self.interrupts = Interrupts()
        self.measure: Callable[[Measure], None] | None = None
        self._stream = stream
        self._wire = wire

    def run(self) -> None:
        """Read until the stream ends, then end the process; a deaf engine would never end by itself."""
        try:
            for line in self._stream:
                self._take(line)
        finally:
            if sys.exc_info()[0] is not None:
                sys.excepthook(*sys.exc_info())
            leave(0)

    def _take(self, line: bytes) -> None:
        try:
            command = decode(line)
        except ProtocolError as error:
            self._refuse(str(error))
            return
        match command:
            case Stop(request):
                self.interrupts.stop(request)
            case AnswerNow(request):
                self.interrupts.hurry(request)
            case Measure():
                answer_now = self.measure or self.commands.put
                answer_now(command)
            case Generate(request):
                self.interrupts.expect(request)
                self.commands.put(command)
            case Load() | Forget() | Unload():
                self.commands.put(command)
            case _:
                self._refuse(f"not a command: {type(command).__name__}")

    def _refuse(self, detail: str) -> None:
        sentence = "The engine was sent a line that it does not understand; it ignores it and goes on."
        self._wire.send(Failed("", "internal", sentence, detail))


def leave(status: int) -> None:
    """End the process at once, without waiting for a computation, a destructor or an interpreter shutdown."""
    try:
        sys.stderr.flush()
    finally:
        os._exit(status)

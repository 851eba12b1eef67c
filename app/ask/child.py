"""One of Parley's programs as a child process: messages in, messages out, and what it means when none come.

Knows: pipes, time, the protocol's lines. Does not know: what the messages say.
"""

import queue
import subprocess
import threading
from typing import IO

from app import paths
from app.ask.refusal import FAILURE, AskError
from app.programs import ProgramName, program
from app.protocol import Message, ProtocolError, decode, encode

_END_SECONDS = 5.0


class LostError(AskError):
    """The program ended or does not answer any more."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, FAILURE)


class Child:
    """A running program. Its log, which is its stderr, goes into a file, for it is not meant for the person."""

    def __init__(self, name: ProgramName) -> None:
        """Start it. Raises `LostError`."""
        self._name = name
        command = program(name)
        log = _log(name)
        try:
            self._process = subprocess.Popen(
                command.argv,
                cwd=command.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if log is None else log,
            )
        except OSError as error:
            raise LostError(f"The {name} cannot be started ({error.strerror}); install Parley again.") from error
        finally:
            if log is not None:
                log.close()
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name=name, daemon=True).start()

    def send(self, message: Message) -> None:
        """Write one message. A program that is gone shows at the next `receive`."""
        pipe = self._process.stdin
        if pipe is not None:
            try:
                pipe.write(encode(message))
                pipe.flush()
            except OSError:  # a broken pipe, or on Windows an invalid argument
                return

    def receive(self, seconds: float) -> Message:
        """The next message. Raises `LostError` when the program has ended, or was silent for so long."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            self.close(kill=True)
            raise LostError(
                f"The {self._name} has not answered for {seconds:.0f} seconds; try again, and see {paths.log_dir()} "
                "if it happens again."
            ) from None
        if not line:
            raise LostError(f"The {self._name} ended unexpectedly; try again, and see {paths.log_dir()} for why.")
        try:
            return decode(line)
        except ProtocolError as error:
            self.close(kill=True)
            raise LostError(f"The {self._name} does not belong to this version of Parley; install it again.") from error

    def close(self, *, kill: bool = False) -> None:
        """End it: closing its stdin is enough for one that lives."""
        if kill:
            self._process.kill()
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                self._process.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        """Move lines from the pipe to the queue; an empty one at the end says that there are no more."""
        pipe = self._process.stdout
        if pipe is not None:
            with pipe:
                for line in pipe:
                    self._lines.put(line)
        self._lines.put(b"")


def _log(name: ProgramName) -> IO[bytes] | None:
    try:
        paths.log_dir().mkdir(parents=True, exist_ok=True)
        return (paths.log_dir() / f"ask-{name}.log").open("wb")
    except OSError:
        return None

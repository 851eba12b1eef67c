"""The decoder's parent: reads `Decode` lines, has each answered by a child process, and relays the answers.

Knows processes and nothing of formats; imports nothing heavy, so it starts in 60 ms and stays small. A fresh process a
job, not a fork: it is the same on every system, a job can lower its own limits for good, and whatever foreign bytes do
to a library ends with it. Measured: 0.09 s for a picture's process, 0.3 s with OpenCV; a fork would save 0.2 s of that
and inherit the parent's threads. A child that crashes, is killed by its limits or takes too long becomes a `Refused`.
Two jobs run at a time, so that a picture does not wait for a film; answers name their request and come in any order.
"""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from app.media import JOB_ARGUMENT
from app.media.limits import WALL_SECONDS, environment
from app.media.refusal import quoted
from app.media.store import remove_parts
from app.protocol import Decode, Decoded, ProtocolError, Refused, decode, encode

_JOBS_AT_A_TIME = 2


def serve(commands: BinaryIO, answers: BinaryIO, wall_seconds: float = WALL_SECONDS) -> None:
    """Answer every `Decode` line of `commands` until it closes; then end whatever still runs."""
    decoder = Decoder(answers, wall_seconds)
    try:
        for line in commands:
            try:
                command = decode(line)
            except ProtocolError as error:
                print(f"decoder: {error}", file=sys.stderr, flush=True)  # noqa: T201
                continue
            if isinstance(command, Decode):
                decoder.submit(command)
    finally:
        decoder.close()


class Decoder:
    """Runs jobs in child processes and writes their answers, each line whole."""

    def __init__(self, answers: BinaryIO, wall_seconds: float) -> None:
        self._answers = answers
        self._wall_seconds = wall_seconds
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closing = False
        self._pool = ThreadPoolExecutor(_JOBS_AT_A_TIME, "job")

    def submit(self, job: Decode) -> None:
        """Have `job` answered as soon as one of the running ones is done."""
        self._pool.submit(self._answer, job)

    def close(self) -> None:
        """End the running jobs without an answer and forget those that wait."""
        with self._lock:
            self._closing = True
            for process in self._running:
                process.kill()
        self._pool.shutdown(cancel_futures=True)

    def _answer(self, job: Decode) -> None:
        try:
            answer = self._run(job)
        except OSError as error:
            answer = Refused(
                job.request, f"The decoder could not start ({error.strerror}): close other programs and retry."
            )
        with self._lock:
            if not self._closing:
                self._answers.write(encode(answer))
                self._answers.flush()

    def _run(self, job: Decode) -> Decoded | Refused:
        with self._lock:
            if self._closing:
                return Refused(job.request, "Parley is closing.")
            process = subprocess.Popen(
                job_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), bufsize=0
            )
            self._running.add(process)
        timed_out = threading.Event()
        timer = threading.Timer(self._wall_seconds, _end, (process, timed_out))
        timer.start()
        try:
            line = _exchange(process, encode(job))
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(process)
        remove_parts(Path(job.into), process.pid)
        return _relayed(job, line, timed_out.is_set(), self._wall_seconds)


def job_command() -> list[str]:
    """How this program starts itself for one job: frozen it is an executable of its own."""
    if getattr(sys, "frozen", False):
        return [sys.executable, JOB_ARGUMENT]
    return [sys.executable, "-m", "app.media", JOB_ARGUMENT]


def _end(process: "subprocess.Popen[bytes]", timed_out: threading.Event) -> None:
    timed_out.set()
    process.kill()


def _exchange(process: "subprocess.Popen[bytes]", line: bytes) -> bytes:
    """Everything the child writes until it ends. Its stdin stays open meanwhile: closing it would end the child."""
    with process:
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        try:
            process.stdin.write(line)
        except BrokenPipeError:
            return b""
        return process.stdout.read()


def _relayed(job: Decode, line: bytes, timed_out: bool, wall_seconds: float) -> Decoded | Refused:
    name = quoted(Path(job.path).name)
    if timed_out:
        minutes = wall_seconds / 60
        return Refused(
            job.request, f"{name} took longer than {minutes:.0f} minutes to decode: cut out the part that matters."
        )
    try:
        answer = decode(line)
    except ProtocolError:
        answer = None
    if isinstance(answer, Decoded | Refused):
        return answer
    return Refused(
        job.request,
        f"{name} made the decoder stop, so it is damaged or too large for it: save a smaller or fresh copy.",
    )

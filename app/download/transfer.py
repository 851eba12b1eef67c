"""The bytes behind an address, however often the line fails: waits, tries again, goes on where it was.

Knows patience: what a stall is, how long to wait, when to give up. Does not know files or repositories.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from app.download.control import Control
from app.download.errors import DownloadError, LineError
from app.download.line import Line
from app.download.progress import Progress
from app.download.web import Web
from app.protocol import DownloadStage


class _PausedError(Exception):
    """The person wants it to wait; the line was let go."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, and `attempts` in a row that bring nothing. `stalled`: a silence that is worth a word; `silent`: one
    after which the line is given up and opened again. Waits double from `first_wait` to `longest_wait`; a wait that the
    other side asks for is granted up to `longest_asked`."""

    look: float = 0.2
    stalled: float = 5.0
    silent: float = 30.0
    attempts: int = 10
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 600.0


class Transfer:
    """Fetches addresses for one download, and tells `progress` what it waits for."""

    def __init__(self, web: Web, control: Control, progress: Progress, patience: Patience) -> None:
        self._web = web
        self._control = control
        self._progress = progress
        self._patience = patience

    def whole(self, url: str, what: str, limit: int) -> bytes:
        """A short answer. Raises `DownloadError` and `CancelledError`."""
        failures = 0
        while True:
            gathered = bytearray()
            try:
                for piece in self._attempt(url, what, 0, "listing"):
                    gathered += piece
                    if len(gathered) > limit:
                        raise DownloadError("repository", f"The hub's answer about {what} is far too long; try later.")
                return bytes(gathered)
            except _PausedError:
                self._pause(what)
            except LineError as error:
                failures += 1
                self._wait(url, what, failures, error)

    def pieces(self, url: str, what: str, begin: int, end: int) -> Iterator[bytes]:
        """The bytes from `begin` to `end`, piece by piece. Raises `DownloadError` and `CancelledError`."""
        position = begin
        failures = 0
        while position < end:
            try:
                for piece in self._attempt(url, what, position, "fetching"):
                    fresh = piece[: end - position]
                    position += len(fresh)
                    failures = 0
                    yield fresh
                    if position == end:
                        return
                raise LineError("the answer was too short")
            except _PausedError:
                self._pause(what)
            except LineError as error:
                failures += 1
                self._wait(url, what, failures, error)

    def _attempt(self, url: str, what: str, begin: int, stage: DownloadStage) -> Iterator[bytes]:
        """What one line brings, from `begin` on, until it ends. Raises `_PausedError` if the person pauses."""
        with Line(partial(self._web.open, url, begin, what)) as line:
            heard = time.monotonic()
            skip: int | None = None
            while not self._control.paused:
                piece = line.take(self._patience.look)
                if piece is None:
                    self._be_patient(what, time.monotonic() - heard)
                    continue
                if not piece:
                    return
                heard = time.monotonic()
                skip = begin - line.begin if skip is None else skip
                self._progress.begin(stage, what)
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(0, skip - len(piece))
        raise _PausedError

    def _be_patient(self, what: str, silence: float) -> None:
        if silence >= self._patience.silent:
            raise LineError(f"nothing came for {silence:.0f} seconds")
        if silence >= self._patience.stalled:
            self._progress.begin("stalled", what, f"Nothing has come for {silence:.0f} seconds.")
        self._progress.tell()

    def _pause(self, what: str) -> None:
        """Wait while the person wants that."""
        while self._control.paused:
            self._progress.begin("paused", what)
            self._control.wait(1.0, paused=True)

    def _wait(self, url: str, what: str, failures: int, error: LineError) -> None:
        """Let the trouble pass before the next attempt, or give up."""
        host = urlsplit(url).hostname
        if failures >= self._patience.attempts:
            raise DownloadError(
                "network",
                f"{what} could not be fetched from {host}: {error}, {failures} times in a row; check the connection "
                "and start again, what has arrived is kept.",
            ) from error
        doubled = min(self._patience.longest_wait, self._patience.first_wait * 2 ** (failures - 1))
        wait = doubled if error.wait is None else max(error.wait, self._patience.first_wait)
        if wait > self._patience.longest_asked:
            raise DownloadError(
                "network",
                f"{host} asks Parley to come back in {wait / 60:.0f} minutes; start again then, what has arrived is "
                "kept.",
            ) from error
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0 and not self._control.paused:
            self._progress.begin("waiting", what, f"Trying again in {left:.0f} s: {error}.")
            self._control.wait(min(1.0, left), paused=False)

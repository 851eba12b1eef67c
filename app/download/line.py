"""One answer's bytes, fetched by a thread of its own, so that whoever waits for them can stop waiting.

Knows threads and a queue. Does not know files, nor what to do when the line fails. What has come and was not taken yet
is at most `_WAITING` pieces of `PIECE` bytes; then the other side waits.
"""

import http.client
import queue
import threading
from collections.abc import Callable

from app.download.errors import LineError
from app.download.web import line_error

PIECE = 256 * 2**10
_WAITING = 32
_LOOK_SECONDS = 0.2

Opened = tuple[http.client.HTTPResponse, int]


class Line:
    """An answer that is being read. A context manager; leaving it ends the reading."""

    def __init__(self, opening: Callable[[], Opened]) -> None:
        self._opening = opening
        self._pieces: queue.Queue[bytes | Exception] = queue.Queue(_WAITING)
        self._closed = threading.Event()
        self.begin = 0
        """At which byte of the file the first piece begins; known when it has come."""

    def __enter__(self) -> "Line":
        threading.Thread(target=self._read, name="line", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that waits for a dead line ends with that line's own time limit; nobody waits for it.
        self._closed.set()

    def take(self, seconds: float) -> bytes | None:
        """The next piece; empty at the end, None if nothing came for so long. Raises what went wrong."""
        try:
            piece = self._pieces.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(piece, Exception):
            raise piece
        return piece

    def _read(self) -> None:
        try:
            response, self.begin = self._opening()
            with response:
                piece = b"?"
                while piece and not self._closed.is_set():
                    piece = response.read1(PIECE)
                    if not piece and response.length:
                        raise LineError("the line broke")
                    self._put(piece)
        except (OSError, http.client.HTTPException) as error:
            self._put(line_error(error))
        except Exception as error:  # noqa: BLE001 - not dealt with here, but raised where it was waited for
            self._put(error)

    def _put(self, piece: bytes | Exception) -> None:
        while not self._closed.is_set():
            try:
                self._pieces.put(piece, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return

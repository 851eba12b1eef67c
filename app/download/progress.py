"""How far it is, how fast, and how long it will take; said often enough and not too often. Knows a clock."""

import time
from collections import deque
from collections.abc import Callable

from app.protocol import Downloading, DownloadStage

_SAY_SECONDS = 0.25
_LOOK_BACK_SECONDS = 10.0


class Progress:
    """Counts bytes of `total`. `done` may go back, when bytes have to be fetched again."""

    def __init__(
        self, request: str, say: Callable[[Downloading], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._request = request
        self._say = say
        self._clock = clock
        self._stage: DownloadStage = "listing"
        self._file = ""
        self._note = ""
        self._said = float("-inf")
        self._marks: deque[tuple[float, int]] = deque()
        self.total = 0
        self.done = 0

    def begin(self, stage: DownloadStage, file: str = "", note: str = "") -> None:
        """From now on it is doing this; said at once if it is something else than before."""
        changed = (stage, file, note) != (self._stage, self._file, self._note)
        if stage != self._stage:
            self._marks.clear()
        self._stage, self._file, self._note = stage, file, note
        self.tell(now=changed)

    def add(self, count: int) -> None:
        """So many bytes more, or less."""
        self.done += count
        self.tell()

    def tell(self, *, now: bool = False) -> None:
        """Say it, if it was not said just before."""
        time_now = self._clock()
        if not now and time_now - self._said < _SAY_SECONDS:
            return
        self._said = time_now
        speed = self._speed(time_now) if self._stage == "fetching" else 0.0
        left = (self.total - self.done) / speed if speed > 0 else 0.0
        self._say(Downloading(self._request, self._stage, self._file, self.done, self.total, speed, left, self._note))

    def _speed(self, now: float) -> float:
        """Bytes a second of the last seconds."""
        self._marks.append((now, self.done))
        while now - self._marks[0][0] > _LOOK_BACK_SECONDS:
            self._marks.popleft()
        since, done = self._marks[0]
        return max(0.0, (self.done - done) / (now - since)) if now > since else 0.0

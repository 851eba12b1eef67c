"""What the person wants meanwhile: on, paused, or ended. The listening thread writes it, the working one reads it."""

import threading

from app.download.errors import CancelledError


class Control:
    """The switch of one download or verification."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = False
        self._cancelled = False
        self._discard = False

    def pause(self, *, paused: bool) -> None:
        """Pause, or go on."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def cancel(self, *, discard: bool) -> None:
        """End it; `discard`: and take away what has arrived."""
        with self._changed:
            self._cancelled, self._discard = True, discard
            self._changed.notify_all()

    @property
    def paused(self) -> bool:
        """Whether it shall wait. Raises `CancelledError` if it shall end."""
        with self._changed:
            if self._cancelled:
                raise CancelledError(discard=self._discard)
            return self._paused

    def wait(self, seconds: float, *, paused: bool) -> None:
        """Let time pass as long as it is `paused`, or is not. Raises `CancelledError`."""
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or self._paused != paused, seconds)
        _ = self.paused

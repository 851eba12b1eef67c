"""What can go wrong with a download: typed, and one sentence with a way out each. Does not know who shows it."""

import errno
from pathlib import Path

from app.protocol import DownloadTrouble

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class DownloadError(Exception):
    """It cannot go on; the text is the sentence for the person."""

    def __init__(self, kind: DownloadTrouble, sentence: str) -> None:
        super().__init__(sentence)
        self.kind: DownloadTrouble = kind


class CancelledError(Exception):
    """The person does not want it any more; `discard`: nor what has arrived."""

    def __init__(self, *, discard: bool) -> None:
        super().__init__("cancelled")
        self.discard = discard


class LineError(Exception):
    """The line failed in a way that may pass; the text is the middle of a sentence. `wait` are the seconds that the
    other side asked for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class WrongContentError(Exception):
    """A file arrived whole and is not what the hub's record says."""


def of_disk(error: OSError, folder: Path) -> DownloadError:
    """What a failed access to the disk means for the person."""
    if error.errno in _FULL:
        text = f"The disk of {folder} is full; make room and start again: what has arrived is kept."
    elif error.errno == errno.EFBIG:
        text = f"The disk of {folder} cannot hold files of this size; choose a folder on another disk."
    elif error.errno in _FORBIDDEN:
        text = f"Parley may not write to {folder}; choose another folder, or change its permissions."
    else:
        text = f"{folder} cannot be used ({error.strerror or type(error).__name__}); choose another folder or disk."
    return DownloadError("disk", text)

"""One download at a time into a folder: a lock that the system lets go when its process ends, however it ends."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.download.errors import DownloadError

LOCK = ".parley-download"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have the folder to oneself. Raises `DownloadError` when another program has it, and `OSError`."""
    path = folder / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        if not _taken(descriptor) or not _is_still(descriptor, path):
            raise DownloadError(
                "folder", f"Another program is downloading into {folder}; wait for it, or choose another folder."
            )
        try:
            yield
        finally:
            with suppress(OSError):  # the folder may be gone with all that was in it
                path.unlink()
    finally:
        os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether the file behind the lock is the one that others would find, and was not removed in between."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _taken(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - there alone

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - everywhere else

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

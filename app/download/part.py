"""A file while it arrives: `NAME.part` beside its place, and in its place only when its content is right.

Knows the disk and the digests. Does not know where the bytes come from.

What it holds after a crash: bytes beyond a multiple of `STEP` are written only when all those before it are known to be
on the disk. So whatever is left after a lost process, a crash or a power cut, the last such multiple below its length
was safely written, and at most `STEP` bytes are fetched again; no record beside the file is needed.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path

from app.download.content import Digest, read_into
from app.download.errors import WrongContentError
from app.download.manifest import Entry, sync_folder
from app.download.names import PART

STEP = 16 * 2**20
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Part:
    """One file that arrives. A context manager: leaving it keeps what is there. All may raise `OSError`."""

    def __init__(self, folder: Path, entry: Entry) -> None:
        self._entry = entry
        self._target = folder / entry.name
        self._part = part_of(folder, entry)
        _make_folders(folder, self._target.parent)
        self._file = FileIO(os.open(self._part, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o644), "r+")
        self._digest = Digest(entry)
        self.position = 0

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def recover(self, read: Callable[[int], None]) -> None:
        """Go on behind what was safely written before; `read` hears of every block of it that is read again."""
        keep = safe_length(self._part, self._entry)
        self._restart(keep)
        read_into(self._digest, self._part, keep, read)
        self._file.seek(keep)
        self.position = keep

    def write(self, piece: bytes) -> None:
        """Append a piece."""
        left = memoryview(piece)
        while left:
            written = self._file.write(left[: STEP - self.position % STEP])
            self._digest.update(left[:written])
            self.position += written
            left = left[written:]
            if self.position % STEP == 0:
                os.fsync(self._file.fileno())

    def restart(self) -> None:
        """Forget what arrived."""
        self._restart(0)

    def discard(self) -> None:
        """Take away what arrived."""
        self._file.close()
        self._part.unlink()

    def finish(self) -> Entry:
        """Put the file into its place; its entry, now with what was found. Raises `WrongContentError`."""
        if self.position != self._entry.size or not self._digest.fits:
            raise WrongContentError(self._entry.name)
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._target)
        sync_folder(self._target.parent)
        return replace(self._entry, sha256=self._digest.sha256, mtime_ns=self._target.stat().st_mtime_ns, ours=True)

    def _restart(self, keep: int) -> None:
        self._file.truncate(keep)
        self._file.seek(keep)
        self._digest = Digest(self._entry)
        self.position = keep


def part_of(folder: Path, entry: Entry) -> Path:
    """Where a file is while it arrives."""
    return folder / (entry.name + PART)


def safe_length(part: Path, entry: Entry) -> int:
    """How many bytes of an earlier attempt can be relied on."""
    try:
        length = part.stat().st_size
    except OSError:
        return 0
    return (length - 1) // STEP * STEP if 0 < length <= entry.size else 0


def _make_folders(folder: Path, place: Path) -> None:
    """The folders down to `place`; one that is a link to somewhere else is not followed."""
    current = folder
    for component in place.relative_to(folder).parts:
        current /= component
        with suppress(FileExistsError):
            current.mkdir()
        if current.is_symlink():
            raise NotADirectoryError(20, "a folder in it is a link", str(current))

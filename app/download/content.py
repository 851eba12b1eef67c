"""What a file's content is called: its SHA-256, and the name under which git knows it. Knows nothing else of files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from app.download.manifest import Entry

_BLOCK = 8 * 2**20


class Digest:
    """The digests of a file's content that comes piece by piece; git's only where the hub's record is one. It is of a
    header with the size, and then the content."""

    def __init__(self, entry: Entry) -> None:
        self._record = entry.record
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % entry.size, usedforsecurity=False)
        self._with_git = entry.record.startswith("git:")

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next piece."""
        self._sha256.update(piece)
        if self._with_git:
            self._git.update(piece)

    @property
    def sha256(self) -> str:
        """The SHA-256 so far, as hexadecimal digits."""
        return self._sha256.hexdigest()

    @property
    def fits(self) -> bool:
        """Whether this is the content that the hub's record names."""
        found = f"git:{self._git.hexdigest()}" if self._with_git else f"sha256:{self.sha256}"
        return found == self._record


def read_into(digest: Digest, path: Path, size: int, read: Callable[[int], None]) -> None:
    """Have the digest take the first `size` bytes of a file; `read` hears of every block. Raises `OSError`."""
    with path.open("rb", buffering=0) as file:
        while size and (block := file.read(min(_BLOCK, size))):
            digest.update(block)
            size -= len(block)
            read(len(block))


def right_sha256(path: Path, entry: Entry, read: Callable[[int], None]) -> str | None:
    """The file's SHA-256 if its content is what `entry` says, None if not or if it is not there. Raises `OSError`."""
    if not path.is_file() or path.stat().st_size != entry.size:
        return None
    digest = Digest(entry)
    read_into(digest, path, entry.size, read)
    return digest.sha256 if digest.fits else None

"""Attached files, kept by their content: a moved or changed original loses nothing. Knows files, no conversation."""

import hashlib
import os
import re
from collections.abc import Container
from pathlib import Path

from app.history.failure import HistoryError, translated

FOLDER = "files"
_CHUNK = 2**20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def place_of(folder: Path, digest: str) -> Path:
    """Where the file with this content is kept, or would be. Raises `HistoryError` for what is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise HistoryError("An attached file cannot be kept: its fingerprint makes no sense.")
    return folder / FOLDER / digest[:2] / digest


def keep(folder: Path, digest: str, source: Path) -> None:
    """Copy a file to where its content belongs. Raises `HistoryError` if it is gone or has another content now."""
    target = place_of(folder, digest)
    if target.is_file():
        return
    with translated(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{digest}-{os.getpid()}.part")
    try:
        if _copied(source, part, folder) != digest:
            raise HistoryError(
                f"“{source.name}” changed after it was sent, so no copy of it could be kept: attach it again in a new "
                "message to keep it."
            )
        with translated(folder):
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def sweep(folder: Path, used: Container[str]) -> None:
    """Remove the files that no message has any more."""
    with translated(folder):
        for file in (folder / FOLDER).glob("*/*"):
            if file.name not in used:
                file.unlink(missing_ok=True)


def _copied(source: Path, part: Path, folder: Path) -> str:
    """The digest of what was copied."""
    sha256 = hashlib.sha256()
    try:
        reading = source.open("rb")
    except OSError as error:
        raise HistoryError(
            f"No copy of “{source.name}” could be kept, because it is not there any more: attach it again in a new "
            "message to keep it."
        ) from error
    with reading, translated(folder), part.open("wb") as writing:
        while chunk := reading.read(_CHUNK):
            sha256.update(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return sha256.hexdigest()

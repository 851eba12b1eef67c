"""The record in a downloaded folder of what it has to hold: `parley-manifest.json`.

Knows the record's form and how it is written whole or not at all. Does not know the hub, nor how content is compared.
It is written before the first file, so that a download can go on without asking the hub again which files there are,
and every file that is not finished can be told from one that is somebody else's.
"""

import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.download.errors import DownloadError
from app.download.names import MANIFEST, PART, is_safe
from app.protocol import ProtocolError, from_plain, to_plain

_LARGEST_RECORD = 32 * 2**20
LARGEST_FILE = 2**44
_RECORD = re.compile(r"sha256:[0-9a-f]{64}|git:[0-9a-f]{40}")
_SHA256 = re.compile(r"(?:[0-9a-f]{64})?")
COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its size and what the hub says of its content, "sha256:…" or "git:…" (the id of a git blob).

    Once it was compared with that, `sha256` is its digest, and `mtime_ns` the time of change it then had; before they
    are empty and 0. `ours`: this download brought it, so it may be taken away again.
    """

    name: str
    size: int
    record: str
    sha256: str = ""
    mtime_ns: int = 0
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder has to hold: the files of one commit of one repository."""

    version: Literal[1]
    repository: str
    commit: str
    files: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)

    def with_entry(self, entry: Entry) -> "Manifest":
        """The same with another entry in the place of the one of that name."""
        return replace(self, files=tuple(entry if old.name == entry.name else old for old in self.files))


def read_manifest(folder: Path) -> Manifest | None:
    """The folder's record, None without one. Raises `DownloadError` for one that is damaged or not to be trusted."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            raw = file.read(_LARGEST_RECORD + 1)
    except FileNotFoundError:
        return None
    try:
        manifest = from_plain(Manifest, json.loads(raw) if len(raw) <= _LARGEST_RECORD else None)
    except (ProtocolError, ValueError, RecursionError) as error:
        raise _damaged(folder) from error
    if not _is_sound(manifest):
        raise _damaged(folder)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put the record into its place, safe from a crash. Raises `OSError`."""
    part = folder / (MANIFEST + PART)
    with part.open("w", encoding="utf-8") as file:
        json.dump(to_plain(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / MANIFEST)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have the disk remember renames in `folder`, where the system offers that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # some network folders refuse; then the rename is theirs to keep
            os.fsync(descriptor)
        os.close(descriptor)


def is_unchanged(folder: Path, entry: Entry) -> bool:
    """Whether a file was compared before and looks untouched since, by size and time of change."""
    try:
        found = (folder / entry.name).stat()
    except OSError:
        return False
    same = (found.st_size, found.st_mtime_ns) == (entry.size, entry.mtime_ns)
    return bool(entry.sha256) and same and stat.S_ISREG(found.st_mode)


def _is_sound(manifest: Manifest) -> bool:
    names = [entry.name for entry in manifest.files]
    return (
        bool(REPOSITORY.fullmatch(manifest.repository))
        and bool(COMMIT.fullmatch(manifest.commit))
        and len({name.casefold() for name in names}) == len(names) > 0
        and all(
            is_safe(entry.name)
            and 0 <= entry.size <= LARGEST_FILE
            and bool(_RECORD.fullmatch(entry.record))
            and bool(_SHA256.fullmatch(entry.sha256))
            for entry in manifest.files
        )
    )


def _damaged(folder: Path) -> DownloadError:
    return DownloadError(
        "folder",
        f"{MANIFEST} in {folder} is damaged; remove that file and download again into the same folder: "
        "files that are right are kept.",
    )

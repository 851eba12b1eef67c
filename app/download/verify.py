"""Whether a folder holds what its manifest says, and nothing else. Knows the folder alone; asks no hub.

The manifest is taken at its word: this finds damage, and what was put beside a model or into it, but not somebody who
changes a file and the manifest alike.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from app.download.content import right_sha256
from app.download.control import Control
from app.download.errors import DownloadError, of_disk
from app.download.lock import LOCK
from app.download.manifest import Entry, Manifest, is_unchanged, read_manifest, write_manifest
from app.download.names import MANIFEST, PART
from app.download.part import part_of
from app.download.progress import Progress
from app.protocol import Problem

_OF_FILE_MANAGERS = {"desktop.ini", "Thumbs.db"}
_OF_OURS = {MANIFEST, MANIFEST + PART, LOCK}


def verified(folder: Path, control: Control, progress: Progress, *, full: bool) -> tuple[Manifest, tuple[Problem, ...]]:
    """Compare the folder with its manifest: by size and time of change, and by content what looks changed; `full`:
    all by content. Raises `DownloadError` and `CancelledError`."""
    try:
        manifest = read_manifest(folder)
        if manifest is None:
            raise _without_manifest(folder)
        return _compared(folder, manifest, control, progress, full=full)
    except OSError as error:
        raise of_disk(error, folder) from error


def strangers(folder: Path, known: set[str]) -> Iterator[Path]:
    """Every file below the folder whose name is not known; hidden ones, and those of file managers, concern nobody."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place) / name
            relative = path.relative_to(folder).as_posix()
            ignored = name.startswith(".") or name in _OF_FILE_MANAGERS or relative in _OF_OURS
            if not ignored and relative not in known:
                yield path


def _compared(
    folder: Path, manifest: Manifest, control: Control, progress: Progress, *, full: bool
) -> tuple[Manifest, tuple[Problem, ...]]:
    def read(count: int) -> None:
        _ = control.paused  # raises when it shall end
        progress.add(count)

    progress.total = manifest.size
    problems: list[Problem] = []
    found = manifest
    for before, entry in _with_bytes_before(manifest):
        progress.begin("checking", entry.name)
        if not is_unchanged(folder, entry) or full:
            problem, now = _looked_at(folder, entry, read)
            problems += problem
            found = found.with_entry(now)
        progress.add(before + entry.size - progress.done)
    known = {entry.name for entry in manifest.files} | {entry.name + PART for entry in manifest.files}
    for path in strangers(folder, known):
        name = path.relative_to(folder).as_posix()
        problems.append(Problem(name, "foreign", f"{name} does not belong to {manifest.repository}."))
    if found != manifest and os.access(folder, os.W_OK):
        write_manifest(folder, found)
    return found, tuple(problems)


def _with_bytes_before(manifest: Manifest) -> Iterator[tuple[int, Entry]]:
    before = 0
    for entry in manifest.files:
        yield before, entry
        before += entry.size


def _looked_at(folder: Path, entry: Entry, read: Callable[[int], None]) -> tuple[list[Problem], Entry]:
    """What is wrong with a file, if anything, and its entry: one that is right only has another time of change."""
    path = folder / entry.name
    if not path.is_file():
        what = "has not arrived completely" if part_of(folder, entry).exists() else "is missing"
        return [Problem(entry.name, "missing", f"{entry.name} {what}.")], entry
    size = path.stat().st_size
    if size != entry.size:
        sentence = f"{entry.name} has {size:,} bytes instead of {entry.size:,}."
        return [Problem(entry.name, "size", sentence)], entry
    mtime = path.stat().st_mtime_ns  # before it is read, so that a change meanwhile shows the next time
    sha256 = right_sha256(path, entry, read)
    if sha256 is None or entry.sha256 not in {"", sha256}:
        return [Problem(entry.name, "changed", f"{entry.name} has another content than it should.")], entry
    return [], replace(entry, sha256=sha256, mtime_ns=mtime)


def _without_manifest(folder: Path) -> DownloadError:
    if not folder.is_dir():
        return DownloadError("folder", f"There is no folder {folder}; name one that a model was downloaded to.")
    return DownloadError(
        "folder",
        f"{folder} has no {MANIFEST} that says what it should hold; `parley download` into this folder compares it "
        "with the hub and keeps what is right.",
    )

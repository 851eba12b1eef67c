"""A whole download: which files, whether they fit, each until it is there and right, and the record of it.

Knows the order of things. Does not know: HTTP, how bytes are written, who asked. The folder holds nothing but the
files, those of them that have not arrived completely, the manifest, and a lock while it runs.
"""

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from app.download.content import right_sha256
from app.download.control import Control
from app.download.errors import CancelledError, DownloadError, WrongContentError, of_disk
from app.download.hub import Hub
from app.download.lock import locked
from app.download.manifest import Entry, Manifest, is_unchanged, read_manifest, write_manifest
from app.download.names import MANIFEST, PART, WEIGHTS, shown
from app.download.part import Part, part_of, safe_length
from app.download.progress import Progress
from app.download.transfer import Patience, Transfer
from app.download.verify import strangers
from app.download.web import Web
from app.engine.config import read_config
from app.engine.errors import CheckpointError

ROOM = 2**30
"""Bytes that stay free on the disk: one filled to the brim troubles every program."""
_DEFAULT_REVISION = "main"
_PATIENCE = Patience()


class Fetch:
    """One download into one folder. `run` may be called once."""

    def __init__(
        self, hub: Hub, folder: Path, control: Control, progress: Progress, *, patience: Patience = _PATIENCE
    ) -> None:
        self._hub = hub
        self._folder = folder
        self._control = control
        self._progress = progress
        self._transfer = Transfer(Web(hub.address, hub.token, patience.silent), control, progress, patience)

    def run(self, repository: str, revision: str = "") -> Manifest:
        """Bring what is missing; the manifest of the whole. Raises `DownloadError` and `CancelledError`."""
        repository = self._hub.repository(repository)
        if not self._folder.is_absolute():
            raise DownloadError("folder", f"{shown(str(self._folder))} is no whole path; name the folder in full.")
        made: list[Path] = []
        try:
            made += [place for place in (self._folder, *self._folder.parents) if not place.exists()]
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(self._folder):
                return self._locked(repository, revision)
        except OSError as error:
            raise of_disk(error, self._folder) from error
        finally:
            _remove_empty(made)

    def _locked(self, repository: str, revision: str) -> Manifest:
        manifest = self._begun(repository, revision)
        try:
            _ = self._control.paused  # what was cancelled meanwhile needs no connection any more
            return self._completed(manifest)
        except CancelledError as error:
            if error.discard:
                discard(self._folder)
            raise

    def _begun(self, repository: str, revision: str) -> Manifest:
        """The record that the folder has, or a new one."""
        self._progress.begin("listing")
        known = read_manifest(self._folder)
        if known is None:
            fresh = self._hub.listing(repository, revision or _DEFAULT_REVISION, self._transfer)
            fresh = self._adopted(fresh)
            self._check_space(fresh)
            write_manifest(self._folder, fresh)
            return fresh
        commit = known.commit
        if revision and revision != commit and known.repository == repository:
            commit = self._hub.listing(repository, revision, self._transfer).commit
        if (known.repository, known.commit) != (repository, commit):
            raise DownloadError(
                "folder",
                f"{self._folder} holds {known.repository} at {known.commit[:8]}; choose another folder for "
                f"{repository}{f' at {commit[:8]}' if repository == known.repository else ''}.",
            )
        self._check_space(known)
        return known

    def _adopted(self, manifest: Manifest) -> Manifest:
        """The manifest with those files that somebody put there before and that are right. Anything else that is there
        is not ours to touch, but for parts of these files: raises `DownloadError`."""
        parts = {entry.name + PART for entry in manifest.files}
        present = {path.relative_to(self._folder).as_posix() for path in strangers(self._folder, parts)}
        self._progress.total = manifest.size
        for entry in manifest.files:
            if entry.name in present:
                self._progress.begin("checking", entry.name)
                found = right_sha256(self._folder / entry.name, entry, self._heard)
                if found is not None:
                    present.discard(entry.name)
                    mtime = (self._folder / entry.name).stat().st_mtime_ns
                    manifest = manifest.with_entry(replace(entry, sha256=found, mtime_ns=mtime, ours=False))
        self._progress.done = 0
        for name in sorted(present):
            raise DownloadError(
                "folder",
                f"{self._folder} holds other files ({shown(name)}), and Parley does not overwrite what it did not "
                "write; choose an empty or a new folder.",
            )
        return manifest

    def _check_space(self, manifest: Manifest) -> None:
        missing = 0
        for entry in manifest.files:
            if not (self._folder / entry.name).exists():
                missing += entry.size - safe_length(part_of(self._folder, entry), entry)
        free = shutil.disk_usage(self._folder).free
        if missing and free < missing + ROOM:
            raise DownloadError(
                "disk",
                f"{missing / 1e9:.1f} GB have yet to come and the disk of {self._folder} has {free / 1e9:.1f} GB free, "
                f"of which {ROOM / 1e9:.0f} GB should stay so; make room, or choose a folder on another disk.",
            )

    def _completed(self, manifest: Manifest) -> Manifest:
        self._progress.total = manifest.size
        self._progress.done = 0
        for entry in manifest.files:
            done = self._present(entry)
            if done is None:
                if entry.name.endswith(WEIGHTS) and not self._has_weights(manifest):
                    self._check_runnable()
                done = self._brought(manifest, entry)
            if done != entry:
                manifest = manifest.with_entry(done)
                write_manifest(self._folder, manifest)
            part_of(self._folder, entry).unlink(missing_ok=True)
        (self._folder / (MANIFEST + PART)).unlink(missing_ok=True)
        self._progress.tell(now=True)
        return manifest

    def _present(self, entry: Entry) -> Entry | None:
        """The entry, if its file is there and right; one that is not right is taken away."""
        target = self._folder / entry.name
        if is_unchanged(self._folder, entry):
            self._progress.add(entry.size)
            return entry
        if not target.exists():
            return None
        self._progress.begin("checking", entry.name)
        before = self._progress.done
        found = right_sha256(target, entry, self._heard)
        if found is None:
            self._progress.add(before - self._progress.done)
            target.unlink()
            return None
        return replace(entry, sha256=found, mtime_ns=target.stat().st_mtime_ns)

    def _brought(self, manifest: Manifest, entry: Entry) -> Entry:
        """Fetch a file. Content that is wrong is fetched once more, whole: an earlier part of it may be the reason."""
        with Part(self._folder, entry) as part:
            self._progress.begin("checking", entry.name)
            part.recover(self._heard)
            with suppress(WrongContentError):
                return self._poured(manifest, entry, part)
            self._progress.add(-part.position)
            part.restart()
            try:
                return self._poured(manifest, entry, part)
            except WrongContentError as error:
                part.discard()
                raise DownloadError(
                    "network",
                    f"{entry.name} arrived twice with other content than the hub's record says, and was not kept; "
                    "something between here and the hub changes it: try another network.",
                ) from error

    def _poured(self, manifest: Manifest, entry: Entry, part: Part) -> Entry:
        url = self._hub.file_url(manifest, entry)
        for piece in self._transfer.pieces(url, entry.name, part.position, entry.size):
            part.write(piece)
            self._progress.add(len(piece))
        return part.finish()

    def _has_weights(self, manifest: Manifest) -> bool:
        """Whether anything of the large files is here that somebody waited for."""
        large = [entry for entry in manifest.files if entry.name.endswith(WEIGHTS)]
        return any(entry.sha256 or part_of(self._folder, entry).exists() for entry in large)

    def _check_runnable(self) -> None:
        """Before the large files, see whether the small ones describe a model that Parley runs."""
        try:
            read_config(self._folder)
        except CheckpointError as error:
            discard(self._folder)
            raise DownloadError("repository", str(error)) from error

    def _heard(self, count: int) -> None:
        """Bytes were read from the disk."""
        _ = self._control.paused
        self._progress.add(count)


def discard(folder: Path) -> None:
    """Take away what a download brought into a folder, whole or not, and its record. Raises `OSError`."""
    manifest = read_manifest(folder)
    for entry in manifest.files if manifest else ():
        part_of(folder, entry).unlink(missing_ok=True)
        if entry.ours:
            (folder / entry.name).unlink(missing_ok=True)
        _remove_empty([place for place in (folder / entry.name).parents if folder in place.parents])
    for name in (MANIFEST, MANIFEST + PART):
        (folder / name).unlink(missing_ok=True)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, as far as nothing is in them."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()

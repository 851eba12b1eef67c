"""Keeps what the model has read of each conversation in a cache folder, so that it survives the engine.

Knows: files, checksums, which model they belong to, how much room they may take. Does not know: when to save, what the
tokens mean. Below the folder lies one folder for each model and conversation; in it pieces of rows, the last few
snapshots, and an index that is replaced whole once everything that it names is written. Nothing in there is trusted:
what is damaged, incomplete or of another model is discarded, and only costs reading again. Tokens are not written down,
only digests of them.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from app.engine.cache import Snapshot, TensorState
from app.engine.sessions import Point, Sessions
from app.engine.sessions_keys import Keys
from app.protocol import ProtocolError, from_plain, to_plain

_FORMAT = 1
_PIECE = 512
"""Tokens in a file of rows: 32 MiB of the 27B, soon written when a command waits."""
_SNAPSHOTS = 3
"""Behind the last answer, before it, and before the question: a follow-up, another answer and an edited question."""
_LEAST_GAIN = 64
_THREADS = 4
_SHARE_OF_DISK = 4
_MOST = 32 * 10**9
_RESERVE = 2**30
_SAMPLES = 64
_SAMPLE = 4096
_SLACK = 2**16
_LARGEST_INDEX = 2**22
_INDEX = "index.json"


class DamagedError(Exception):
    """A file of the cache is not what was written."""


@dataclass(frozen=True, slots=True)
class File:
    """A file below a conversation's folder: the keys and values of tokens `begin`…`end`, or, where both are the same, a
    snapshot behind that many. `keys` is the digest of all keys up to `end`."""

    name: str
    nbytes: int
    sha256: str
    begin: int
    end: int
    keys: str
    rope_delta: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """What is kept of a conversation: rows from the first token on, and snapshots, shortest first."""

    format: int
    rows: tuple[File, ...]
    snapshots: tuple[File, ...]


class SavedSessions:
    """The cache folder of one loaded model. `limit` bytes in all, of every model; 0 means a share of the disk."""

    def __init__(self, folder: Path, identity: str, limit: int) -> None:
        self._root = folder
        self._own = folder / identity[:32]
        self._limit = limit

    def recall(self, conversation: str, keys: Keys, sessions: Sessions, tick: Callable[[], None]) -> None:
        """Put what is kept of a conversation into the live state, if it begins these keys and gains something."""
        folder, state = self._folder(conversation), sessions.state
        if not isinstance(state, TensorState) or not folder.is_dir():
            return
        try:
            index = _read_index(folder)
            digests = _digests(keys, [file.end for file in index.snapshots if file.end < len(keys)])
            known = [file for file in index.snapshots if digests.get(file.end) == file.keys]
            if not known or known[-1].end < sessions.shared(keys) + _LEAST_GAIN:
                return
            length = known[-1].end
            snapshots = [_snapshot(folder, file, state) for file in known]
            sessions.adopt(keys[:length], _rows(folder, index, length, state, tick), snapshots)
            os.utime(folder / _INDEX)
        except (DamagedError, OSError):
            shutil.rmtree(folder, ignore_errors=True)

    def save(self, conversation: str, sessions: Sessions, stopped: Callable[[], bool]) -> bool:
        """Write down what the live state holds of a conversation; False if `stopped` said so in between. Raises
        `OSError`, after which what was kept before is still there or gone, but never wrong."""
        state, folder = sessions.state, self._folder(conversation)
        points = [point for point in sessions.points if point.snapshot is not None][-_SNAPSHOTS:]
        if not isinstance(state, TensorState) or not points:
            return True
        length = points[-1].length
        nbytes = length * state.row_bytes + sum(point.snapshot.nbytes for point in points if point.snapshot)
        if not self._make_room(nbytes, folder):
            shutil.rmtree(folder, ignore_errors=True)
            return True
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        index = _written(folder, sessions.keys, points, state, stopped)
        if index is None:
            return False
        names = {file.name for file in (*index.rows, *index.snapshots)} | {_INDEX}
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()
        return True

    def forget(self, conversation: str) -> None:
        """Erase a conversation, whatever model read it."""
        forget(self._root, conversation)

    def _folder(self, conversation: str) -> Path:
        return self._own / _folder_name(conversation)

    def _make_room(self, nbytes: int, mine: Path) -> bool:
        """Erase the conversations that were not used for longest until another takes so many bytes; False if it is too
        large by itself."""
        kept = {folder: _size(folder) for folder in self._root.glob("*/*") if folder.is_dir()}
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(self._root).free
        total = sum(kept.values())
        limit = self._limit or min(_MOST, (free + total) // _SHARE_OF_DISK)
        limit = min(limit, free + total - _RESERVE)
        others = sorted((folder for folder in kept if folder != mine), key=_last_used)
        total -= kept.get(mine, 0)
        while total + nbytes > limit and others:
            oldest = others.pop(0)
            shutil.rmtree(oldest, ignore_errors=True)
            total -= kept[oldest]
        return total + nbytes <= limit


def forget(root: Path, conversation: str) -> None:
    """Erase a conversation below a cache folder, whatever model read it."""
    for folder in root.glob(f"*/{_folder_name(conversation)}"):
        shutil.rmtree(folder, ignore_errors=True)


def identity(folder: Path, meaning: str) -> str:
    """A digest of a model: its configuration files, the headers of its weights and samples from all over them, with
    `meaning`, whatever else a state depends on. Reading 20 GB would take longer than the cache saves."""
    sha256 = hashlib.sha256(f"{_FORMAT} {meaning}".encode())
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.safetensors")]):
        found = path.stat()
        sha256.update(f"{path.relative_to(folder)} {found.st_size} {found.st_mtime_ns}".encode())
        with path.open("rb") as file:
            for place in range(_SAMPLES):
                file.seek(found.st_size * place // _SAMPLES)
                sha256.update(file.read(_SAMPLE))
    return sha256.hexdigest()


def _folder_name(conversation: str) -> str:
    return hashlib.sha256(conversation.encode("utf-8", "replace")).hexdigest()[:32]


def _last_used(folder: Path) -> float:
    with suppress(OSError):
        return (folder / _INDEX).stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


def _digests(keys: Keys, lengths: list[int]) -> dict[int, str]:
    """The digest of the first so many keys, for each of these lengths."""
    sha256, done, found = hashlib.sha256(), 0, {}
    for length in sorted(set(lengths)):
        sha256.update(keys[done:length].tobytes())
        found[length], done = sha256.copy().hexdigest(), length
    return found


# ---- reading ---------------------------------------------------------------------------------------------------------


def _read_index(folder: Path) -> Index:
    """The index. Raises `DamagedError`, `OSError`."""
    if (folder / _INDEX).stat().st_size > _LARGEST_INDEX:
        raise DamagedError(_INDEX)
    digest, _, body = (folder / _INDEX).read_bytes().partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise DamagedError(_INDEX)
    try:
        index = from_plain(Index, json.loads(body))
    except (ProtocolError, ValueError, RecursionError) as error:
        raise DamagedError(_INDEX) from error
    ends = [0, *(file.end for file in index.rows)]
    follow = all(file.begin == before < file.end for file, before in zip(index.rows, ends, strict=False))
    rise = [file.end for file in index.snapshots] == sorted({file.end for file in index.snapshots})
    reach = all(0 < file.end <= ends[-1] for file in index.snapshots)
    names = all(Path(file.name).name == file.name for file in (*index.rows, *index.snapshots))
    if index.format != _FORMAT or not (follow and rise and reach and names):
        raise DamagedError(_INDEX)
    return index


def _loaded(folder: Path, file: File, most: int) -> dict[str, Tensor]:
    """A file's tensors. Raises `DamagedError`, `OSError`."""
    path = folder / file.name
    if file.nbytes > most or path.stat().st_size != file.nbytes:
        raise DamagedError(file.name)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DamagedError(file.name)
    try:
        return dict(safetensors.torch.load(content))
    except (SafetensorError, ValueError) as error:
        raise DamagedError(file.name) from error


def _snapshot(folder: Path, file: File, state: TensorState) -> Snapshot:
    found = _loaded(folder, file, state.snapshot_bytes + _SLACK)
    try:
        return state.load_snapshot(file.end, file.rope_delta, [found[name] for name in sorted(found)])
    except ValueError as error:
        raise DamagedError(file.name) from error


def _rows(
    folder: Path, index: Index, length: int, state: TensorState, tick: Callable[[], None]
) -> Iterator[tuple[int, Tensor]]:
    """The rows of the first `length` tokens, piece by piece, while threads read and check the next ones."""
    most = _PIECE * state.row_bytes + _SLACK
    with ThreadPoolExecutor(_THREADS) as threads:
        coming: deque[tuple[File, Future[dict[str, Tensor]]]] = deque()
        waiting = deque(file for file in index.rows if file.begin < length)
        while waiting or coming:
            while waiting and len(coming) <= _THREADS:
                file = waiting.popleft()
                coming.append((file, threads.submit(_loaded, folder, file, most)))
            file, future = coming.popleft()
            rows = future.result().get("rows")
            if rows is None or not state.fits_rows(rows, file.end - file.begin):
                raise DamagedError(file.name)
            tick()
            yield file.begin, rows[:, :, : length - file.begin]


# ---- writing ---------------------------------------------------------------------------------------------------------


def _written(
    folder: Path, keys: Keys, points: list[Point], state: TensorState, stopped: Callable[[], bool]
) -> Index | None:
    """Write what is not there yet, then the index; None if `stopped` said so in between."""
    length = points[-1].length
    spans = [(begin, min(begin + _PIECE, length)) for begin in range(0, length, _PIECE)]
    digests = _digests(keys, [end for _, end in spans] + [point.length for point in points])
    try:
        before = _read_index(folder)
    except (DamagedError, OSError):
        before = Index(_FORMAT, (), ())
    there = {(file.begin, file.end, file.keys): file for file in (*before.rows, *before.snapshots)}
    files: list[File] = []
    for begin, end in [*spans, *((point.length, point.length) for point in points)]:
        file = there.get((begin, end, digests[end]))
        if file is None or not (folder / file.name).is_file():
            if stopped():
                return None
            snapshot = next((point.snapshot for point in points if point.length == begin == end), None)
            if snapshot is None:
                named = {"rows": state.rows(begin, end).tensors[0]}
                file = _write(folder, named, (begin, end), digests[end])
            else:
                named = {f"{place:04}": part for place, part in enumerate(snapshot.parts.tensors)}
                file = _write(folder, named, (end, end), digests[end], snapshot.rope_delta)
        files.append(file)
    index = Index(_FORMAT, tuple(files[: len(spans)]), tuple(files[len(spans) :]))
    body = json.dumps(to_plain(index)).encode()
    _replace(folder / _INDEX, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    return index


def _write(folder: Path, tensors: dict[str, Tensor], span: tuple[int, int], keys: str, rope_delta: int = 0) -> File:
    content = safetensors.torch.save(tensors)
    name = f"{uuid.uuid4().hex}.safetensors"
    _replace(folder / name, content)
    return File(name, len(content), hashlib.sha256(content).hexdigest(), *span, keys, rope_delta)


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves either the old or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)

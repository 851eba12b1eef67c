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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from app.engine.cache import Snapshot, TensorState
from app.engine.sessions import Sessions
from app.engine.sessions_keys import Keys
from app.engine.sessions_points import Point
from app.protocol import ProtocolError, from_plain, to_plain

_FORMAT = 3
_PIECE = 512
"""Tokens in a file of rows: 32 MiB of the 27B, soon written when a command waits."""
_SNAPSHOTS = 3
"""Behind the last answer, before it, and before the question: a follow-up, another answer and an edited question."""
_LEAST_GAIN = 64
_WORTH = 2048
"""Tokens that a snapshot has to spare: it is far larger than their text, and reading them takes a second or less."""
_CHEAP = 2**24
"""Bytes that are written whenever there is something new: the model is a small one."""
_THREADS = 4
_SHARE_OF_DISK = 4
_MOST = 32 * 10**9
_RESERVE = 2**30
_SAMPLES = 64
_SAMPLE = 4096
_SLACK = 2**16
_LARGEST_INDEX = 2**22
_BLOCK = 2**24
"""Bytes that are written between two looks at whether a command waits."""
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

    def recall(self, conversation: str, keys: Keys, sessions: Sessions, check: Callable[[], None]) -> None:
        """Put what is kept of a conversation into the live state, if it begins these keys and gains something. `check`
        is called often; what it raises ends the recalling, which may be tried again."""
        folder, state = self._folder(conversation), sessions.state
        known = sessions.shared(keys) + _LEAST_GAIN
        if not isinstance(state, TensorState) or known >= len(keys):
            return
        try:
            index = _read_index(folder)
            longest = _longest(index, keys[:-1])
            if longest < known:
                return
            last = next(file for file in index.snapshots if file.end == longest)
            check()
            snapshot = _snapshot(folder, last, state)
            sessions.adopt(keys[: last.end], conversation, _rows(folder, index, last.end, state), snapshot, check)
            os.utime(folder / _INDEX)
        except MemoryError:
            return
        except (DamagedError, OSError):
            shutil.rmtree(folder, ignore_errors=True)

    def worth(self, conversation: str, sessions: Sessions) -> bool:
        """Whether what the live state holds of a conversation is to be written down at once: it is little, or what is
        there would leave much to be read again. The rest has time until the person is gone, so that a disk is not worn
        by a snapshot for every answer."""
        state, points = sessions.state, sessions.points
        if not isinstance(state, TensorState) or not points or sessions.conversation != conversation:
            return False
        keys, known = sessions.keys[: points[-1].length], 0
        with suppress(DamagedError, OSError):
            known = _longest(_read_index(self._folder(conversation)), keys)
        return _cheap(state) or len(keys) - known >= _WORTH

    def save(self, conversation: str, sessions: Sessions, stopped: Callable[[], bool]) -> bool:
        """Write down what the live state holds of a conversation; False if `stopped` said so in between, what was
        written by then is kept. Raises `OSError`, after which what was kept before is still there or gone, but never
        wrong, and `MemoryError`."""
        state, folder = sessions.state, self._folder(conversation)
        points = [point for point in sessions.points if point.snapshot is not None][-_SNAPSHOTS:]
        if not isinstance(state, TensorState) or not points or sessions.conversation != conversation:
            return True
        length = points[-1].length
        nbytes = length * state.row_bytes + _SNAPSHOTS * state.snapshot_bytes
        if not self._make_room(nbytes, folder):
            shutil.rmtree(folder, ignore_errors=True)
            return True
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return _written(folder, sessions.keys, points, state, stopped)
        finally:
            _clean(folder)

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
    """Erase a conversation below a cache folder, whatever model read it. Raises `OSError`."""
    for folder in root.glob(f"*/{_folder_name(conversation)}"):
        shutil.rmtree(folder)


def identity(folder: Path, meaning: str) -> str:
    """A digest of a model: its configuration files, the headers of its weights and samples from all over them, with
    `meaning`, whatever else a state depends on. Reading 20 GB would take longer than the cache saves.

    Raises `OSError`."""
    sha256 = hashlib.sha256(f"{_FORMAT} {meaning}".encode())
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.safetensors")]):
        if not path.is_file():
            continue  # a folder of such a name, a link to nowhere
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
    """The index, an empty one if there is none. Raises `DamagedError`, `OSError`."""
    if not (folder / _INDEX).exists():
        return Index(_FORMAT, (), ())
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
        return state.load_snapshot(file.end, [found[name] for name in sorted(found)])
    except ValueError as error:
        raise DamagedError(file.name) from error


def _rows(folder: Path, index: Index, length: int, state: TensorState) -> Iterator[tuple[int, list[Tensor]]]:
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
            found = future.result()
            rows = [found[name] for name in sorted(found)]
            if not state.fits_rows(rows, file.end - file.begin):
                raise DamagedError(file.name)
            yield file.begin, [part[:, :, : length - file.begin] for part in rows]


# ---- writing ---------------------------------------------------------------------------------------------------------


class _Stopped(Exception):  # noqa: N818 - what a command wants is no error
    """A command waits."""


def _longest(index: Index, keys: Keys) -> int:
    """Behind how many of these keys the last snapshot is that is there."""
    digests = _digests(keys, [file.end for file in index.snapshots if file.end <= len(keys)])
    return max((file.end for file in index.snapshots if digests.get(file.end) == file.keys), default=0)


def _cheap(state: TensorState) -> bool:
    return state.snapshot_bytes + _PIECE * state.row_bytes <= _CHEAP


def _worthy(points: list[Point], there: set[int], *, cheap: bool) -> list[Point]:
    """Whose snapshots are to be written: the last one's, and those before it that spare much reading; `there` are the
    places of those that are written."""
    chosen = [points[-1]]
    known = there | {0}
    for point in points[:-1]:
        before = max(place for place in known if place <= point.length)
        if cheap or point.length - before >= _WORTH:
            chosen.append(point)
            known.add(point.length)
    return chosen


def _written(folder: Path, keys: Keys, points: list[Point], state: TensorState, stopped: Callable[[], bool]) -> bool:
    """Write what is not there yet, then the index; False if `stopped` said so in between: the index then names the new
    as far as they go, and the old that still fit behind them."""
    length = points[-1].length
    try:
        before = _read_index(folder)
    except (DamagedError, OSError):
        before = Index(_FORMAT, (), ())
    spans = [(begin, min(begin + _PIECE, length)) for begin in range(0, length, _PIECE)]
    old = [file for file in (*before.rows, *before.snapshots) if file.end <= length]
    digests = _digests(keys, [end for _, end in spans] + [each.length for each in points] + [each.end for each in old])
    there = {(f.begin, f.end): f for f in old if f.keys == digests[f.end] and (folder / f.name).is_file()}
    rows: list[File] = []
    snapshots = [file for file in there.values() if file.begin == file.end]
    try:
        for begin, end in spans:
            file = there.get((begin, end))
            if file is None:
                _check(stopped)
                file = _write(folder, state.rows(begin, end).tensors, (begin, end), digests[end], stopped)
            rows.append(file)
        for point in _worthy(points, {file.end for file in snapshots}, cheap=_cheap(state)):
            if point.snapshot is not None and (point.length, point.length) not in there:
                _check(stopped)
                parts, span = point.snapshot.parts.tensors, (point.length, point.length)
                snapshots.append(_write(folder, parts, span, digests[point.length], stopped))
        done = True
    except _Stopped:
        done = False
    reached = rows[-1].end if rows else 0
    while not done and (more := next((f for f in there.values() if f.begin == reached < f.end), None)) is not None:
        rows.append(more)
        reached = more.end
    if rows:
        fitting = sorted((file for file in snapshots if file.end <= reached), key=lambda file: file.end)
        _write_index(folder, Index(_FORMAT, tuple(rows), tuple(fitting[-_SNAPSHOTS:])))
    return done


def _write_index(folder: Path, index: Index) -> None:
    body = json.dumps(to_plain(index)).encode()
    _replace(folder / _INDEX, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def _write(
    folder: Path, tensors: Sequence[Tensor], span: tuple[int, int], keys: str, stopped: Callable[[], bool]
) -> File:
    content = safetensors.torch.save({f"{place:04}": tensor for place, tensor in enumerate(tensors)})
    name = f"{uuid.uuid4().hex}.safetensors"
    digest = _replace(folder / name, content, stopped)
    return File(name, len(content), digest, *span, keys)


def _replace(path: Path, content: bytes, stopped: Callable[[], bool] = bool) -> str:
    """Write a file so that a crash leaves either the old or the new one; its digest. Raises `_Stopped`."""
    fresh = path.with_name(f"{path.name}.new")
    sha256 = hashlib.sha256()
    with fresh.open("wb") as file:
        for begin in range(0, len(content), _BLOCK):
            if begin:
                _check(stopped)
            block = memoryview(content)[begin : begin + _BLOCK]
            sha256.update(block)
            file.write(block)
    fresh.replace(path)
    return sha256.hexdigest()


def _check(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise _Stopped


def _clean(folder: Path) -> None:
    """Remove what the index does not name."""
    names: set[str] = set()
    with suppress(DamagedError, OSError):
        index = _read_index(folder)
        names = {file.name for file in (*index.rows, *index.snapshots)} | {_INDEX}
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()

"""The safetensors files of a folder: which tensor is where, how large, and its values when asked.

Knows: the index, the file format's header, sizes. Does not know: what the tensors mean. Only plain file names inside
the folder are followed, and every header is checked against its file's size, so a shard that is missing or was cut
short is found before anything is read. Files are read and never mapped: one that changes under a mapping would end the
process.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Protocol

import torch
from torch import Tensor

from app.engine.config import read_json
from app.engine.errors import CheckpointError

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_HEADER_LIMIT = 100 * 2**20
BLOCK = 64 * 2**20
"""Bytes that even a slow disk or a network folder gives within a few seconds."""
_TOGETHER = 16
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored tensor: its file, element type, shape, size in bytes, and where in the file its bytes begin."""

    shard: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    nbytes: int
    begin: int

    @property
    def row_blocks(self) -> list[tuple[int, int]]:
        """The tensor cut into blocks of whole rows of at most `BLOCK` bytes: the first row of each and the one after
        its last. Their sizes are multiples of sixteen where that is possible, as packing a block by itself wants it."""
        count = self.shape[0] if self.shape else 0
        if self.nbytes <= BLOCK or not count:
            return [(0, count)]
        rows = max(1, BLOCK * count // self.nbytes)
        rows -= rows % _TOGETHER if rows > _TOGETHER else 0
        return [(begin, min(begin + rows, count)) for begin in range(0, count, rows)]


class Source(Protocol):
    """Brings tensors to a device in a way of its own."""

    def read(self, entry: Entry) -> Tensor:
        """All of a tensor. Raises `CheckpointError`."""

    def blocks(self, entry: Entry) -> Iterator[tuple[int, Tensor]]:
        """Its row blocks, each with its first row. Raises `CheckpointError`."""


class Shards:
    """The tensors of one or more safetensors files, read lazily by name, from `source` while there is one."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self.source: Source | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def read(self, name: str, device: torch.device) -> Tensor:
        """The tensor's values on a device, in the element type of the file. Raises `CheckpointError` if the file is
        the reason that it fails; what torch raises is the device's or the memory's fault and passes."""
        entry = self._entries[name]
        return read_tensor(entry).to(device) if self.source is None else self.source.read(entry)

    def blocks(self, name: str, device: torch.device) -> Iterator[tuple[int, Tensor]]:
        """The tensor in blocks of rows of at most `BLOCK` bytes, each with its first row: what reads a large tensor
        this way can report in between. Raises as `read` does."""
        entry = self._entries[name]
        if self.source is not None:
            yield from self.source.blocks(entry)
            return
        if len(entry.row_blocks) == 1:
            yield 0, self.read(name, device)
            return
        for begin, end in entry.row_blocks:
            block = torch.empty(end - begin, *entry.shape[1:], dtype=entry.dtype)
            read_bytes(entry, begin * entry.nbytes // entry.shape[0], block)
            yield begin, block.to(device)


def read_tensor(entry: Entry) -> Tensor:
    """All of a tensor, in ordinary memory. Raises `CheckpointError`."""
    tensor = torch.empty(entry.shape, dtype=entry.dtype)
    read_bytes(entry, 0, tensor)
    return tensor


def read_bytes(entry: Entry, begin: int, target: Tensor) -> None:
    """Fill `target`, in ordinary memory and without gaps, with the tensor's bytes from `begin` on. May be called in any
    thread. Raises `CheckpointError` if the file does not give them."""
    view = target.view(-1).view(torch.uint8).numpy().data if target.numel() else memoryview(b"")
    try:
        with entry.shard.open("rb", buffering=0) as file:
            file.seek(entry.begin + begin)
            while view and (count := file.readinto(view)):
                view = view[count:]
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{entry.shard.name} cannot be read; download that file again.") from error
    if view:
        raise CheckpointError(f"{entry.shard.name} was cut short while it was read; download that file again.")


def open_folder(folder: Path) -> Shards:
    """The model's own tensors. Raises `CheckpointError` for a missing, damaged or unsafe file."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder; choose the folder that a model was downloaded to.")
    if (folder / _INDEX).exists():
        return Shards(_indexed(folder))
    if (folder / _SINGLE).exists():
        return Shards(read_header(folder / _SINGLE))
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth"})
    if pickles:
        raise CheckpointError(
            f"{folder.name} holds its weights as pickles ({pickles[0]}), which can run foreign code; "
            "get the model's safetensors version."
        )
    raise CheckpointError(f"{folder} holds no model.safetensors; choose the folder of a complete model.")


def _indexed(folder: Path) -> dict[str, Entry]:
    weight_map = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise CheckpointError(f"{_INDEX} of {folder.name} lists no weights; download that file again.")
    names = sorted(set(weight_map.values()))
    for name in names:
        if not _is_plain(name):
            raise CheckpointError(
                f"{_INDEX} of {folder.name} names a file outside its folder ({name[:60]!r}); do not use this model."
            )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of the {len(names)} weight files of {folder.name} are missing ({missing[0]}); "
            "download the model again."
        )
    headers = {name: read_header(folder / name) for name in names}
    absent = next((tensor for tensor, shard in weight_map.items() if tensor not in headers[shard]), None)
    if absent is not None:
        raise CheckpointError(
            f"{weight_map[absent]} of {folder.name} does not hold {absent[:80]} as the index says; download it again."
        )
    return {tensor: headers[shard][tensor] for tensor, shard in weight_map.items()}


def _is_plain(name: str) -> bool:
    """Whether a name is one of a safetensors file right inside the folder, on any system."""
    return (
        name.endswith(".safetensors")
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
        and ":" not in name
        and "\0" not in name
    )


def read_header(path: Path) -> dict[str, Entry]:
    """The entries of one safetensors file: 8 bytes of header length, a JSON header, then the values without gaps.

    Format: https://huggingface.co/docs/safetensors. Raises `CheckpointError` if header and size do not agree.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 2 <= length <= min(size - 8, _HEADER_LIMIT) else None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path.name} is damaged or was cut short; download that file again.")
    start = 8 + length
    entries = {name: _entry(path, name, plain, start) for name, plain in header.items() if name != "__metadata__"}
    expected = start + sum(entry.nbytes for entry in entries.values())
    if size != expected:
        what = "was cut short" if size < expected else "is longer than it says"
        raise CheckpointError(f"{path.name} {what} ({size:,} of {expected:,} bytes); download that file again.")
    for entry in sorted(entries.values(), key=lambda entry: (entry.begin, entry.nbytes)):
        if entry.begin != start:
            raise CheckpointError(f"{path.name} has tensors that overlap; download that file again.")
        start += entry.nbytes
    return entries


def _entry(path: Path, name: str, plain: Any, start: int) -> Entry:
    try:
        dtype, shape, (begin, end) = plain["dtype"], tuple(plain["shape"]), plain["data_offsets"]
        kind = _DTYPES.get(dtype, torch.uint8)
        fits = all(type(n) is int and n >= 0 for n in (*shape, begin, end)) and begin <= end
        if not fits or (dtype in _DTYPES and end - begin != math.prod(shape) * kind.itemsize):
            raise ValueError(name)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path.name} describes {name[:80]} wrongly; download that file again.") from error
    return Entry(path, kind, shape, end - begin, start + begin)

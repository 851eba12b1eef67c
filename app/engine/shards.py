"""The safetensors files of a folder: which tensor is where, how large, and its values when asked.

Knows: the index, the file format's header, sizes. Does not know: what the tensors mean. Only plain file names inside
the folder are followed, and every header is checked against its file's size, so a shard that is missing or was cut
short is found before anything is read.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from app.engine.config import read_json
from app.engine.errors import CheckpointError

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_HEADER_LIMIT = 100 * 2**20
BLOCK = 64 * 2**20
"""Bytes that even a slow disk or a network folder gives within a few seconds."""
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
    """One stored tensor: its file, element type, shape and size in bytes."""

    shard: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    nbytes: int


class Shards:
    """The tensors of one or more safetensors files, read lazily by name."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self._open: dict[tuple[Path, str], Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def read(self, name: str, device: torch.device) -> Tensor:
        """The tensor's values on a device, in the element type of the file. Raises `CheckpointError` if the file is
        the reason that it fails; what torch raises is the device's or the memory's fault and passes."""
        try:
            tensor: Tensor = self._file(name, device).get_tensor(name)
        except (OSError, ValueError, SafetensorError) as error:
            raise self._unreadable(name) from error
        return tensor

    def blocks(self, name: str, device: torch.device) -> Iterator[tuple[int, Tensor]]:
        """The tensor in blocks of rows of at most `BLOCK` bytes, each with its first row: what reads a large tensor
        this way can report in between. Raises as `read` does."""
        entry = self._entries[name]
        if entry.nbytes <= BLOCK:
            yield 0, self.read(name, device)
            return
        rows = max(1, BLOCK * entry.shape[0] // entry.nbytes)
        for begin in range(0, entry.shape[0], rows):
            try:
                block: Tensor = self._file(name, device).get_slice(name)[begin : begin + rows]
            except (OSError, ValueError, SafetensorError) as error:
                raise self._unreadable(name) from error
            yield begin, block

    def _file(self, name: str, device: torch.device) -> Any:
        shard = self._entries[name].shard
        key = (shard, str(device))
        if key not in self._open:
            self._open[key] = safe_open(shard, framework="pt", device=str(device))
        return self._open[key]

    def _unreadable(self, name: str) -> CheckpointError:
        return CheckpointError(
            f"{name} cannot be read from {self._entries[name].shard.name}; download that file again."
        )

    def close(self) -> None:
        """Let go of every file."""
        self._open.clear()


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
    entries = {name: _entry(path, name, plain) for name, plain in header.items() if name != "__metadata__"}
    expected = 8 + length + sum(entry.nbytes for entry in entries.values())
    if size != expected:
        what = "was cut short" if size < expected else "is longer than it says"
        raise CheckpointError(f"{path.name} {what} ({size:,} of {expected:,} bytes); download that file again.")
    return entries


def _entry(path: Path, name: str, plain: Any) -> Entry:
    try:
        dtype, shape, (begin, end) = plain["dtype"], tuple(plain["shape"]), plain["data_offsets"]
        kind = _DTYPES.get(dtype, torch.uint8)
        fits = all(type(n) is int and n >= 0 for n in (*shape, begin, end)) and begin <= end
        if not fits or (dtype in _DTYPES and end - begin != math.prod(shape) * kind.itemsize):
            raise ValueError(name)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path.name} describes {name[:80]} wrongly; download that file again.") from error
    return Entry(path, kind, shape, end - begin)

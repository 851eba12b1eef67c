"""What a device can do at best, measured: how fast its memory is read, how fast it multiplies, how fast files come.

Knows: plain torch operations that do nothing else. Does not know: models. Each is the best of several tries.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from app.engine.ahead import PIECE, THREADS


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Bytes a second out of the device's memory, and floating point operations a second in a dense product."""

    read: float
    dense: float


def ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Of a device, for products in `dtype`."""
    gpu = device.type == "cuda"
    return Ceilings(_read(2**29 if gpu else 2**25, device), _dense(8192 if gpu else 768, device, dtype))


def _read(count: int, device: torch.device) -> float:
    numbers = torch.ones(count, dtype=torch.float32, device=device)
    total = torch.empty((), dtype=torch.float32, device=device)
    return numbers.nbytes / _best(lambda: torch.sum(numbers, dim=0, out=total), device)


def _dense(side: int, device: torch.device, dtype: torch.dtype) -> float:
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    return 2 * side**3 / _best(lambda: torch.mm(a, b, out=out), device)


def file_seconds(files: Sequence[Path]) -> float:
    """How long plain reading of these files takes, with as many threads and in such pieces as a load reads them. They
    are read twice and the second time counts: from the page cache, where a load finds them afterwards."""
    pieces = [(path, begin) for path in files for begin in range(0, path.stat().st_size, PIECE)]
    took = 0.0
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in range(2):
            began = time.perf_counter()
            list(threads.map(_read_pieces, (pieces[first::THREADS] for first in range(THREADS))))
            took = time.perf_counter() - began
    return took


def _read_pieces(pieces: Sequence[tuple[Path, int]]) -> int:
    """Read these into one place; how many bytes they were."""
    block, total = bytearray(PIECE), 0
    for path, begin in pieces:
        with path.open("rb", buffering=0) as file:
            file.seek(begin)
            total += file.readinto(block) or 0
    return total


def waited(device: torch.device) -> float:
    """The time, once the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _best(work: Callable[[], object], device: torch.device, tries: int = 5, each: int = 3) -> float:
    work()
    spans = []
    for _ in range(tries):
        began = waited(device)
        for _ in range(each):
            work()
        spans.append((waited(device) - began) / each)
    return min(spans)

"""What a device can do at best, measured: how fast its memory is read, how fast it multiplies, how fast files come.

Knows: plain torch operations that do nothing else. Does not know: models. Each is the best of several tries.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch


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


def file_seconds(files: Iterable[Path]) -> float:
    """How long plain reading of these files takes, one after another; afterwards they are in the page cache."""
    block = bytearray(16 * 2**20)
    began = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(block):
                pass
    return time.perf_counter() - began


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

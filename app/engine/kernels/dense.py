"""Products of many tokens: a packed matrix becomes bf16 numbers in a scratch, its correction included, and a dense
product follows.

Knows: tiled matrices, the kernels that expand them, room for what is on its way. Does not know: layers, models.
Weights times tokens beyond a few hundred are cheaper multiplied by the library than by anything that unpacks as it
goes: the 27B's matrices are expanded in 20 ms on an H100, whatever the number of tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor

from app.engine.kernels.layout import TALL
from app.engine.kernels.linear import Tiled
from app.engine.kernels.runtime import Kernels

_ALIGNED = 256
_SLAB = 64
_BLOCK = 32
_BLOCKS = 6
"""For each multiprocessor: two or three times as many as it has at once."""


class Arena:
    """One piece of device memory, handed out from its beginning on and taken back frame by frame, so that the peak is
    known before and nothing is ever searched for."""

    def __init__(self, nbytes: int, device: torch.device) -> None:
        self._memory = torch.empty(nbytes, dtype=torch.uint8, device=device)
        self._taken = 0

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._memory.nbytes

    def take(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """A tensor with whatever is in the memory. Raises `MemoryError` if there is no room for it."""
        begin, size = self._taken, torch.Size(shape).numel() * dtype.itemsize
        if begin + size > self.nbytes:
            raise MemoryError(f"an arena of {self.nbytes} bytes cannot give {size} after {begin}")
        self._taken = begin + room(size)
        return self._memory[begin : begin + size].view(dtype).view(shape)

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Whatever is taken within is given back at the end."""
        before = self._taken
        yield
        self._taken = before

    def clear(self) -> None:
        """Everything is given back, after an error too."""
        self._taken = 0


def room(nbytes: int) -> int:
    """Bytes that an arena needs for a tensor of so many."""
    return -(-nbytes // _ALIGNED) * _ALIGNED


class Expansion:
    """One packed matrix and how it becomes dense, all of it or some of its tiles. The rows of a paired matrix come
    apart, gates first."""

    def __init__(self, kernels: Kernels, tiled: Tiled) -> None:
        self._kernels, self.tiled = kernels, tiled
        device, rows = tiled.units.device, [tuple(row[:3]) for row in tiled.places.tolist()]
        self._plain = tiled.units.shape[1] - tiled.quantized
        self._blocks = (max(max(row[:2]) for row in rows) // _BLOCK + self._plain) if self._plain else 0
        copies = [0] * max(1, self._blocks)
        for upper, lower, copy in rows:
            for first in (upper // _BLOCK, lower // _BLOCK):
                copies[first : first + self._plain] = [copy] * self._plain
        self._copies = torch.tensor(copies, dtype=torch.int32, device=device)
        cuts = [i for i in range(1, len(rows)) if rows[i][2] != rows[i - 1][2]]
        self._spans = [(a * TALL, b * TALL, rows[a][2]) for a, b in pairwise([0, *cuts, len(rows)])]

    @property
    def inputs(self) -> int:
        """Width of x."""
        return self.tiled.inputs

    @property
    def outputs(self) -> int:
        """Width of W x."""
        return self.tiled.outputs

    @property
    def copies(self) -> int:
        """In how many orders x is wanted."""
        return self.tiled.orders.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the dense matrix."""
        return self.tiled.outputs * self.tiled.inputs * torch.bfloat16.itemsize

    @property
    def rank_bytes(self) -> int:
        """Bytes of the correction's inner rows on the way."""
        return self._blocks * _BLOCK * self.tiled.inputs * torch.bfloat16.itemsize

    def arrange(self, ranks: Tensor) -> None:
        """Fill the beginning of `ranks`, bf16, with the correction's inner rows, as `expand` wants them."""
        tiled, slabs = self.tiled, self.tiled.inputs // _SLAB
        if self._blocks:
            self._kernels[f"arrange_ranks_{tiled.bits}"](
                (slabs * self._blocks, 1), 256, 0,
                tiled.a, tiled.orders, self._copies, ranks, tiled.inputs, self._blocks,
            )  # fmt: skip

    def expand(self, scratch: Tensor, ranks: Tensor, first: int = 0, last: int | None = None) -> "Dense":
        """Fill the beginning of `scratch`, bf16, with the tiles `first`…`last`; `ranks` is what `arrange` filled."""
        last = self.tiled.units.shape[0] if last is None else last
        tiled, count, kernels = self.tiled.some(first, last - first), last - first, self._kernels
        dense = scratch[: tiled.outputs * tiled.inputs].view(tiled.outputs, tiled.inputs)
        fours = -(-tiled.inputs // (4 * _SLAB))
        parts = min(count, max(1, kernels.gpu.multiprocessors * _BLOCKS // fours))
        kernels[f"dense_{tiled.bits}{'_paired' if tiled.paired else ''}"](
            (parts, fours), 128, 0,
            tiled.units, tiled.scales, tiled.places, ranks, dense, count, tiled.quantized, self._plain, self._blocks,
        )  # fmt: skip
        cut = [(max(a, first * TALL), min(b, last * TALL), copy) for a, b, copy in self._spans]
        return Dense(dense, [(a - first * TALL, b - first * TALL, copy) for a, b, copy in cut if a < b])


class Dense:
    """A matrix while it is expanded."""

    def __init__(self, weight: Tensor, spans: list[tuple[int, int, int]]) -> None:
        self.weight, self._spans = weight, spans

    def multiply(self, x: Tensor, y: Tensor) -> None:
        """y [T, outputs] = x Wᵀ, x [copies, T, inputs] in every order that W has."""
        for begin, end, copy in self._spans:
            torch.mm(x[copy], self.weight[begin:end].T, out=y[:, begin:end])


def exact_product(x: Tensor, weight: Tensor, y: Tensor) -> None:
    """y = x Wᵀ, fp32, of bf16 x [T, n] and W [outputs, n]; sums are not rounded."""
    if x.is_cuda:
        torch.ops.aten.mm.dtype_out(x, weight.T, torch.float32, out=y)
    else:
        torch.mm(x.float(), weight.float().T, out=y)

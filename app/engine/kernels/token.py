"""Products of one token: quantized linears that make their own input (`token.cu`).

Knows: packed matrices, what the kernels want beside them. Does not know: layers, or in what order they are used.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from app.engine.kernels.layout import GROUP
from app.engine.kernels.linear import THREADS, Tiled, UnsuitableError
from app.engine.kernels.runtime import Gpu, Kernels

_WARPS = THREADS // 32
_SLOT = 1024 + 32
_MOST_INPUTS = 2**16

Kind = Literal["normed", "gated", "ordered", "ready"]


@dataclass(frozen=True, slots=True)
class Given:
    """What a linear's input is made of, in the terms of `token.cu`: `first` fp32 or bf16 [inputs]; `second` partials
    or what the convolution mixes, with z; the norm's weight; where sum or window go; how many partials or channels."""

    kind: Kind
    first: Tensor
    second: Tensor | None = None
    weight: Tensor | None = None
    eps: float = 0.0
    onward: Tensor | None = None
    count: int = 0


class Correction:
    """Room for t = A x of one linear after another, fp32 [2, ranks], and the counters by which blocks tell each other
    that it is there. The two counters take turns, and each launch clears the other's."""

    def __init__(self, ranks: int, device: torch.device) -> None:
        self.t = torch.zeros(2 * max(1, ranks), dtype=torch.float32, device=device)
        self._counters = torch.zeros(2, dtype=torch.int32, device=device)

    def reset(self) -> None:
        """As if nothing had been launched: after launches that broke off."""
        self._counters.zero_()

    def counters(self, turn: int) -> tuple[Tensor, Tensor]:
        """Those of the launch number `turn`: its own, which is zero, and the one that it clears."""
        return self._counters[turn % 2 :], self._counters[(turn + 1) % 2 :]


def parts(gpu: Gpu) -> int:
    """How many partial sums a linear leaves whose outputs are summed later: each is of half the inputs."""
    return 2 if gpu.multiprocessors > 1 else 1


def token_bytes(gpu: Gpu, tiled: Tiled, kind: Kind, splits: int) -> tuple[int, int]:
    """Blocks of a launch, and the dynamic shared memory of each, as `Room` in `token.cu` adds it up. Raises
    `UnsuitableError` if a block may not have so much."""
    tiles, copies, ranks = tiled.units.shape[0], tiled.orders.shape[0], tiled.a.shape[0]
    sharing = min(gpu.multiprocessors // splits, tiles)
    groups, most = -(-(tiled.inputs // GROUP) // splits), -(-tiles // sharing)
    plain = -(-(tiled.units.shape[1] - tiled.quantized) // splits)
    room = _WARPS * gpu.token_ring * _SLOT
    room += copies * groups * (256 + 16 * (1 if tiled.bits == 4 else 2))
    room += 0 if kind == "ready" else 4 * tiled.inputs
    room += 64 * (most + _WARPS) + 64 * most * plain + 16 * most
    room += 4 * ranks + 8 * _WARPS + 4 * _WARPS * -(-ranks // sharing)
    if room > gpu.shared_limit or tiled.inputs > _MOST_INPUTS:
        raise UnsuitableError(f"{tiled.inputs} inputs in {copies} orders")
    return sharing * splits, room


def multiply_one(kernels: Kernels, tiled: Tiled, given: Given, correction: Correction, y: Tensor, *, turn: int) -> None:
    """Launch W x for one token. y decides what is written: bf16 [outputs], or [outputs / 2] of a paired matrix,
    silu(gate) · up; or fp32 [parts, outputs], the parts of sums."""
    gpu = kernels.gpu
    splits = parts(gpu) if y.dtype == torch.float32 else 1
    blocks, shared = token_bytes(gpu, tiled, given.kind, splits)
    if y.numel() < (tiled.outputs // 2 if tiled.paired else tiled.outputs * splits):
        raise ValueError("an output that is too small")
    mine, others = correction.counters(turn)
    each, left_over = divmod(tiled.units.shape[0], blocks // splits)
    kernels[f"token_{tiled.bits}_{given.kind}"](
        (blocks, 1), THREADS, shared, tiled.units, tiled.scales, tiled.places, tiled.a, tiled.orders, correction.t,
        mine, others, y, given.first, given.second, given.weight, given.eps, given.onward, given.count,
        tiled.inputs, tiled.orders.shape[0], tiled.a.shape[0], tiled.units.shape[0], tiled.quantized,
        tiled.units.shape[1] - tiled.quantized, splits - 1, each, left_over, int(tiled.paired),
    )  # fmt: skip

"""Quantized linears on the kernels: packing at load, products for a few tokens, expansion for many.

Knows: GPTQ's packed weights, EoRA, which kernel to launch and how. Does not know: files, layers, what the numbers mean.
Act-order needs no kernel: the inputs are sorted by group when the weight is packed, and x is read in that order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from app.engine.kernels.layout import GROUP, TALL, pack_codes, pack_plain, pack_scales, unpack_plain
from app.engine.kernels.runtime import Gpu, KernelError, Kernels
from app.engine.quantized import Eora, PackedWeight, unpack_columns, unpack_rows

MOST_TOKENS = 8
"""Up to so many tokens the streaming kernel multiplies; they are the columns of one tensor-core product."""

THREADS = 512
_WARPS = THREADS // 32
_UNIT_BYTES = 1024 + 128
_RANKS = 32
_SCRATCH_TILES = 512


class UnsuitableError(Exception):
    """A weight that the kernels do not take, such as one with zero points of its own."""


@dataclass(frozen=True, slots=True)
class Tiled:
    """One or several linears of the same input, packed as one matrix. `units` int32 [tiles, units of a tile, 256],
    `scales` int32 [tiles, groups, 8], `places` int32 [tiles, 4] (`linear.cu`: where t begins, which order of inputs),
    `orders` int32 [copies, inputs], `a` bf16 [ranks, inputs] in the inputs' own order. `paired`: outputs 0…7 of a tile
    are gates of its outputs 8…15. bits is 0 for a plain matrix."""

    units: Tensor
    scales: Tensor
    places: Tensor
    orders: Tensor
    a: Tensor
    bits: int
    paired: bool
    quantized: int

    @property
    def inputs(self) -> int:
        """Width of x."""
        return self.orders.shape[1]

    @property
    def outputs(self) -> int:
        """Width of W x."""
        return self.units.shape[0] * TALL

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(t.nbytes for t in (self.units, self.scales, self.places, self.orders, self.a))

    def some(self, first: int, count: int) -> "Tiled":
        """The tiles `first` and on, as a matrix of their own over the same x and t."""
        return replace(
            self,
            units=self.units[first : first + count],
            scales=self.scales[first : first + count],
            places=self.places[first : first + count],
        )


def tile(
    parts: Sequence[tuple[PackedWeight, Eora | None]], *, paired: bool = False, more: Tensor | None = None
) -> Tiled:
    """Pack linears of one input above each other, or two with their outputs taking turns by eight (`paired`). `more`,
    bf16 [n, inputs], n a multiple of 8, are rows to be multiplied with x beside EoRA's A. Raises `UnsuitableError`."""
    bits = parts[0][0].bits
    inputs = parts[0][0].group_of.numel()
    for packed, _ in parts:
        _check(packed, bits, inputs, TALL // 2 if paired else TALL)
    orders, copies = _orders([packed for packed, _ in parts])
    if paired and len(orders) > 1:
        raise UnsuitableError("two linears that are read together have their inputs in different orders")
    ranks = max(0 if eora is None else -(-eora.a.shape[1] // _RANKS) * _RANKS for _, eora in parts)
    a_rows: list[Tensor] = []
    columns: list[tuple[Tensor, Tensor, Tensor]] = []
    for (packed, eora), copy in zip(parts, copies, strict=True):
        a, b = _correction(eora, inputs, packed.out_features, ranks, packed.codes.device)
        a_rows.append(a)
        codes = unpack_rows(packed.codes, bits)[orders[copy]]
        columns.append((codes, packed.scales, b))
    if paired:
        (codes, scales, b), (other_codes, other_scales, other_b) = columns
        turns = _take_turns(b.T, other_b.T).T.contiguous()
        columns = [(_take_turns(codes, other_codes), _take_turns(scales, other_scales), turns)]
    units = torch.cat([torch.cat((pack_codes(codes, bits), pack_plain(b)), dim=1) for codes, _, b in columns])
    scales = torch.cat([pack_scales(scales) for _, scales, _ in columns])
    a = torch.cat(a_rows if more is None else [*a_rows, more])
    places = _places([packed.out_features for packed, _ in parts], copies, ranks, paired)
    order = torch.stack(orders).to(torch.int32)
    quantized = inputs * bits // 512
    return Tiled(units, scales, places.to(units.device), order, a.contiguous(), bits, paired, quantized)


def tile_plain(weight: Tensor) -> Tiled:
    """Pack a plain matrix [outputs, inputs] as bf16. Raises `UnsuitableError`."""
    outputs, inputs = weight.shape
    if outputs % TALL or inputs % _RANKS:
        raise UnsuitableError(f"a plain matrix of {outputs} × {inputs}")
    device = weight.device
    return Tiled(
        units=pack_plain(weight.bfloat16()),
        scales=torch.zeros(outputs // TALL, 0, 8, dtype=torch.int32, device=device),
        places=torch.zeros(outputs // TALL, 4, dtype=torch.int32, device=device),
        orders=torch.arange(inputs, dtype=torch.int32, device=device).unsqueeze(0),
        a=torch.zeros(0, inputs, dtype=torch.bfloat16, device=device),
        bits=4,
        paired=False,
        quantized=0,
    )


def _check(packed: PackedWeight, bits: int, inputs: int, multiple: int) -> None:
    if packed.bits != bits or packed.group_of.numel() != inputs:
        raise UnsuitableError("linears of the same input differ in bits or size")
    if inputs % GROUP or packed.out_features % multiple:
        raise UnsuitableError(f"a linear of {packed.out_features} × {inputs}")
    counts = torch.bincount(packed.group_of, minlength=packed.scales.shape[0])
    if packed.scales.shape[0] != inputs // GROUP or not bool((counts == GROUP).all()):
        raise UnsuitableError(f"groups of other than {GROUP} inputs")
    if not bool((unpack_columns(packed.zeros, bits) == 2 ** (bits - 1)).all()):
        raise UnsuitableError("zero points off the middle")


def _orders(weights: list[PackedWeight]) -> tuple[list[Tensor], list[int]]:
    """The different orders in which inputs are sorted by group, and which of them each weight has."""
    orders: list[Tensor] = []
    which = []
    for packed in weights:
        order = torch.argsort(packed.group_of, stable=True)
        known = [index for index, other in enumerate(orders) if torch.equal(order, other)]
        which.append(known[0] if known else len(orders))
        if not known:
            orders.append(order)
    return orders, which


def _correction(
    eora: Eora | None, inputs: int, outputs: int, ranks: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """A [ranks, inputs] and B [outputs, ranks] in bf16, filled up with zeros."""
    a = torch.zeros(ranks, inputs, dtype=torch.bfloat16, device=device)
    b = torch.zeros(outputs, ranks, dtype=torch.bfloat16, device=device)
    if eora is not None:
        a[: eora.a.shape[1]] = eora.a.T.to(torch.bfloat16)
        b[:, : eora.b.shape[0]] = eora.b.T.to(torch.bfloat16)
    return a, b


def _take_turns(first: Tensor, second: Tensor) -> Tensor:
    """[rows, outputs] twice → [rows, 2 · outputs]: eight outputs of the first, eight of the second, and so on."""
    eights = (first.shape[0], first.shape[1] // 8, 8)
    return torch.stack((first.reshape(eights), second.reshape(eights)), dim=2).flatten(1, 3)


def _places(outputs: list[int], copies: list[int], ranks: int, paired: bool) -> Tensor:
    if paired:
        return torch.tensor([[0, ranks, copies[0], 0]], dtype=torch.int32).repeat(outputs[0] // 8, 1)
    rows = [[index * ranks, index * ranks, copy, 0] for index, copy in enumerate(copies)]
    counts = torch.tensor([count // TALL for count in outputs])
    return torch.tensor(rows, dtype=torch.int32).repeat_interleave(counts, dim=0)


def pool_bytes(gpu: Gpu, items: int, tokens: int) -> tuple[int, int]:
    """Dynamic shared memory of `linear.cu`'s blocks that have at most `items` items each, and how many of those items
    they put aside before they join them."""
    ring = _WARPS * gpu.ring * _UNIT_BYTES
    share = _WARPS * TALL * tokens * 4
    most = max(1, min(32 * 1024, gpu.shared_limit - 1024 - ring) // share)
    batch = -(-items // -(-items // most))
    if ring + batch * share > gpu.shared_limit:
        raise KernelError("This GPU has too little shared memory for the fast kernels, so answers come slowly.")
    return ring + batch * share, batch


def splits_for(tiles: int, gpu: Gpu) -> int:
    """Into how many parts each tile's inputs are cut so that all multiprocessors have about as much to do."""
    best, least = 1, 10.0
    for splits in range(1, 5):
        items = tiles * splits
        waste = -(-items // gpu.multiprocessors) * gpu.multiprocessors / items
        if waste < least - 0.02:
            best, least = splits, waste
    return best


def multiply(
    kernels: Kernels,
    tiled: Tiled,
    x: Tensor,
    t: Tensor,
    y: Tensor,
    *,
    tokens: int,
    splits: int,
    ranks: int | None = None,
) -> None:
    """Launch W x for at most eight tokens. x bf16 [copies, tokens, inputs] sorted, t bf16 [tokens, ranks].

    y decides what is written: bf16 [tokens, outputs], or [tokens, outputs / 2] of a paired matrix, silu(gate) · up; or
    fp32 [splits, tokens, outputs], the parts of sums.
    """
    gpu, tiles = kernels.gpu, tiled.units.shape[0]
    kind = "_partial" if y.dtype == torch.float32 else "_gated" if tiled.paired else ""
    items = tiles * splits
    if y.numel() < tokens * (tiled.outputs // 2 if kind == "_gated" else tiled.outputs * splits):
        raise ValueError("an output that is too small")
    blocks = min(gpu.multiprocessors, items)
    shared, batch = pool_bytes(gpu, -(-items // blocks), tokens)
    plain = tiled.units.shape[1] - tiled.quantized
    kernels[f"linear_{tiled.bits}{kind}"](
        (blocks, 1), THREADS, shared, tiled.units, tiled.scales, tiled.places, x, t, y, tiled.inputs,
        tiled.a.shape[0] if ranks is None else ranks, tiles, tiled.quantized, plain, splits, tokens, batch,
    )  # fmt: skip


def prepare_blocks(gpu: Gpu, ranks: int) -> int:
    """How many blocks of `prepare.cu` make `ranks` elements of t evenly."""
    each = max(1, -(-ranks // gpu.multiprocessors))
    return max(16, -(-ranks // each))


class TiledLinear:
    """y = W x with a packed matrix: streamed for up to eight tokens, expanded and multiplied in blocks for more. Of a
    paired matrix `half` says which of its two linears it is, and it is always expanded."""

    def __init__(self, kernels: Kernels, tiled: Tiled, half: int = -1) -> None:
        self.kernels, self.tiled, self.half = kernels, tiled, half

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return self.tiled.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """[T, in] → [T, out], bf16"""
        few = x.shape[0] <= MOST_TOKENS and not self.tiled.paired
        return self._few(x.contiguous()) if few else many(self.kernels, self.tiled, x, self.half)

    def _few(self, x: Tensor) -> Tensor:
        tiled, tokens, device = self.tiled, x.shape[0], x.device
        ranks, copies = tiled.a.shape[0], tiled.orders.shape[0]
        y = torch.empty(tokens, tiled.outputs, dtype=torch.bfloat16, device=device)
        if tiled.quantized == 0:
            multiply(self.kernels, tiled, x, x, y, tokens=tokens, splits=1, ranks=tiled.inputs)
            return y
        sorted_x = torch.empty(copies, tokens, tiled.inputs, dtype=torch.bfloat16, device=device)
        t = torch.empty(tokens, ranks, dtype=torch.bfloat16, device=device)
        exact = torch.empty(tokens, ranks, dtype=torch.float32, device=device)
        self.kernels["prepare_plain"](
            (prepare_blocks(self.kernels.gpu, ranks), tokens), THREADS, 2 * tiled.inputs,
            x, sorted_x, tiled.orders, tiled.a, t, exact, tiled.inputs, copies, ranks,
        )  # fmt: skip
        multiply(self.kernels, tiled, sorted_x, t, y, tokens=tokens, splits=1)
        return y


def many(kernels: Kernels, tiled: Tiled, x: Tensor, half: int = -1) -> Tensor:
    """y = W x for any number of tokens [T, in] → [T, out]: the weights of a block of outputs become bf16 numbers in a
    scratch, and a dense product follows. `half` 0 or 1 takes only the first or second linear of a paired matrix."""
    if tiled.quantized == 0:
        return torch.cat([x @ unpack_plain(units).T for units in torch.split(tiled.units, _SCRATCH_TILES)], dim=1)
    tall = TALL if half < 0 else TALL // 2
    tiles, per_tile, _ = tiled.units.shape
    scratch = torch.empty(min(tiles, _SCRATCH_TILES) * tall, tiled.inputs, dtype=torch.bfloat16, device=x.device)
    y = torch.empty(x.shape[0], tiles * tall, dtype=torch.bfloat16, device=x.device)
    t = x @ tiled.a.T
    sorted_x: dict[int, Tensor] = {}
    for begin, end, (upper, lower, copy) in _alike(tiled.places):
        if copy not in sorted_x:
            sorted_x = {copy: x[:, tiled.orders[copy].long()]}
        block = scratch[: (end - begin) * tall]
        kernels[f"expand_{tiled.bits}"](
            (-(-(end - begin) * tiled.quantized // 8), 1), 256, 0,
            tiled.units, tiled.scales, block, begin, end - begin, tiled.quantized, per_tile, half,
        )  # fmt: skip
        b = unpack_plain(tiled.units[begin:end, tiled.quantized :])
        out = sorted_x[copy] @ block.T
        if b.numel():
            out += _low_rank(b, t, (upper, lower), half)
        y[:, begin * tall : end * tall] = out
    return y


def _alike(places: Tensor) -> list[tuple[int, int, tuple[int, int, int]]]:
    """Runs of tiles that read the same x and t and fit into the scratch: begin, end, (t above, t below, copy of x)."""
    rows = [(row[0], row[1], row[2]) for row in places.tolist()]
    cuts = [i for i in range(1, len(rows)) if rows[i] != rows[i - 1]]
    runs = []
    for begin, end in pairwise([0, *cuts, len(rows)]):
        starts = [*range(begin, end, _SCRATCH_TILES), end]
        runs += [(first, last, rows[begin]) for first, last in pairwise(starts)]
    return runs


def _low_rank(b: Tensor, t: Tensor, places: tuple[int, int], half: int) -> Tensor:
    """B t for tiles whose outputs 0…7 take t from one place on and outputs 8…15 from another."""
    ranks = b.shape[1]
    sides = b.view(-1, 2, TALL // 2, ranks)
    above, below = (
        (t[:, at : at + ranks] @ sides[:, side].flatten(0, 1).T).view(t.shape[0], -1, 8)
        for side, at in enumerate(places)
    )
    if half >= 0:
        return (above, below)[half].flatten(1)
    return torch.stack((above, below), dim=2).flatten(1)

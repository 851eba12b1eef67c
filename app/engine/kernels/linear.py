"""Quantized linears on the kernels: packing at load, products for a few tokens (`dense` has those for many).

Knows: GPTQ's packed weights, EoRA, which kernel to launch and how. Does not know: files, layers, what the numbers mean.
Act-order needs no kernel: the inputs are sorted by group when the weight is packed, and x is read in that order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from app.engine.kernels.layout import GROUP, TALL, WORDS, pack_codes, pack_plain, pack_scales
from app.engine.kernels.runtime import Gpu, KernelError, Kernels
from app.engine.quantized import Eora, PackedWeight, unpack_rows

MOST_TOKENS = 8
"""Up to so many tokens the streaming kernel multiplies; they are the columns of one tensor-core product."""

THREADS = 512
_WARPS = THREADS // 32
_UNIT_BYTES = 1024 + 128
_RANKS = 32
_WEIGHTS_AT_ONCE = 2**25


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
    bs: list[Tensor] = []
    for packed, eora in parts:
        a, b = _correction(eora, inputs, packed.out_features, ranks, packed.codes.device)
        a_rows.append(a)
        bs.append(b)
    weights, scales = [packed for packed, _ in parts], [packed.scales for packed, _ in parts]
    if paired:
        scales = [_take_turns(*scales)]
        pieces = [_units(weights, _take_turns(bs[0].T, bs[1].T).T.contiguous(), orders[0])]
    else:
        pieces = [_units([one], b, orders[copy]) for one, b, copy in zip(weights, bs, copies, strict=True)]
    units = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    a = torch.cat(a_rows if more is None else [*a_rows, more])
    places = _places([packed.out_features for packed, _ in parts], copies, ranks, paired)
    order = torch.stack(orders).to(torch.int32)
    quantized = inputs * bits // 512
    packed_scales = torch.cat([pack_scales(one) for one in scales])
    return Tiled(units, packed_scales, places.to(units.device), order, a.contiguous(), bits, paired, quantized)


def tile_plain(weight: Tensor) -> Tiled:
    """Pack a plain matrix [outputs, inputs] as bf16. Raises `UnsuitableError`."""
    return tile_blocks([(0, weight)], weight.shape[0], weight.shape[1], weight.device)


def tile_blocks(blocks: Iterable[tuple[int, Tensor]], outputs: int, inputs: int, device: torch.device) -> Tiled:
    """Pack a plain matrix [outputs, inputs] as bf16 that comes in blocks of rows, a multiple of 16 of them, each with
    its first row: so it is never there twice. Raises `UnsuitableError` before it asks for the first block."""
    if outputs % TALL or inputs % _RANKS:
        raise UnsuitableError(f"a plain matrix of {outputs} × {inputs}")
    units = torch.empty(outputs // TALL, inputs // _RANKS, WORDS, dtype=torch.int32, device=device)
    for begin, block in blocks:
        first = begin // TALL
        units[first : first + block.shape[0] // TALL] = pack_plain(block.bfloat16())
    return Tiled(
        units=units,
        scales=torch.zeros(outputs // TALL, 0, 8, dtype=torch.int32, device=device),
        places=torch.zeros(outputs // TALL, 4, dtype=torch.int32, device=device),
        orders=torch.arange(inputs, dtype=torch.int32, device=device).unsqueeze(0),
        a=torch.zeros(0, inputs, dtype=torch.bfloat16, device=device),
        bits=4,
        paired=False,
        quantized=0,
    )


def _units(weights: list[PackedWeight], b: Tensor, order: Tensor) -> Tensor:
    """The units of one linear, or of two that take turns, a few tiles at a time: what is on its way there is large."""
    bits, each = weights[0].bits, TALL // len(weights)
    tiles, quantized = weights[0].out_features // each, order.numel() * bits // 512
    units = torch.empty(tiles, quantized + b.shape[1] // _RANKS, WORDS, dtype=torch.int32, device=b.device)
    units[:, quantized:] = pack_plain(b)
    at_once = max(1, _WEIGHTS_AT_ONCE // (order.numel() * TALL))
    for first in range(0, tiles, at_once):
        last = min(first + at_once, tiles)
        codes = [unpack_rows(weight.codes[:, first * each : last * each], bits)[order] for weight in weights]
        units[first:last, :quantized] = pack_codes(codes[0] if len(codes) == 1 else _take_turns(*codes), bits)
    return units


def _check(packed: PackedWeight, bits: int, inputs: int, multiple: int) -> None:
    if packed.bits != bits or packed.group_of.numel() != inputs:
        raise UnsuitableError("linears of the same input differ in bits or size")
    if inputs % GROUP or packed.out_features % multiple:
        raise UnsuitableError(f"a linear of {packed.out_features} × {inputs}")
    groups = torch.arange(inputs, device=packed.group_of.device) // GROUP
    even = (packed.group_of.sort().values == groups).all()
    middle = (packed.zeros == (0x88888888 if bits == 4 else 0x80808080) - 2**32).all()
    even_groups, zeros_in_the_middle = torch.stack((even, middle)).tolist()  # once: a GPU has to be waited for
    if packed.scales.shape[0] != inputs // GROUP or not even_groups:
        raise UnsuitableError(f"groups of other than {GROUP} inputs")
    if not zeros_in_the_middle:
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

    y decides what is written: bf16 [tokens, outputs], or fp32 [splits, tokens, outputs], the parts of sums.
    """
    gpu, tiles = kernels.gpu, tiled.units.shape[0]
    kind = "_partial" if y.dtype == torch.float32 else ""
    items = tiles * splits
    if y.numel() < tokens * tiled.outputs * splits:
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

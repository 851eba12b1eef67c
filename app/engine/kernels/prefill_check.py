"""Compares the kernels of many tokens with plain torch in float64 on fresh random inputs, as `check` does for one.

Knows: what each should compute, how far rounding to bf16 on the way may take it. Does not know: models, files. Every
output begins as NaN.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.kernels.check import (
    BF16,
    FP32,
    Checked,
    Shape,
    dense_weight,
    error,
    random_eora,
    random_weight,
    sentence,
)
from app.engine.kernels.dense import Arena, Expansion
from app.engine.kernels.linear import tile
from app.engine.kernels.prefill import ChunkWeights, delta_bytes, delta_chunks
from app.engine.kernels.runtime import Kernels
from app.engine.quantized import PackedWeight

CHUNKED = 3 * BF16
"""The chunked delta rule rounds w, u, states and corrections to bf16 before it multiplies them."""


def self_check_many(kernels: Kernels, device: torch.device) -> str | None:
    """Why these kernels cannot be used on this device, as a sentence, or None if everything small comes out right."""
    generator = torch.Generator(device)
    generator.seed()
    return sentence(prefill_checks(kernels, generator))


def prefill_checks(kernels: Kernels, generator: torch.Generator) -> Iterator[Checked]:
    """Every kernel of many tokens on small and odd shapes."""
    for bits in (4, 8):
        for shape in (Shape(48, 640, bits, 64), Shape(144, 128, bits, 0), Shape(32, 256, bits, 100)):
            yield from dense(kernels, generator, shape)
    for length, pace in ((2, 1.0), (65, 0.02), (130, 8.0)):
        yield from delta(kernels, generator, (1, 3), length, pace)
    yield from small(kernels, generator, 3, 256)
    yield from heads(kernels, generator, 3, 2)


def dense(kernels: Kernels, generator: torch.Generator, shape: Shape) -> Iterator[Checked]:
    """Two linears of one input in different orders, and a pair, which is expanded in two parts."""
    out, into = shape.out, shape.into
    name = f"expanded: {shape.bits} bits, {out} × {into}, rank {shape.rank}"
    parts = [
        (random_weight(generator, out, into, shape.bits), random_eora(generator, out, into, shape.rank))
        for _ in range(2)
    ]
    (first, one), (second, other) = parts
    second = PackedWeight(second.codes, second.zeros, second.scales, first.group_of, second.bits)
    exact = [dense_weight(p) + (0 if e is None else (e.a.double() @ e.b.double()).T) for p, e in parts]
    twin = dense_weight(second) + (0 if other is None else (other.a.double() @ other.b.double()).T)
    tiled, paired = tile(parts), tile([(first, one), (second, other)], paired=True)
    orders = tiled.orders.long()[tiled.places[:: out // 16, 2].long()]
    wanted = torch.cat([w[:, o] for w, o in zip(exact, orders, strict=True)])
    (whole,) = _expanded(Expansion(kernels, tiled), generator, [(0, tiled.units.shape[0])])
    yield Checked(name, error(whole, wanted), BF16)
    middle, count, order = 8 * (out // 24), out // 8, paired.orders[0].long()
    pieces = _expanded(Expansion(kernels, paired), generator, [(0, middle // 8), (middle // 8, count)])
    for piece, (begin, end) in zip(pieces, ((0, middle), (middle, out)), strict=True):
        wanted = torch.cat((exact[0][begin:end], twin[begin:end]))[:, order]
        yield Checked(f"{name}, a pair's {begin}…{end}", error(piece, wanted), BF16)


def _expanded(matrix: Expansion, generator: torch.Generator, cuts: list[tuple[int, int]]) -> Iterator[Tensor]:
    """Parts of a matrix, one after another, in the same place."""
    scratch = _poison(generator, matrix.nbytes // 2).bfloat16()
    ranks = _poison(generator, max(1, matrix.rank_bytes // 2)).bfloat16()
    matrix.arrange(ranks)
    for first, last in cuts:
        scratch.fill_(float("nan"))
        yield matrix.expand(scratch, ranks, first, last).weight


def delta(
    kernels: Kernels, generator: torch.Generator, counts: tuple[int, int], length: int, pace: float
) -> Iterator[Checked]:
    """The chunked delta rule against one token after another; `pace` says how fast states fade."""
    (key_heads, value_heads), device = counts, generator.device
    channels = (2 * key_heads + value_heads) * 128
    mixed = _normal(generator, length, channels + 256).bfloat16()
    window, weight = _normal(generator, 3, channels).bfloat16(), _normal(generator, 4, channels) * 0.5
    gates, bias = _normal(generator, length, 2 * value_heads), _normal(generator, value_heads)
    decay = -pace * _normal(generator, value_heads).exp()
    state = _normal(generator, value_heads, 128, 128)
    inputs = torch.cat((window, mixed[:, :channels])).double()
    convolved = fn.silu(
        sum((inputs[tap : tap + length] * weight[tap].double() for tap in range(4)), torch.zeros((), device=device))
    )
    rows = convolved.view(length, -1, 128)
    q, k = (
        fn.normalize(part, dim=-1, eps=1e-9).repeat_interleave(value_heads // key_heads, 1)
        for part in (rows[:, :key_heads], rows[:, key_heads : 2 * key_heads])
    )
    v, a, b = rows[:, 2 * key_heads :], gates[:, :value_heads].double(), gates[:, value_heads:].double()
    alpha, beta = (decay.double() * fn.softplus(a + bias.double())).exp(), b.sigmoid()
    exact, wanted = state.double(), torch.empty(length, value_heads, 128, dtype=torch.float64, device=device)
    for token in range(length):
        exact = exact * alpha[token].view(-1, 1, 1)
        change = beta[token].unsqueeze(1) * (v[token] - torch.einsum("hk,hkv->hv", k[token], exact))
        exact = exact + torch.einsum("hk,hv->hkv", k[token], change)
        wanted[token] = torch.einsum("hk,hkv->hv", q[token], exact) / 128**0.5
    y = _poison(generator, length, value_heads * 128).bfloat16()
    arena = Arena(delta_bytes(length, key_heads, value_heads), device)
    arena.take(torch.float32, arena.nbytes // 4).fill_(float("nan"))
    arena.clear()
    weights = ChunkWeights(weight, decay, bias, key_heads)
    delta_chunks(kernels, mixed, gates, weights, y, window=window, state=state, arena=arena)
    name = f"DeltaNet, {length} tokens, {value_heads} heads, pace {pace}"
    yield Checked(f"{name}: output", error(y, wanted.flatten(1)), CHUNKED)
    yield Checked(f"{name}: state", error(state, exact), CHUNKED)
    yield Checked(f"{name}: window", error(window, inputs[-3:]), 0.0)


def small(kernels: Kernels, generator: torch.Generator, tokens: int, inputs: int) -> Iterator[Checked]:
    """Residual and norm, the gate of the feed-forward part, DeltaNet's gated norm, each in two orders of inputs."""
    device, copies = generator.device, 2
    orders = torch.stack([torch.randperm(inputs, generator=generator, device=device) for _ in range(copies)]).int()
    hidden, branch = _normal(generator, tokens, inputs), _normal(generator, tokens, inputs).bfloat16()
    weight, head_weight = 1 + _normal(generator, inputs) * 0.2, 1 + _normal(generator, 128) * 0.2
    summed = hidden.double() + branch.double()
    x = _poison(generator, copies, tokens, inputs).bfloat16()
    kernels["add_norm"]((tokens, 1), 256, 6 * inputs, hidden, branch, weight, 1e-6, x, orders, inputs, copies)
    yield Checked("add_norm: the residual stream", error(hidden, summed), FP32)
    normed = fn.rms_norm(summed, (inputs,), weight.double(), 1e-6)
    yield Checked("add_norm: x", error(x, _sorted(normed, orders)), BF16)
    y, x = _normal(generator, tokens, 2 * inputs).bfloat16(), _poison(generator, tokens, 2 * inputs).bfloat16()
    kernels["silu_up"]((-(-tokens * inputs // 2048), 1), 256, 0, y, x.view(-1)[inputs:], inputs, 2 * inputs, tokens)
    gate, up = y.double().chunk(2, dim=1)
    yield Checked("silu_up", error(x[:, inputs:], fn.silu(gate) * up), BF16)
    y, z = _normal(generator, tokens, inputs).bfloat16(), _normal(generator, tokens, inputs + 64).bfloat16()
    x = _poison(generator, copies, tokens, inputs).bfloat16()
    kernels["gate_norm"]((tokens, 1), 256, 2 * inputs, y, z, inputs + 64, head_weight, 1e-6, x, orders, inputs, copies)
    gated = fn.rms_norm(y.double().view(tokens, -1, 128), (128,), head_weight.double(), 1e-6).flatten(1)
    yield Checked("gate_norm", error(x, _sorted(gated * fn.silu(z[:, :inputs].double()), orders)), BF16)


def heads(kernels: Kernels, generator: torch.Generator, queries: int, kv_heads: int) -> Iterator[Checked]:
    """Norms, turns and places of queries, keys and values; the gate of what attention returns."""
    tokens, before, capacity, rotary, device = 5, 7, 13, 64, generator.device
    stride = 512 * queries + 512 * kv_heads + 64
    mixed = _normal(generator, tokens, stride).bfloat16()
    q_weight, k_weight = (1 + 0.3 * _normal(generator, 256) for _ in range(2))
    angles = _normal(generator, tokens, 1, rotary // 2).repeat(1, 1, 2) * 3
    turns = angles.cos(), angles.sin()
    q = _poison(generator, tokens, queries, 256).bfloat16()
    keys, values = (_normal(generator, kv_heads, capacity, 256).bfloat16() for _ in range(2))
    kept = keys.clone(), values.clone()
    kernels["turn_heads"](
        (-(-(queries + 2 * kv_heads) // 8), tokens), 256, 0,
        mixed, stride, q_weight, k_weight, 1e-6, *turns, rotary, q, keys, values, queries, kv_heads, capacity, before,
    )  # fmt: skip
    parts = mixed[:, : 512 * queries].double().view(tokens, queries, 2, 256)
    new = mixed[:, 512 * queries : stride - 64].double().view(tokens, 2, kv_heads, 256)
    yield Checked("turn_heads: queries", error(q, _turned(parts[:, :, 0], q_weight, turns)), BF16)
    for name, found, old, wanted in (
        ("keys", keys, kept[0], _turned(new[:, 0], k_weight, turns)),
        ("values", values, kept[1], new[:, 1]),
    ):
        expected = old.double()
        expected[:, before : before + tokens] = wanted.transpose(0, 1)
        yield Checked(f"turn_heads: {name}", error(found, expected), BF16)
    inputs, copies = 256 * queries, 2
    orders = torch.stack([torch.randperm(inputs, generator=generator, device=device) for _ in range(copies)]).int()
    x = _poison(generator, copies, tokens, inputs).bfloat16()
    kernels["gate_heads"]((tokens, 1), 256, 2 * inputs, q, mixed, stride, x, orders, inputs, copies)
    gated = (q.double() * parts[:, :, 1].sigmoid()).flatten(1)
    yield Checked("gate_heads", error(x, _sorted(gated, orders)), BF16)


def _turned(x: Tensor, weight: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """[T, heads, 256] normed, and the first channels turned."""
    x = fn.rms_norm(x, (256,), weight.double(), 1e-6)
    cos, sin = (part.double() for part in turns)
    first, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    one, two = first.chunk(2, dim=-1)
    return torch.cat((first * cos + torch.cat((-two, one), dim=-1) * sin, rest), dim=-1)


def _sorted(x: Tensor, orders: Tensor) -> Tensor:
    return torch.stack([x[:, order.long()] for order in orders])


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _poison(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.full(shape, float("nan"), device=generator.device)

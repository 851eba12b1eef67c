"""Compares the kernels with plain torch in float64 on fresh random inputs: at the start on a GPU, and in the tests.

Knows: what each kernel should compute, how far rounding may take it. Does not know: models, files. Every output begins
as NaN, so that an element nobody writes is noticed. Errors are ‖out − reference‖ / ‖reference‖.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.byte_rows import to_bytes
from app.engine.kernels.decode import attention_bytes
from app.engine.kernels.linear import (
    THREADS,
    UnsuitableError,
    multiply,
    prepare_blocks,
    tile,
    tile_plain,
)
from app.engine.kernels.module import TiledLinear
from app.engine.kernels.runtime import KernelError, Kernels
from app.engine.quantized import Eora, PackedWeight, unpack_rows

BF16 = 4e-3
"""The most that rounding results to bf16 may cost; fp32 results may differ by `FP32`."""
FP32 = 2e-5
# Wider than a processor's fp32: tensor cores cut sums off where others round them.


@dataclass(frozen=True, slots=True)
class Shape:
    """A quantized linear's."""

    out: int
    into: int
    bits: int
    rank: int


@dataclass(frozen=True, slots=True)
class Checked:
    """One comparison."""

    name: str
    error: float
    limit: float

    @property
    def right(self) -> bool:
        """Whether the kernel computes what it should. NaN is wrong."""
        return self.error <= self.limit


def self_check(kernels: Kernels, device: torch.device, group: int) -> str | None:
    """Why the kernels cannot be used on this device, as a sentence, or None if everything small comes out right."""
    return sentence(small_checks(kernels, device, group))


def sentence(checks: Iterable[Checked]) -> str | None:
    """What the person is told when one of these comparisons goes wrong, or None."""
    try:
        wrong = [checked.name for checked in checks if not checked.right]
    except torch.OutOfMemoryError:
        raise
    except (KernelError, UnsuitableError, RuntimeError) as error:
        return f"The fast kernels do not run on this GPU ({error}), so answers come slowly."
    return (
        f"The fast kernels compute wrong results on this GPU ({wrong[0]}), so answers come slowly." if wrong else None
    )


def small_checks(kernels: Kernels, device: torch.device, group: int) -> Iterator[Checked]:
    """Every kernel on small and odd shapes."""
    generator = torch.Generator(device).manual_seed(int(torch.randint(2**31, ()).item()))
    for bits in (4, 8):
        for tokens, out, into, rank in ((1, 144, 384, 64), (5, 48, 256, 40), (8, 16, 128, 0)):
            yield from linear(kernels, generator, Shape(out, into, bits, rank), tokens)
    yield plain_linear(kernels, generator, 272, 96, 3)
    yield from delta(kernels, generator, 2, 6)
    for length in (0, 1, 70, 333):
        yield attention(kernels, generator, 2, group, length)
        yield from attention_in_bytes(kernels, generator, 2, group, length)
    yield from preparation(kernels, generator, 512, 40)


def linear(kernels: Kernels, generator: torch.Generator, shape: Shape, tokens: int) -> Iterator[Checked]:
    """Two quantized linears of one input in different orders, multiplied by few tokens and by many."""
    out, into, bits, rank = shape.out, shape.into, shape.bits, shape.rank
    name = f"{bits} bits, {out} × {into}, rank {rank}, {tokens} tokens"
    parts = [(random_weight(generator, out, into, bits), random_eora(generator, out, into, rank)) for _ in range(2)]
    x = _normal(generator, tokens, into).bfloat16()
    tiled = tile(parts)
    sorted_x = torch.stack([x[:, order.long()] for order in tiled.orders])
    t = (x.float() @ tiled.a.T.float()).bfloat16()
    dense = [dense_weight(packed) for packed, _ in parts]
    bare = torch.cat([x.double() @ weight.T for weight in dense], dim=1)
    correction = torch.cat([_corrected(t, index, eora, out) for index, (_, eora) in enumerate(parts)], dim=1)
    for splits in (1, 3):
        y = _poison(generator, splits, tokens, 2 * out)
        multiply(kernels, tiled, sorted_x, t, y, tokens=tokens, splits=splits)
        yield Checked(f"{name}, {splits} splits", error(y.sum(0), bare + correction), FP32)
    module = TiledLinear(kernels, tiled)
    exact = bare + torch.cat([_exact_correction(x, eora, out) for _, eora in parts], dim=1)
    yield Checked(f"{name}, as a module", error(module(x), exact), BF16)
    wide = _normal(generator, 21, into).bfloat16()
    exact = torch.cat(
        [wide.double() @ w.T + _exact_correction(wide, e, out) for w, (_, e) in zip(dense, parts, strict=True)], 1
    )
    yield Checked(f"{name}, expanded", error(module(wide), exact), 2 * BF16)


def plain_linear(kernels: Kernels, generator: torch.Generator, out: int, into: int, tokens: int) -> Checked:
    """A bf16 matrix, as the head is one."""
    weight, x = _normal(generator, out, into).bfloat16(), _normal(generator, tokens, into).bfloat16()
    y = _poison(generator, 1, tokens, out)
    multiply(kernels, tile_plain(weight), x, x, y, tokens=tokens, splits=1, ranks=into)
    return Checked(f"bf16, {out} × {into}, {tokens} tokens", error(y[0], x.double() @ weight.double().T), FP32)


def delta(kernels: Kernels, generator: torch.Generator, key_heads: int, heads: int) -> Iterator[Checked]:
    """One token of DeltaNet: the state and what is read from it."""
    channels = (2 * key_heads + heads) * 128
    mixed, window = _normal(generator, channels).bfloat16(), _normal(generator, 3, channels).bfloat16()
    weight, state = _normal(generator, 4, channels) * 0.5, _normal(generator, heads, 128, 128)
    a, b, bias = (_normal(generator, heads) for _ in range(3))
    decay = -_normal(generator, heads).exp()
    expected = state.double()
    taps = torch.cat((window, mixed.unsqueeze(0))).double()
    convolved = fn.silu((taps * weight.double()).sum(0)).view(-1, 128)
    q, k, v = convolved[:key_heads], convolved[key_heads : 2 * key_heads], convolved[2 * key_heads :]
    q, k = (_unit(z).repeat_interleave(heads // key_heads, 0) for z in (q, k))
    alpha = (decay.double() * fn.softplus(a.double() + bias.double())).exp().view(-1, 1, 1)
    expected = expected * alpha
    read = torch.einsum("hk,hkv->hv", k, expected)
    change = b.double().sigmoid().unsqueeze(1) * (v - read)
    expected = expected + torch.einsum("hk,hv->hkv", k, change)
    y = _poison(generator, heads, 128)
    kernels["delta_step"]((4, heads), 256, 0, mixed, window, weight, a, b, decay, bias, state, y, key_heads)
    yield Checked("DeltaNet's output", error(y, torch.einsum("hk,hkv->hv", q, expected) / math.sqrt(128)), FP32)
    yield Checked("DeltaNet's state", error(state, expected), FP32)


def attention(kernels: Kernels, generator: torch.Generator, kv_heads: int, group: int, length: int) -> Checked:
    """One token's attention after `length` others, with its norms, turns, gate and place in the cache."""
    rows = [_normal(generator, kv_heads, length + 5, 256).bfloat16() for _ in range(2)]
    for plane in rows:
        plane[:, length:] = math.nan
    old = [plane[:, :length].double() for plane in rows]
    y, expected, _ = _attended(kernels, generator, (kv_heads, group), rows, old, names=("rotate", "attend"))
    return Checked(f"attention over {length + 1} tokens", error(y, expected), 3 * BF16)


def attention_in_bytes(
    kernels: Kernels, generator: torch.Generator, kv_heads: int, group: int, length: int
) -> Iterator[Checked]:
    """The same over keys and values in bytes, large channels among them, and how the token's own are rounded."""
    kept = [to_bytes(_normal(generator, kv_heads, length + 5, 256) * _normal(generator, 256).exp2()) for _ in range(2)]
    for rows in kept:
        rows.codes[:, length:] = 99
        rows.scales[:, length:] = math.nan
    planes = [*(rows.codes for rows in kept), *(rows.scales for rows in kept)]
    old = [rows.piece(0, length).wide(torch.float64) for rows in kept]
    y, expected, new = _attended(kernels, generator, (kv_heads, group), planes, old, names=("rotate_8", "attend_8"))
    name = f"attention in bytes over {length + 1} tokens"
    yield Checked(name, error(y, expected), 3 * BF16)
    for rows, exact, before in zip(kept, new, old, strict=True):
        mine, untouched = rows.piece(length, length + 1).wide(torch.float64)[:, 0], rows.piece(0, length)
        yield Checked(f"{name}: its own row", error(mine, to_bytes(exact).wide(torch.float64)), BF16)
        yield Checked(f"{name}: the others", float((untouched.wide(torch.float64) - before).abs().sum()), 0.0)


def _attended(
    kernels: Kernels,
    generator: torch.Generator,
    counts: tuple[int, int],
    planes: list[Tensor],
    old: list[Tensor],
    *,
    names: tuple[str, str],
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """What the kernels of these names and `gather` make of a token behind `old` keys and values, which lie in `planes`;
    what they should; and the token's own key and value."""
    (kv_heads, group), length, capacity, device = counts, old[0].shape[1], planes[0].shape[1], generator.device
    heads = kv_heads * group
    mixed = _normal(generator, (2 * heads + 2 * kv_heads) * 256).bfloat16()
    q_weight, k_weight = (1 + 0.3 * _normal(generator, 256) for _ in range(2))
    frequencies = 1e7 ** -(torch.arange(32, device=device) / 32)
    cursor = torch.tensor([length, length + 17], dtype=torch.int32, device=device)
    q, y = _poison(generator, heads, 256).bfloat16(), _poison(generator, heads, 256).bfloat16()
    splits = max(1, kernels.gpu.multiprocessors // kv_heads)
    shares, peaks = _poison(generator, splits, heads, 256), _poison(generator, splits, heads, 2)
    kernels[names[0]](
        (heads + kv_heads, 1), 256, 0,
        mixed, q_weight, k_weight, 1e-6, frequencies, 64, cursor, q, *planes, heads, capacity,
    )  # fmt: skip
    kernels[names[1]]((splits, kv_heads), 256, attention_bytes(group), q, *planes, cursor, shares, peaks, capacity)
    kernels["gather"]((heads, 1), 256, 0, shares, peaks, mixed, cursor, y, splits)

    query, gate = mixed[: 512 * heads].double().view(heads, 2, 256).unbind(1)
    new_k, new_v = mixed[512 * heads :].double().view(2, kv_heads, 256)
    angles = (length + 17) * frequencies.double()
    query, new_k = (_turned(z, w, angles) for z, w in ((query, q_weight), (new_k, k_weight)))
    own = [to_bytes(z).wide(torch.float64) if len(planes) > 2 else z for z in (new_k, new_v)]
    whole = [torch.cat((before, z.unsqueeze(1)), dim=1) for before, z in zip(old, own, strict=True)]
    k, v = (each.repeat_interleave(group, 0) for each in whole)
    chances = (torch.einsum("hd,hnd->hn", query, k) / 16).softmax(1)
    expected = torch.einsum("hn,hnd->hd", chances, v) * gate.sigmoid()
    return y, expected, [new_k, new_v]


def preparation(kernels: Kernels, generator: torch.Generator, inputs: int, ranks: int) -> Iterator[Checked]:
    """The two ways to make x, its two orders and t, for two tokens."""
    device, tokens, copies = generator.device, 2, 2
    orders = torch.stack([torch.randperm(inputs, generator=generator, device=device) for _ in range(copies)]).int()
    a = (_normal(generator, ranks, inputs) / math.sqrt(inputs)).bfloat16()
    grid = (prepare_blocks(kernels.gpu, ranks), tokens)
    before, partials = _normal(generator, tokens, inputs), _normal(generator, 3, tokens, inputs)
    weight, z = 1 + _normal(generator, inputs) * 0.2, _normal(generator, tokens, inputs).bfloat16()
    summed = before.double() + partials.double().sum(0)
    normed = fn.rms_norm(summed, (inputs,), weight.double(), 1e-6)
    after = _poison(generator, tokens, inputs)
    ways: tuple[tuple[str, int, tuple[Tensor | int | float, ...], Tensor], ...] = (
        ("prepare_norm", 6, (before, partials, 3, after, weight, 1e-6), normed),
        ("prepare_plain", 2, (z,), z.double()),
    )
    for name, width, given, expected in ways:
        x = _poison(generator, copies, tokens, inputs).bfloat16()
        t, exact = _poison(generator, tokens, ranks).bfloat16(), _poison(generator, tokens, ranks)
        kernels[name](grid, THREADS, width * inputs, *given, x, orders, a, t, exact, inputs, copies, ranks)
        wanted = torch.stack([expected[:, order.long()] for order in orders])
        yield Checked(f"{name}: x", error(x, wanted), BF16)
        yield Checked(f"{name}: t", max(error(exact, expected @ a.double().T), error(t, exact.double())), BF16)
    yield Checked("the residual stream", error(after, summed), FP32)


def random_weight(generator: torch.Generator, out: int, into: int, bits: int) -> PackedWeight:
    """A packed weight with shuffled groups of 128, outputs of about unit size for inputs of unit size."""
    device = generator.device
    codes = torch.randint(-(2**31), 2**31, (into * bits // 32, out), generator=generator, device=device)
    scales = torch.rand(into // 128, out, generator=generator, device=device) + 0.5
    middle = 0x88888888 - 2**32 if bits == 4 else 0x80808080 - 2**32
    zeros = torch.full((into // 128, out * bits // 32), middle, dtype=torch.int32, device=device)
    groups = torch.randperm(into, generator=generator, device=device) // 128
    scales = scales * math.sqrt(12 / into) / 2**bits
    return PackedWeight(codes.int(), zeros, scales.half(), groups.int(), bits)


def random_eora(generator: torch.Generator, out: int, into: int, rank: int) -> Eora | None:
    """A correction of about half the size of the weight, None for rank 0."""
    if rank == 0:
        return None
    a, b = _normal(generator, into, rank) / math.sqrt(into), _normal(generator, rank, out) / math.sqrt(rank) / 2
    return Eora(a.bfloat16(), b.bfloat16())


def dense_weight(packed: PackedWeight) -> Tensor:
    """(code − zero) · scale without any rounding, float64 [out, in]."""
    codes = unpack_rows(packed.codes, packed.bits).double() - 2 ** (packed.bits - 1)
    dense: Tensor = (codes * packed.scales.double()[packed.group_of.long()]).T
    return dense


def error(out: Tensor, reference: Tensor) -> float:
    """‖out − reference‖ / ‖reference‖"""
    return float((out.double() - reference).norm() / reference.norm())


def _corrected(t: Tensor, index: int, eora: Eora | None, out: int) -> Tensor:
    """B t for the linear `index`, whose ranks are filled up to a multiple of 32."""
    if eora is None:
        return torch.zeros(t.shape[0], out, dtype=torch.float64, device=t.device)
    rank = eora.b.shape[0]
    begin = index * (-(-rank // 32) * 32)
    correction: Tensor = t[:, begin : begin + rank].double() @ eora.b.double()
    return correction


def _exact_correction(x: Tensor, eora: Eora | None, out: int) -> Tensor:
    if eora is None:
        return torch.zeros(x.shape[0], out, dtype=torch.float64, device=x.device)
    correction: Tensor = x.double() @ eora.a.double() @ eora.b.double()
    return correction


def _turned(x: Tensor, weight: Tensor, angles: Tensor) -> Tensor:
    """Normed, and the first 64 channels turned."""
    x = fn.rms_norm(x, (256,), weight.double(), 1e-6)
    first, second = x[:, :32], x[:, 32:64]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((first * cos - second * sin, second * cos + first * sin, x[:, 64:]), dim=1)


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _poison(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.full(shape, float("nan"), device=generator.device)

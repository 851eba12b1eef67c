"""The kernels' twins in plain torch, launched like them: what shows on a CPU that a caller passes the right things.

Each takes what its kernel takes, in the same order, and computes what the head of its `.cu` file says, reading packed
weights by the description in `layout.py`. Every launch is also held against the kernel's signature in the source.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.byte_rows import ByteRows, to_bytes
from app.engine.kernels.runtime import SOURCES, Gpu, Launch, Value
from tests.engine.kernels.many import ManyTokens
from tests.engine.kernels.one import product, token

_LINEARS = re.compile(r"linear_([48])(_partial)?$")
_TOKENS = re.compile(r"token_([48])_(\w+)$")


@cache
def signatures() -> dict[str, tuple[str, ...]]:
    """Of every kernel in the sources, what its parameters are: "pointer", "int" or "float"."""
    found: dict[str, tuple[str, ...]] = {}
    folder = files("app.engine.kernels")
    for source in SOURCES:
        text = re.sub(r"\\\n", "\n", (folder / f"{source}.cu").read_text("utf-8"))
        for name, parameters in re.findall(r'extern "C" __global__ void\s.*?(\w+)\(([^)]*)\)\s*\{', text, re.DOTALL):
            kinds = ("pointer" if "*" in p else p.replace("const", "").split()[0] for p in parameters.split(","))
            found[name] = tuple(kinds)
        generic = found.pop("NAME", None)
        if generic is not None:
            found |= dict.fromkeys(re.findall(r"^[A-Z]+\((\w+),", text, re.MULTILINE), generic)
    return found


class PlainKernels(ManyTokens):
    """Every kernel by its name; `launched` lists the names in the order of launches."""

    def __init__(self, multiprocessors: int = 6, shared_limit: int = 99 * 1024) -> None:
        self.gpu = Gpu(multiprocessors, shared_limit)
        self.launched: list[str] = []
        self._shares: Tensor = torch.empty(0)

    def __getitem__(self, name: str) -> Launch:
        def launch(grid: tuple[int, int], threads: int, shared: int, *values: Value) -> None:
            kinds = tuple("pointer" if v is None or isinstance(v, Tensor) else type(v).__name__ for v in values)
            assert kinds == signatures()[name], f"{name} takes {signatures()[name]}, not {kinds}"
            assert all(v.is_contiguous() for v in values if isinstance(v, Tensor))
            assert 0 < threads <= 1024
            assert shared <= self.gpu.shared_limit
            self.launched.append(name)
            self._twin(name)(grid, *values)

        return launch

    def _twin(self, name: str) -> Callable[..., None]:
        if match := _LINEARS.match(name):
            bits, kind = match.groups()
            return lambda _grid, *values: _linear(int(bits), kind, *values)
        if match := _TOKENS.match(name):
            bits, kind = match.groups()
            return partial(token, int(bits), kind)
        twin: Callable[..., None] = getattr(self, f"_{name}")
        return twin

    @staticmethod
    def _prepare_norm(grid: Any, *values: Any) -> None:
        before, partials, splits, after, weight, eps, *rest = values
        inputs, tokens = rest[5], grid[1]
        hidden = before.view(tokens, inputs) + partials.flatten()[: splits * tokens * inputs].view(
            -1, tokens, inputs
        ).sum(0)
        assert after.data_ptr() != before.data_ptr()
        after.view(tokens, inputs).copy_(hidden)
        _finish(fn.rms_norm(hidden, (inputs,), weight, eps).bfloat16(), *rest)

    @staticmethod
    def _largest_of_each(_grid: Any, logits: Any, penalties: Any, valid: int, best: Any) -> None:
        row = logits[:valid] if penalties is None else logits[:valid] - penalties
        order = row.argsort(descending=True, stable=True)[: len(best)]
        best.zero_()[: len(order)] = row[order].view(torch.int32).long() << 32 | order

    @staticmethod
    def _largest_of_all(_grid: Any, best: Any, _runs: int, logits: Any, ids: Any) -> None:
        logits.copy_(best[:64] >> 32)
        ids.copy_(best[:64] & 0xFFFFFFFF)

    @staticmethod
    def _prepare_plain(grid: Any, given: Any, *rest: Any) -> None:
        _finish(given.flatten()[: grid[1] * rest[5]].view(grid[1], -1), *rest)

    @staticmethod
    def _delta_step(grid: Any, *values: Any) -> None:
        mixed, window, weight, a, b, decay, bias, state, y, key_heads = values
        heads, channels = grid[1], weight.shape[1]
        taps = torch.cat((window, mixed[:channels].unsqueeze(0))).float()
        rows = fn.silu((taps * weight).sum(0)).view(-1, 128)
        q, k = (fn.normalize(z, dim=1).repeat_interleave(heads // key_heads, 0) for z in rows[: 2 * key_heads].chunk(2))
        state *= (decay * fn.softplus(a[:heads] + bias)).exp().view(-1, 1, 1)
        change = b[:heads].sigmoid().unsqueeze(1) * (rows[2 * key_heads :] - torch.einsum("hk,hkv->hv", k, state))
        state += torch.einsum("hk,hv->hkv", k, change)
        y.view(heads, 128).copy_(torch.einsum("hk,hkv->hv", q, state) / 128**0.5)

    @staticmethod
    def _rotate(grid: Any, *values: Any) -> None:
        mixed, q_weight, k_weight, eps, frequencies, rotary, cursor, q, keys, cache, heads, capacity = values
        kv_heads, (length, position) = grid[0] - heads, cursor.tolist()
        assert keys.shape == (kv_heads, capacity, 256)
        new = mixed[512 * heads :][: 512 * kv_heads].view(2, kv_heads, 256)
        angles = position * frequencies
        query = mixed[: 512 * heads].view(heads, 2, 256)[:, 0]
        q.view(heads, 256).copy_(_turned(query, q_weight, eps, angles, rotary))
        keys[:, length].copy_(_turned(new[0], k_weight, eps, angles, rotary))
        cache[:, length].copy_(new[1])

    @staticmethod
    def _rotate_8(grid: Any, *values: Any) -> None:
        *given, q, keys, cache, key_scales, value_scales, heads, capacity = values
        kv_heads, length = grid[0] - heads, int(given[-1][0])
        wide = [torch.empty(kv_heads, capacity, 256) for _ in range(2)]
        PlainKernels._rotate(grid, *given, q, *wide, heads, capacity)
        for rows, codes, scales in zip(wide, (keys, cache), (key_scales, value_scales), strict=True):
            codes[:, length], scales[:, length] = to_bytes(rows[:, length])

    def _attend_8(self, grid: Any, *values: Any) -> None:
        q, keys, cache, key_scales, value_scales, *rest = values
        wide = (ByteRows(keys, key_scales).wide(torch.float32), ByteRows(cache, value_scales).wide(torch.float32))
        self._attend(grid, q, *wide, *rest)

    def _attend(self, grid: Any, *values: Any) -> None:
        q, keys, cache, cursor, *_ = values
        length = int(cursor[0]) + 1
        queries = q.float().view(grid[1], -1, 256)
        chances = (queries @ keys[:, :length].float().mT / 16).softmax(-1)
        self._shares = (chances @ cache[:, :length].float()).flatten(0, 1)

    def _gather(self, grid: Any, *values: Any) -> None:
        _, _, mixed, _, y, _ = values
        gates = mixed[: 512 * grid[0]].view(grid[0], 2, 256)[:, 1]
        y.view(grid[0], 256).copy_(self._shares * gates.float().sigmoid())


def _turned(x: Tensor, weight: Tensor, eps: float, angles: Tensor, rotary: int) -> Tensor:
    x = fn.rms_norm(x.float(), (256,), weight, eps)
    first, second, rest = x[:, : rotary // 2], x[:, rotary // 2 : rotary], x[:, rotary:]
    return torch.cat(
        (first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin(), rest), 1
    )


def _finish(natural: Tensor, *values: Any) -> None:
    x, order, a, t, exact, inputs, copies, ranks = values
    tokens = natural.shape[0]
    sorted_x = torch.stack([natural[:, order.view(-1)[copy * inputs :][:inputs].long()] for copy in range(copies)])
    x.view(-1)[: sorted_x.numel()].copy_(sorted_x.flatten())
    product = natural.float() @ a.float().T
    for target in (t, exact):
        target.view(-1)[: tokens * ranks].copy_(product.flatten())


def _linear(bits: int, kind: str | None, *values: Any) -> None:
    units, scales, places, x, t, y, inputs, ranks, tiles, quantized, plain, splits, tokens, batch = values
    assert batch > 0
    assert units.shape[0] == tiles
    copies = x.view(-1)[: (int(places[:, 2].max()) + 1) * tokens * inputs].view(-1, tokens, inputs)
    rows = t.view(-1)[: tokens * ranks].view(tokens, ranks)
    result = product((units, scales, places), copies, rows, bits, (quantized, plain)).flatten(1)
    if kind == "_partial":  # everything in the first part: how the sum is cut is the kernel's own affair
        y.view(-1)[: splits * result.numel()].zero_()
    y.view(-1)[: result.numel()].copy_(result.flatten())

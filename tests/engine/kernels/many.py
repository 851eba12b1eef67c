"""Twins of the kernels of many tokens (`dense.cu`, `chunk.cu`, `carry.cu`, `prefill.cu`), in plain torch. What
they hand only to each other is in an order of their own."""

from functools import partialmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.delta import delta_step
from tests.engine.kernels.units import dense, numbers


class ManyTokens:
    """Half of `PlainKernels`."""

    def _arrange(self, _grid: Any, *values: Any) -> None:
        a, orders, copy_of, arranged, inputs, blocks = values
        rows = [a[32 * b : 32 * b + 32].index_select(1, orders[int(copy_of[b])]) for b in range(blocks)]
        arranged[: blocks * 32 * inputs].copy_(torch.cat(rows).flatten())

    _arrange_ranks_4 = _arrange_ranks_8 = _arrange

    def _expanded(self, _grid: Any, *values: Any, bits: int, paired: bool = False) -> None:
        units, scales, tiles, arranged, out, count, quantized, plain, blocks = values
        inputs = out.shape[1]
        weight = dense(units[:, :quantized], scales, bits).view(count, 2, 8, inputs)
        if plain:
            a = arranged[: blocks * 32 * inputs].view(-1, inputs).float()
            b = numbers(units[:, quantized:]).view(count, 2, 8, -1)
            for tile in range(count):
                for side in range(2):
                    begin = int(tiles[tile, side])
                    weight[tile, side] += b[tile, side] @ a[begin : begin + 32 * plain]
        out.copy_((weight.transpose(0, 1) if paired else weight).reshape(-1, inputs))

    _dense_4, _dense_8 = partialmethod(_expanded, bits=4), partialmethod(_expanded, bits=8)
    _dense_4_paired = partialmethod(_expanded, bits=4, paired=True)
    _dense_8_paired = partialmethod(_expanded, bits=8, paired=True)

    def _convolve(self, _grid: Any, *values: Any) -> None:
        mixed, stride, window, weight, out, tokens, key_heads, _ = values
        channels = window.shape[1]
        rows = torch.cat((window, mixed.view(-1, stride)[:, :channels])).float()
        heads = fn.silu(sum((rows[tap : tap + tokens] * weight[tap] for tap in range(4)), torch.zeros(())))
        heads = heads.view(tokens, -1, 128)
        heads[:, : 2 * key_heads] = fn.normalize(heads[:, : 2 * key_heads], dim=-1)
        heads[:, :key_heads] /= 128**0.5
        out.copy_(heads.flatten(1))

    def _solve_chunks(self, grid: Any, *values: Any) -> None:
        convolved, gates, decay, bias, _w, _u, _inner, _queries, _keys, fades, tokens, key_heads = values
        assert grid == (-(-tokens // 64), decay.numel())
        assert fades.numel() == grid[0] * grid[1] * 128
        a, b = gates.chunk(2, dim=1)
        self._solved = convolved, key_heads, decay * fn.softplus(a + bias), b.sigmoid()

    def _run_chunks(self, grid: Any, *values: Any) -> None:
        _w, _u, _inner, _queries, _keys, _fades, state, y, tokens, _, stages = values
        convolved, key_heads, log_decay, beta = self._solved
        assert stages in {1, 2}
        heads = convolved.view(tokens, -1, 128).float()
        q, k = (part.repeat_interleave(grid[1] // key_heads, 1) for part in heads[:, : 2 * key_heads].chunk(2, dim=1))
        v = heads[:, 2 * key_heads :]
        for i in range(tokens):
            y[i] = delta_step(q[i], k[i], v[i], log_decay[i], beta[i], state=state).flatten()

    def _add_norm(self, _grid: Any, *values: Any) -> None:
        hidden, branch, weight, eps, x, orders, inputs, _ = values
        hidden += branch
        _write(fn.rms_norm(hidden, (inputs,), weight, eps), x, orders)

    def _silu_up(self, _grid: Any, *values: Any) -> None:
        y, x, inputs, stride, tokens = values
        gate, up = y.view(tokens, 2 * inputs).float().chunk(2, dim=1)
        torch.as_strided(x, (tokens, inputs), (stride, 1)).copy_(fn.silu(gate) * up)

    def _gate_norm(self, _grid: Any, *values: Any) -> None:
        y, z, stride, weight, eps, x, orders, inputs, _ = values
        gates = torch.as_strided(z, y.shape, (stride, 1)).float()
        normed = fn.rms_norm(y.float().view(len(y), -1, 128), (128,), weight, eps).flatten(1)
        assert normed.shape[1] == inputs
        _write(normed * fn.silu(gates), x, orders)

    def _turn_heads(self, _grid: Any, *values: Any) -> None:
        mixed, stride, q_weight, k_weight, eps, cos, sin, rotary, q, keys, cache, heads, kv_heads, capacity, begin = (
            values
        )
        tokens = len(q)
        assert keys.shape == (kv_heads, capacity, 256)
        rows = mixed.view(tokens, stride).float()
        new = rows[:, 512 * heads : 512 * (heads + kv_heads)].view(tokens, 2, kv_heads, 256)
        for given, weight, target in (
            (rows[:, : 512 * heads].view(tokens, heads, 2, 256)[:, :, 0], q_weight, q),
            (new[:, 0], k_weight, keys[:, begin : begin + tokens].transpose(0, 1)),
        ):
            x = fn.rms_norm(given, (256,), weight, eps)
            one, two = x[..., :rotary].chunk(2, dim=-1)
            turned = x[..., :rotary] * cos + torch.cat((-two, one), dim=-1) * sin
            target.copy_(torch.cat((turned, x[..., rotary:]), dim=-1))
        cache[:, begin : begin + tokens].copy_(new[:, 1].transpose(0, 1))

    def _gate_heads(self, _grid: Any, *values: Any) -> None:
        y, mixed, stride, x, orders, inputs, _ = values
        tokens = x.shape[1]
        gates = mixed.view(tokens, stride)[:, : 2 * inputs].view(tokens, -1, 2, 256)[:, :, 1].float().sigmoid()
        _write(y.view(tokens, inputs).float() * gates.reshape(tokens, inputs), x, orders)


def _write(natural: Tensor, x: Tensor, orders: Tensor) -> None:
    for copy, order in zip(x, orders, strict=True):
        copy.copy_(natural[:, order.long()])

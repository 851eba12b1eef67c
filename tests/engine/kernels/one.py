"""The twins of `token.cu` in plain torch: quantized products of one token that make their own input."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

from tests.engine.kernels.units import dense, numbers


def product(weights: tuple[Tensor, ...], x: Tensor, t: Tensor, bits: int, counts: tuple[int, int]) -> Tensor:
    """units, scales and places; x [copies, tokens, inputs], t [tokens, ranks] and how many of a tile's units are codes
    and numbers → [tokens, tiles, 2, 8]."""
    (units, scales, places), (quantized, plain), tokens = weights, counts, t.shape[0]
    tiles = units.shape[0]
    assert units.shape == (tiles, quantized + plain, 256)
    out = torch.zeros(tokens, tiles, 2, 8)
    if quantized:
        weight = dense(units[:, :quantized], scales, bits).view(tiles, 16, -1)
        for index in range(tiles):
            out[:, index] += (x[places[index, 2]].float() @ weight[index].T).view(tokens, 2, 8)
    if plain:
        b = numbers(units[:, quantized:]).view(tiles, 2, 8, plain * 32)
        for index in range(tiles):
            for side in range(2):
                begin = int(places[index, side])
                out[:, index, side] += t[:, begin : begin + plain * 32].float() @ b[index, side].T
    return out


def token(bits: int, kind: str, grid: tuple[int, int], *values: Any) -> None:
    """What `token_<bits>_<kind>` computes, out of what it takes."""
    units, scales, places, a, orders, t, done, cleared, y, *given, count, inputs, copies = values[:17]
    ranks, tiles, quantized, plain, halves, each, left_over, paired = values[17:]
    assert (int(done[0]), done.data_ptr() != cleared.data_ptr()) == (0, True)
    assert grid[0] % (halves + 1) == 0
    assert grid[0] // (halves + 1) * each + left_over == tiles
    assert orders.shape == (copies, inputs)
    done[0], cleared[0] = grid[0], 0
    x = _input(kind, given, count, inputs)
    rows = a.float() @ x
    t.zero_()[:ranks] = rows
    sorted_x = x.expand(copies, -1) if kind == "ready" else x[orders.long()]
    out = product((units, scales, places), sorted_x.unsqueeze(1), rows.unsqueeze(0), bits, (quantized, plain))
    result = (fn.silu(out[:, :, 0]) * out[:, :, 1] if paired else out).flatten()
    y.view(-1)[: (halves + 1) * result.numel()].zero_()  # everything in the first part: how it is cut is the kernel's
    y.view(-1)[: result.numel()] = result


def _input(kind: str, given: list[Any], count: int, inputs: int) -> Tensor:
    first, second, weight, eps, onward = given
    if kind == "normed":
        hidden = first[:inputs] + second.flatten()[: count * inputs].view(-1, inputs).sum(0)
        assert onward.data_ptr() != first.data_ptr()
        onward.copy_(hidden)
        return fn.rms_norm(hidden, (inputs,), weight, eps)
    if kind == "gated":
        onward.copy_(torch.cat((onward[1:], second[:count].unsqueeze(0))))
        heads = fn.rms_norm(first[:inputs].view(-1, 128), (128,), weight, eps).flatten()
        return heads * fn.silu(second[count:][:inputs].float())
    ready: Tensor = first[:inputs].float()
    return ready

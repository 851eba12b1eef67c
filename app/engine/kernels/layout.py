"""How `linear.cu` wants its weights: the 1 KB units, from the order of a checkpoint, in torch on any device.

Knows: where each weight goes. Does not know: what is done with it. A unit is 16 outputs × 128 inputs of 4 bits, × 64 of
8 bits, or × 32 numbers of bf16: 2 pieces × 32 lanes × 4 words of 32 bits. Lane 4g + t of a warp holds the outputs g and
g + 8. Inputs are counted within the unit; words count from their lowest bits.

    4 bits  input 64·piece + 16t + 4·word + e      at bit 4·half + 8·(e // 2) + 16·(e % 2), half 1 for output g + 8
    8 bits  input 32·piece +  8t + 4·(word // 2) + e   at the same bits; even words have upper halves
    bf16    input            8t + 4·piece + e      in word half + 2·(e // 2), at bit 16·(e % 2)
"""

import torch
from torch import Tensor

WORDS = 256
TALL = 16
GROUP = 128


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """Codes, uint8 [inputs, outputs], inputs sorted by group → int32 [outputs/16, units, 256]."""
    inputs, outputs = codes.shape
    if bits == 4:
        return _nibbles(codes.view(inputs // 128, 2, 4, 4, 4, outputs // TALL, 2, 8))
    cut = codes.view(inputs // 64, 2, 4, 2, 4, outputs // TALL, 2, 8)
    return _nibbles(torch.stack((cut >> 4, cut & 15), dim=4).flatten(3, 4))


def _nibbles(cut: Tensor) -> Tensor:
    """[units, piece, t, word, e, tiles, half, g] of values below 16 → int32 [tiles, units, 256]."""
    units, tiles = cut.shape[0], cut.shape[5]
    words = torch.zeros(tiles, units, 2, 8, 4, 4, dtype=torch.int32, device=cut.device)
    for half in range(2):
        for e in range(4):
            part = cut[:, :, :, :, e, :, half].permute(4, 0, 1, 5, 2, 3).to(torch.int32)
            words |= part << (4 * half + 8 * (e // 2) + 16 * (e % 2))
    return words.view(tiles, units, WORDS)


def pack_plain(weight: Tensor) -> Tensor:
    """Numbers, bf16 [outputs, inputs] → int32 [outputs/16, inputs/32, 256]."""
    outputs, inputs = weight.shape
    cut = weight.view(outputs // TALL, 2, 8, inputs // 32, 4, 2, 2, 2)  # tile, half, g, unit, t, piece, e // 2, e % 2
    return cut.permute(0, 3, 5, 2, 4, 6, 1, 7).contiguous().view(torch.int32).view(outputs // TALL, inputs // 32, WORDS)


def unpack_plain(units: Tensor) -> Tensor:
    """The inverse of `pack_plain`."""
    tiles, count, _ = units.shape
    cut = units.contiguous().view(torch.bfloat16).view(tiles, count, 2, 8, 4, 2, 2, 2)
    return cut.permute(0, 6, 3, 1, 4, 2, 5, 7).reshape(tiles * TALL, count * 32)


def pack_scales(scales: Tensor) -> Tensor:
    """Scales, fp16 [groups, outputs] → int32 [outputs/16, groups, 8]: those of outputs g (low half) and g + 8."""
    groups, outputs = scales.shape
    cut = scales.view(groups, outputs // TALL, 2, 8).permute(1, 0, 3, 2).contiguous()
    return cut.view(torch.int32).view(outputs // TALL, groups, 8)

"""Packed weights read one place at a time, by the description in `layout.py`: what the kernels' twins compute with."""

import torch
from torch import Tensor


def codes(units: Tensor, bits: int) -> Tensor:
    """[tiles, units, 256] → codes less their zero, fp32 [outputs, inputs], read one place at a time."""
    tiles, count, _ = units.shape
    span = 512 // bits
    lanes = units.view(tiles, count, 2, 8, 4, 4)
    found = torch.empty(tiles, 2, 8, count, span)
    for piece in range(2):
        for t in range(4):
            for half in range(2):
                for e in range(4):
                    shift = 4 * half + 8 * (e // 2) + 16 * (e % 2)
                    nibbles = (
                        ((lanes[:, :, piece, :, t] >> shift) & 15).float().permute(0, 2, 1, 3)
                    )  # tile, g, unit, word
                    if bits == 4:
                        for word in range(4):
                            found[:, half, :, :, 64 * piece + 16 * t + 4 * word + e] = nibbles[..., word] - 8
                    else:
                        for pair in range(2):
                            code = 16 * nibbles[..., 2 * pair] + nibbles[..., 2 * pair + 1]
                            found[:, half, :, :, 32 * piece + 8 * t + 4 * pair + e] = code - 128
    return found.view(tiles * 16, count * span)


def numbers(units: Tensor) -> Tensor:
    """The bf16 units of [tiles, units, 256] → fp32 [outputs, 32 · units]."""
    tiles, count, _ = units.shape
    halves = units.contiguous().view(torch.bfloat16).view(tiles, count, 2, 8, 4, 4, 2).float()
    found = torch.empty(tiles, 2, 8, count, 32)
    for piece in range(2):
        for t in range(4):
            for half in range(2):
                for e in range(4):
                    found[:, half, :, :, 8 * t + 4 * piece + e] = halves[
                        :, :, piece, :, t, half + 2 * (e // 2), e % 2
                    ].mT
    return found.view(tiles * 16, count * 32)


def dense(units: Tensor, scales: Tensor, bits: int) -> Tensor:
    """Dequantized, fp32 [outputs, inputs], inputs in the packed order."""
    pairs = scales.contiguous().view(torch.float16).view(scales.shape[0], scales.shape[1], 8, 2)
    each = pairs.permute(0, 3, 2, 1).flatten(0, 2).float().repeat_interleave(128, 1)
    return codes(units, bits) * each

"""Keys and values in one byte a number: how they are rounded, and how they become numbers again.

Knows: the format, which `kernels/attention8.cu` reads and writes as well. Does not know: layers, tokens, attention. The
numbers of a key or value come in spans of 64 with one scale each, the largest magnitude of the span divided by 127, so
that one large channel costs only its own span. Rounded once, when a token is read, and never again.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from app.engine.sizes import spans

_MOST = 127


class ByteRows(NamedTuple):
    """Keys or values: codes int8 [..., n, width] and their scales bf16 [..., n, spans]."""

    codes: Tensor
    scales: Tensor

    def piece(self, begin: int, end: int) -> "ByteRows":
        """Those of tokens `begin`…`end`."""
        return ByteRows(self.codes[..., begin:end, :], self.scales[..., begin:end, :])

    def wide(self, dtype: torch.dtype) -> Tensor:
        """As numbers [..., n, width]; in bf16 each is rounded once more."""
        cut = self.codes.view(*self.scales.shape, self.codes.shape[-1] // self.scales.shape[-1])
        return torch.flatten(cut * self.scales.to(dtype).unsqueeze(-1), -2)


def to_bytes(x: Tensor) -> ByteRows:
    """Numbers [..., width] of any float type → codes and scales. What is not finite stays noticeable: its span becomes
    NaN."""
    *before, width = x.shape
    cut = x.float().view(*before, spans(width), width // spans(width))
    scales = (cut.abs().amax(-1) / _MOST).bfloat16()
    codes = cut / scales.float().unsqueeze(-1)  # 0 / 0 where all are zero, and the scale is, too
    codes = codes.round_().nan_to_num_(0.0).clamp_(-_MOST, _MOST)
    return ByteRows(codes.to(torch.int8).view(x.shape), scales)

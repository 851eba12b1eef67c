"""A packed matrix as a linear of the plain model: what a layer calls when not the whole model runs on the kernels.

Knows: which kernels multiply few and many tokens. Does not know: layers, or why it is called.
"""

import torch
from torch import Tensor

from app.engine.kernels.dense import Expansion
from app.engine.kernels.linear import MOST_TOKENS, THREADS, Tiled, multiply, prepare_blocks
from app.engine.kernels.runtime import Kernels


class TiledLinear:
    """y = W x with a packed matrix: streamed for up to eight tokens, expanded and multiplied for more. Of a paired
    matrix `half` says which of its two linears it is, and it is always expanded."""

    def __init__(self, kernels: Kernels, tiled: Tiled, half: int = -1) -> None:
        self.kernels, self.tiled, self.half = kernels, tiled, half

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return self.tiled.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """[T, in] → [T, out], bf16"""
        if self.tiled.paired or (x.shape[0] > MOST_TOKENS and self.tiled.quantized):
            return self._many(x)
        return torch.cat([self._few(some.contiguous()) for some in torch.split(x, MOST_TOKENS)])

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

    def _many(self, x: Tensor) -> Tensor:
        tiled, device = self.tiled, x.device
        matrix = Expansion(self.kernels, tiled)
        scratch, ranks = (
            torch.empty(nbytes // 2, dtype=torch.bfloat16, device=device)
            for nbytes in (matrix.nbytes, matrix.rank_bytes)
        )
        matrix.arrange(ranks)
        dense = matrix.expand(scratch, ranks)
        y = torch.empty(x.shape[0], tiled.outputs, dtype=torch.bfloat16, device=device)
        dense.multiply(torch.stack([x.index_select(1, one) for one in tiled.orders]), y)
        return y if self.half < 0 else y.chunk(2, dim=1)[self.half]

"""Causal attention of the last tokens over all keys and values there are, in plain torch.

Knows: torch's ways to attend, and how to do it piece by piece. Does not know: layers, norms, turns, where rows lie.
Keys and values come as numbers, or in bytes; of these only a piece is ever there as numbers, or bytes would save
nothing.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.byte_rows import ByteRows
from app.engine.sizes import PIECE

_SCORES = 2**24
"""Scores that are there at once where torch has no flash attention."""


def attend(q: Tensor, keys: Tensor | ByteRows, values: Tensor | ByteRows) -> Tensor:
    """Causal attention of the last T of n tokens: q [T, heads, D], keys and values [kv heads, n, D] → [T, heads, D]."""
    if isinstance(keys, Tensor) and isinstance(values, Tensor):
        return _attend_numbers(q, keys, values)
    if not (isinstance(keys, ByteRows) and isinstance(values, ByteRows)):
        raise TypeError("keys and values are kept in one way")
    return _flash_pieces(q, keys, values) if flash_fits(q) else _plain_pieces(q, keys, values)


def _attend_numbers(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """For one token, the query heads of a key head are passed as rows of one head, so that no key is ever copied."""
    length, heads, width = q.shape
    kv_heads, total, _ = keys.shape
    k, v = keys.unsqueeze(0), values.unsqueeze(0)
    if length == 1:
        y: Tensor = fn.scaled_dot_product_attention(q.view(1, kv_heads, heads // kv_heads, width), k, v)
        return y.reshape(1, heads, width)  # no view: a GPU's kernel lays its result out another way
    if flash_fits(q):
        return _flash(q, keys, values, causal=True)[0]
    mask = _causal_mask(length, total, q.device) if total > length else None
    y = fn.scaled_dot_product_attention(
        q.transpose(0, 1).unsqueeze(0), k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True
    )
    return y.squeeze(0).transpose(0, 1)


def flash_fits(q: Tensor) -> bool:
    """Whether torch's flash attention takes such queries: 16-bit numbers, heads of at most 256, from sm_80 on."""
    return (
        q.is_cuda
        and q.dtype in (torch.bfloat16, torch.float16)
        and q.shape[-1] % 8 == 0
        and q.shape[-1] <= 256
        and torch.cuda.get_device_capability(q.device) >= (8, 0)
    )


def _flash(q: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
    """torch's flash attention, which never builds [T, n] and shares keys among query heads: [T, heads, D], and the
    logarithms of the sums of exponentials, fp32 [T, heads, 1]. Called by its own name because torch's general function
    takes "causal" to mean the first T of n tokens, and the way around, a described mask, brings torch._dynamo: two
    seconds at the first message."""
    y, sums = torch.ops.aten._scaled_dot_product_flash_attention(
        q.transpose(0, 1).unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0), 0.0, causal
    )[:2]
    return y.squeeze(0).transpose(0, 1), sums[0, :, : len(q)].T.unsqueeze(-1)


def _causal_mask(length: int, total: int, device: torch.device) -> Tensor:
    """Which of `total` keys each of the last `length` queries sees. A GPU gets a description instead of a matrix."""
    if device.type == "cuda":
        from torch.nn.attention.bias import causal_lower_right  # noqa: PLC0415 - brings torch._dynamo: two seconds

        described: Tensor = causal_lower_right(length, total)
        return described
    return torch.ones(length, total, dtype=torch.bool, device=device).tril(total - length)


def _flash_pieces(q: Tensor, keys: ByteRows, values: ByteRows) -> Tensor:
    """Each piece by flash attention, the last one with all of q's own tokens, and the results joined."""
    length, total = len(q), keys.codes.shape[-2]
    begins = range(0, total - length + 1, PIECE)
    joined, sums = torch.empty(0), torch.empty(0)
    for begin in begins:
        end = total if begin == begins[-1] else begin + PIECE
        pieces = (rows.piece(begin, end).wide(q.dtype) for rows in (keys, values))
        y, more = _flash(q, *pieces, causal=end == total)  # no name keeps a piece until the next ones are there
        if begin == 0:
            if end == total:
                return y
            joined, sums = y.float(), more
            continue
        joined.lerp_(y.float(), (more - sums).sigmoid())  # its share of both sums
        sums = torch.logaddexp(sums, more)
    return joined.to(q.dtype)


def _plain_pieces(q: Tensor, keys: ByteRows, values: ByteRows) -> Tensor:
    """The same by matrix products, fp32: highest score, sum and weighted values so far, piece by piece."""
    length, heads, width = q.shape
    kv_heads, total = keys.codes.shape[0], keys.codes.shape[1]
    rows = q.float().view(length, kv_heads, -1, width).permute(1, 0, 2, 3).reshape(kv_heads, -1, width)
    rows = rows / math.sqrt(width)
    sees = torch.arange(total - length, total, device=q.device).repeat_interleave(heads // kv_heads).unsqueeze(-1)
    peak = torch.full((*rows.shape[:2], 1), -math.inf, device=q.device)
    weight, joined = torch.zeros_like(peak), torch.zeros_like(rows)
    step = min(PIECE, max(64, _SCORES // (kv_heads * rows.shape[1])))
    for begin in range(0, total, step):
        end = min(begin + step, total)
        scores = rows @ keys.piece(begin, end).wide(torch.float32).mT
        if end > total - length + 1:
            scores.masked_fill_(torch.arange(begin, end, device=q.device) > sees, -math.inf)
        highest = torch.maximum(peak, scores.amax(-1, keepdim=True))
        shrink, scores = (peak - highest).exp(), (scores - highest).exp()
        weight = weight * shrink + scores.sum(-1, keepdim=True)
        joined = joined * shrink + scores @ values.piece(begin, end).wide(torch.float32)
        peak = highest
    y = (joined / weight).view(kv_heads, length, -1, width).permute(1, 0, 2, 3)
    return y.reshape(length, heads, width).to(q.dtype)

"""The arithmetic of Gated DeltaNet: causal convolution and gated delta rule, each carrying its state on.

Knows: formulas. Does not know: weights, layers, caches. For every head a state S [key, value] follows the tokens:

    S ← exp(g) · S;   S ← S + k (β (v − kᵀS))ᵀ;   output qᵀS

Source: Yang, Kautz, Hatamizadeh, "Gated Delta Networks" (2024). States are fp32 and updated in place.
"""

import torch
from torch import Tensor
from torch.nn import functional as fn

_CHUNK = 64


def causal_conv(x: Tensor, weight: Tensor, state: Tensor) -> Tensor:
    """SiLU of a causal convolution of each channel by itself, fp32.

    x [T, C], weight fp32 [K, C] from oldest to newest, state [K-1, C]: the inputs just before x, replaced by x's last.
    """
    kernel, length = weight.shape[0], x.shape[0]
    window = torch.cat((state, x))
    state.copy_(window[length:])
    if length == 1:
        return fn.silu((window.float() * weight).sum(0, keepdim=True))
    y = window[:length].float() * weight[0]
    for offset in range(1, kernel):
        y.addcmul_(window[offset : offset + length].float(), weight[offset])
    return fn.silu(y)


def unit(x: Tensor) -> Tensor:
    """x over its length along the last axis."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def delta_step(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, *, state: Tensor) -> Tensor:
    """One token: q, k [H, K], v [H, V], log_decay, beta [H], state [H, K, V] updated in place → [H, V].

    The old state is read once, for k and q together; the output follows from qᵀS' = αqᵀS + (qᵀk)·δ.
    """
    decay = log_decay.exp().view(-1, 1, 1)
    read = torch.bmm(torch.stack((k, q), dim=1), state).mul_(decay)
    change = (v - read[:, 0]).mul_(beta.unsqueeze(1))
    state.mul_(decay).baddbmm_(k.unsqueeze(2), change.unsqueeze(1))
    return torch.addcmul(read[:, 1], (q * k).sum(-1, keepdim=True), change)


def delta_chunks(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, beta: Tensor, *, state: Tensor) -> Tensor:
    """Many tokens: q, k [T, H, K], v [T, H, V], log_decay, beta [T, H], state [H, K, V] in place → [T, H, V].

    Works on 64 tokens at once: within a chunk the corrections form a unit lower triangular system, between chunks the
    state is carried. Equal to `delta_step` for each token, up to rounding.
    """
    length = q.shape[0]
    pad = -length % _CHUNK
    q, k, v = (_chunked(fn.pad(x, (0, 0, 0, 0, 0, pad))) for x in (q, k, v))
    log_decay, beta = (_chunked(fn.pad(x, (0, 0, 0, pad)).unsqueeze(-1)) for x in (log_decay, beta))
    since_start = log_decay.cumsum(2)
    upper = torch.ones(_CHUNK, _CHUNK, dtype=torch.bool, device=q.device).triu(1)
    between = (since_start - since_start.transpose(2, 3)).masked_fill(upper, float("-inf")).exp()
    weighted = k * beta
    system = (weighted @ k.transpose(2, 3)) * between
    right = torch.cat((v * beta, weighted * since_start.exp()), dim=-1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    values, reads = solved.split((v.shape[-1], k.shape[-1]), dim=-1)
    inner = (q @ k.transpose(2, 3)) * between
    q = q * since_start.exp()
    total = since_start[:, :, -1:]
    k = (k * (total - since_start).exp()).transpose(2, 3)
    total = total.exp()
    y = torch.empty_like(values)
    for chunk in range(q.shape[0]):
        new = values[chunk] - reads[chunk] @ state
        torch.baddbmm(q[chunk] @ state, inner[chunk], new, out=y[chunk])
        state.mul_(total[chunk]).baddbmm_(k[chunk], new)
    return y.transpose(1, 2).flatten(0, 1)[:length]


def _chunked(x: Tensor) -> Tensor:
    """[T, H, D] → [T/64, H, 64, D]"""
    return x.view(-1, _CHUNK, x.shape[1], x.shape[2]).transpose(1, 2).contiguous()

"""Faster forms of transformers' reference functions, for training only; what is computed stays the same.

The vision tower's attention sees all frames of a batch at once when they have one size; norms and the short convolution
take fewer launches. Nothing here compiles at run time: Triton's tuning of flash-linear-attention's kernels took longer
on the H100 than it could save in a training of a few minutes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.qwen3_5 import modeling_qwen3_5 as source

CHUNK, BLOCK = 64, 16


def vision_attention(self: source.Qwen3_5VisionAttention, hidden_states: Tensor, **kwargs: Any) -> Tensor:
    """Attention within frames of `frame_patches` patches each; [N · patches, D] in and out."""
    patches = kwargs["frame_patches"]
    cos, sin = kwargs["position_embeddings"]
    query, key, value = self.qkv(hidden_states).reshape(len(hidden_states), 3, self.num_heads, -1).unbind(1)
    query, key = source.apply_rotary_pos_emb_vision(query, key, cos, sin)
    q, k, v = (part.reshape(-1, patches, self.num_heads, self.head_dim).transpose(1, 2) for part in (query, key, value))
    mixed = (
        functional.scaled_dot_product_attention(q, k, v, scale=self.scaling)
        .transpose(1, 2)
        .reshape(len(hidden_states), -1)
    )
    projected: Tensor = self.proj(mixed)
    return projected


def norm(self: source.Qwen3_5RMSNorm, x: Tensor) -> Tensor:
    """RMSNorm times (1 + w), in float32."""
    return functional.rms_norm(x.float(), (x.shape[-1],), 1.0 + self.weight.float(), self.eps).type_as(x)


def gated_norm(self: source.Qwen3_5RMSNormGated, hidden_states: Tensor, gate: Tensor) -> Tensor:
    """RMSNorm with the silu gate of DeltaNet, in float32."""
    size = (hidden_states.shape[-1],)
    normed = functional.rms_norm(hidden_states.float(), size, self.weight.float(), self.variance_epsilon)
    return (normed * functional.silu(gate.float())).type_as(hidden_states)


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None, **_: Any
) -> Tensor:
    """The causal depthwise convolution over [B, C, T] as a sum of shifted products, with silu."""
    if bias is not None or activation != "silu":
        raise ValueError("the demo model's convolution has silu and no bias")
    length, width = x.shape[-1], weight.shape[-1]
    padded = functional.pad(x.transpose(1, 2), (0, 0, width - 1, 0))
    total = padded[:, :length] * weight[:, 0]
    for at in range(1, width):
        total = torch.addcmul(total, padded[:, at : at + length], weight[:, at])
    return functional.silu(total).transpose(1, 2)


class Lookup(torch.autograd.Function):
    """An embedding whose gradient is one matrix product: no sorting of ids, and fit for recording."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, table: Tensor) -> Tensor:
        """[...] ids and a [V, D] table to [..., D]."""
        ctx.save_for_backward(ids)
        ctx.rows = len(table)
        return functional.embedding(ids, table)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, Tensor]:
        """Each row's gradient is the sum over its places."""
        (ids,) = ctx.saved_tensors
        rows = torch.arange(ctx.rows, device=ids.device)
        places = (ids.reshape(1, -1) == rows[:, None]).to(upstream[0].dtype)
        return None, places @ upstream[0].reshape(-1, upstream[0].shape[-1])


def embedding(self: torch.nn.Embedding, ids: Tensor) -> Tensor:
    """`Lookup` as a module's forward."""
    found: Tensor = Lookup.apply(ids, self.weight)
    return found


def cut(matrix: Tensor, size: int) -> Tensor:
    """[..., N, N] as [..., N / size, size, N / size, size]."""
    count = matrix.shape[-1] // size
    return matrix.reshape(*matrix.shape[:-2], count, size, count, size)


class Inverse(torch.autograd.Function):
    """(I + A)⁻¹ of strictly lower triangular [..., 64, 64] matrices in float32, by blocks of 16."""

    @staticmethod
    def forward(ctx: Any, lower: Tensor) -> Tensor:
        """The blocks on the diagonal by their finite series, then twice two neighbours at once."""
        size = lower.shape[-1]
        blocks = cut(lower, BLOCK)
        power = -blocks.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)
        result = power + torch.eye(BLOCK, device=lower.device)
        for _ in range(3):
            power = power @ power
            result = result + result @ power
        while result.shape[-1] < size:
            half = result.shape[-1]
            upper, under = result[..., 0::2, :, :], result[..., 1::2, :, :]
            cells = cut(lower, half).transpose(-3, -2)
            between = cells[..., 1::2, 0::2, :, :].diagonal(dim1=-4, dim2=-3).movedim(-1, -3)
            corner = -(under @ between @ upper)
            rows = (torch.cat([upper, torch.zeros_like(upper)], -1), torch.cat([corner, under], -1))
            result = torch.cat(rows, -2)
        result = result.squeeze(-3).contiguous()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        """-T' G T', of which only the strictly lower part has a cause."""
        (result,) = ctx.saved_tensors
        gradient: Tensor = result.mT @ upstream[0] @ result.mT
        return -gradient.tril(-1)


def chunks(x: Tensor) -> Tensor:
    """[B, T, H, D] as [B, H, T / 64, 64, D]."""
    parts = x.transpose(1, 2)
    cut_up: Tensor = parts.reshape(*parts.shape[:2], -1, CHUNK, parts.shape[-1])
    return cut_up.contiguous()


def delta_rule(
    query: Tensor, key: Tensor, value: Tensor, *, g: Tensor, beta: Tensor, **given: Any
) -> tuple[Tensor, None]:
    """The gated delta rule from an empty state: [B, T, K heads, D] queries and keys, [B, T, V heads, D] values.

    As in the reference, but the triangular systems are inverted with matrix products, tensors stay in the weights' type
    where float32 gains nothing, and only the state runs through a loop.
    """
    if given.get("initial_state") is not None or given.get("output_final_state") or query.shape[1] % CHUNK:
        raise ValueError("for training on whole chunks only")
    kind, groups = value.dtype, value.shape[2] // key.shape[2]
    query = functional.normalize(query.float(), dim=-1) * query.shape[-1] ** -0.5
    key = functional.normalize(key.float(), dim=-1)
    q, k = (chunks(x.to(kind)).repeat_interleave(groups, 1) for x in (query, key))
    v, rate = chunks(value), chunks(beta[..., None]).float()
    decay = chunks(g[..., None]).float().cumsum(-2)
    later = torch.ones(CHUNK, CHUNK, dtype=torch.bool, device=q.device).triu(1)
    fading = (decay - decay.mT).masked_fill(later, float("-inf")).exp()
    inverse = Inverse.apply(((k @ k.mT).float() * fading * rate).tril(-1)).to(kind)
    new, reading = inverse @ (v * rate.to(kind)), inverse @ (k * (rate * decay.exp()).to(kind))
    last = decay[..., -1:, :]
    writing = (k * (last - decay).exp().to(kind)).mT
    left = last.exp()
    state = torch.zeros(*v.shape[:2], k.shape[-1], v.shape[-1], device=v.device)
    states, values = [], []
    for at in range(v.shape[2]):
        states.append(state.to(kind))
        values.append(new[:, :, at] - reading[:, :, at] @ states[-1])
        state = torch.addcmul((writing[:, :, at] @ values[-1]).float(), state, left[:, :, at])
    within = ((q @ k.mT).float() * fading).to(kind)
    out = (q * decay.exp().to(kind)) @ torch.stack(states, 2) + within @ torch.stack(values, 2)
    return out.flatten(2, 3).transpose(1, 2).contiguous(), None


REPLACED: tuple[tuple[Any, str, Any], ...] = (
    (source.Qwen3_5VisionAttention, "forward", vision_attention),
    (source.Qwen3_5RMSNorm, "forward", norm),
    (source.Qwen3_5RMSNormGated, "forward", gated_norm),
    (source, "causal_conv1d_fn", convolution),
    (source, "torch_chunk_gated_delta_rule", delta_rule),
    (torch.nn.Embedding, "forward", embedding),
)


def install() -> None:
    """Use these forms from now on; the vision tower's callers must pass `frame_patches`."""
    for owner, name, form in REPLACED:
        setattr(owner, name, form)

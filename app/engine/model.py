"""Qwen3.5's language model in plain torch: embeddings in, logits of the next token out.

Knows: the architecture. Does not know: files, quantization (a linear is any callable), what the tokens mean, pictures.
Three of four layers are Gated DeltaNet, every fourth is full attention with a gate on its output. One sequence at a
time; T is the number of tokens in a call, and any split of a prompt into calls gives the same result up to rounding.

Precision: linears and attention run in the element type of the embeddings; the residual stream, norms, rotary turns,
convolution and DeltaNet states are fp32. The architecture follows transformers' `modeling_qwen3_5.py` (Apache 2.0),
against which the tests compare it.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.attention import attend
from app.engine.cache import KvBits, TensorState
from app.engine.config import TextConfig
from app.engine.delta import causal_conv, delta_chunks, delta_step, unit
from app.engine.parked import look_up
from app.engine.quantized import Linear
from app.engine.rope import Rope, louder, turn


class Weights(Protocol):
    """Where the model gets its parts from, by their names below the language model's prefix."""

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """A stored tensor on the model's device."""

    def linear(self, name: str) -> Linear:
        """A linear map without bias."""


class Norm:
    """Root mean square norm times (1 + weight), as everywhere in this model but inside DeltaNet. fp32 in and out."""

    def __init__(self, weights: Weights, name: str, eps: float) -> None:
        self.weight = weights.tensor(f"{name}.weight", torch.float32) + 1.0
        self.eps = eps

    def __call__(self, x: Tensor) -> Tensor:
        """[…, n] → […, n]"""
        return fn.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Attention:
    """Full attention with grouped queries; each head's output is multiplied by the sigmoid of its gate."""

    def __init__(self, config: TextConfig, weights: Weights, name: str, slot: int) -> None:
        self.config, self.slot = config, slot
        self.q_gate = weights.linear(f"{name}.q_proj")
        self.k = weights.linear(f"{name}.k_proj")
        self.v = weights.linear(f"{name}.v_proj")
        self.o = weights.linear(f"{name}.o_proj")
        self.q_norm = Norm(weights, f"{name}.q_norm", config.norm_eps)
        self.k_norm = Norm(weights, f"{name}.k_norm", config.norm_eps)
        for norm in (self.q_norm, self.k_norm):
            norm.weight = louder(norm.weight, config)

    def __call__(self, x: Tensor, turns: tuple[Tensor, Tensor], state: TensorState) -> Tensor:
        """[T, hidden] → [T, hidden]; appends to the state's keys and values."""
        length, width = x.shape[0], self.config.head_dim
        q, gate = self.q_gate(x).view(length, -1, 2 * width).chunk(2, dim=-1)
        k, v = self.k(x).view(length, -1, width), self.v(x).view(length, -1, width)
        q = turn(self.q_norm(q.float()), *turns).to(x.dtype)
        k = turn(self.k_norm(k.float()), *turns)
        state.append(self.slot, k, v)
        y = attend(q, *state.read(self.slot, state.length + length))
        return self.o((y * gate.sigmoid()).flatten(1))


class DeltaNet:
    """Gated DeltaNet: a convolution over queries, keys and values, the gated delta rule, a gated norm."""

    def __init__(self, config: TextConfig, weights: Weights, name: str, slot: int) -> None:
        self.config, self.slot = config, slot
        self.qkv = weights.linear(f"{name}.in_proj_qkv")
        self.z = weights.linear(f"{name}.in_proj_z")
        self.a = weights.linear(f"{name}.in_proj_a")
        self.b = weights.linear(f"{name}.in_proj_b")
        self.out = weights.linear(f"{name}.out_proj")
        self.conv = weights.tensor(f"{name}.conv1d.weight", torch.float32).squeeze(1).T.contiguous()
        self.decay = -weights.tensor(f"{name}.A_log", torch.float32).exp()
        self.dt_bias = weights.tensor(f"{name}.dt_bias", torch.float32)
        self.norm = weights.tensor(f"{name}.norm.weight", torch.float32)

    def __call__(self, x: Tensor, _turns: tuple[Tensor, Tensor], state: TensorState) -> Tensor:
        """[T, hidden] → [T, hidden]; moves the state's convolution and recurrent parts on."""
        config, length = self.config, x.shape[0]
        q, k, v = self._mixed(x, state.conv[self.slot])
        beta = self.b(x).float().sigmoid()
        log_decay = self.decay * fn.softplus(self.a(x).float() + self.dt_bias)
        recurrent = state.recurrent[self.slot]
        if length == 1:
            y = delta_step(q[0], k[0], v[0], log_decay[0], beta[0], state=recurrent).unsqueeze(0)
        else:
            y = delta_chunks(q, k, v, log_decay, beta, state=recurrent)
        y = fn.rms_norm(y, self.norm.shape, self.norm, config.norm_eps)
        y = y * fn.silu(self.z(x).float().view_as(y))
        return self.out(y.to(x.dtype).flatten(1))

    def _mixed(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys of unit length, the queries scaled, and values: fp32 [T, value heads, …]."""
        config, length = self.config, x.shape[0]
        mixed = causal_conv(self.qkv(x), self.conv, state)
        keys = config.linear_key_heads * config.linear_key_dim
        qk = unit(mixed[:, : 2 * keys].view(length, 2, config.linear_key_heads, config.linear_key_dim))
        qk = qk.repeat_interleave(config.linear_value_heads // config.linear_key_heads, dim=2)
        v = mixed[:, 2 * keys :].view(length, config.linear_value_heads, config.linear_value_dim)
        return qk[:, 0] * config.linear_key_dim**-0.5, qk[:, 1], v


class Mlp:
    """The gated feed-forward part: down(silu(gate) · up)."""

    def __init__(self, weights: Weights, name: str) -> None:
        self.gate = weights.linear(f"{name}.gate_proj")
        self.up = weights.linear(f"{name}.up_proj")
        self.down = weights.linear(f"{name}.down_proj")

    def __call__(self, x: Tensor) -> Tensor:
        """[T, hidden] → [T, hidden]"""
        return self.down(fn.silu(self.gate(x)) * self.up(x))


class Layer:
    """One layer: norm, attention or DeltaNet, add; norm, feed-forward, add."""

    def __init__(self, config: TextConfig, weights: Weights, index: int) -> None:
        kinds, name = config.layer_kinds, f"layers.{index}"
        slot = kinds[:index].count(kinds[index])
        self.before = Norm(weights, f"{name}.input_layernorm", config.norm_eps)
        self.mixer: Attention | DeltaNet = (
            Attention(config, weights, f"{name}.self_attn", slot)
            if kinds[index] == "full_attention"
            else DeltaNet(config, weights, f"{name}.linear_attn", slot)
        )
        self.after = Norm(weights, f"{name}.post_attention_layernorm", config.norm_eps)
        self.mlp = Mlp(weights, f"{name}.mlp")

    def __call__(self, hidden: Tensor, dtype: torch.dtype, turns: tuple[Tensor, Tensor], state: TensorState) -> Tensor:
        """The residual stream, fp32 [T, hidden], through the layer; its linears compute in `dtype`."""
        hidden = hidden + self.mixer(self.before(hidden).to(dtype), turns, state)
        return hidden + self.mlp(self.after(hidden).to(dtype))


class TextModel:
    """The whole language model. Tensors live on `device`; activations have the element type `dtype`. `made` hears of
    each layer as soon as it is there, before the next one is read."""

    def __init__(
        self,
        config: TextConfig,
        weights: Weights,
        device: torch.device,
        dtype: torch.dtype,
        made: Callable[[Layer], None] | None = None,
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.table = weights.tensor("embed_tokens.weight", dtype)
        self.layers: list[Layer] = []
        for index in range(len(config.layer_kinds)):
            self.layers.append(Layer(config, weights, index))
            if made is not None:
                made(self.layers[-1])
        self.norm = Norm(weights, "norm", config.norm_eps)
        self.head = None if config.tied_head else weights.linear("lm_head")
        self.rope = Rope(config, device)

    def new_state(self, capacity: int, kv_bits: KvBits = 16) -> TensorState:
        """An empty state for at most `capacity` tokens."""
        return TensorState(self.config, capacity, self.device, self.dtype, kv_bits)

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [T] → embeddings [T, hidden]."""
        return look_up(self.table, ids, self.device)

    @torch.no_grad()
    def forward(self, embeddings: Tensor, positions: Tensor, state: TensorState) -> Tensor:
        """Read T ≥ 1 tokens after those in `state`: embeddings [T, hidden], positions [3, T] → the last token's logits,
        fp32 [vocab]. `state` moves on by T. Raises `ValueError` if it has no room for them."""
        if not 0 < embeddings.shape[0] <= state.capacity - state.length:
            raise ValueError(f"{embeddings.shape[0]} tokens do not fit after {state.length} of {state.capacity}")
        turns = self.rope.turns(positions.to(self.device))
        hidden = embeddings.to(self.device, torch.float32)
        for layer in self.layers:
            hidden = layer(hidden, self.dtype, turns, state)
        state.length += embeddings.shape[0]
        last = self.norm(hidden[-1:]).to(self.dtype)
        logits = fn.linear(last, self.table) if self.head is None else self.head(last)
        return logits[0].float()

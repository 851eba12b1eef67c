"""Many tokens on the kernels: the whole model for a chunk of a prompt, with dense products by the library, attention by
torch's flash kernels, and everything between by kernels of our own.

Knows: the architecture of many tokens, the order of launches, their buffers. Does not know: files, sampling, prompts.
Weights are those that `decode` packed. The residual stream, states, decays and sums are fp32, what is multiplied bf16.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from app.engine.attention import attend
from app.engine.cache import TensorState
from app.engine.kernels.dense import Arena, Dense, Expansion, exact_product, room
from app.engine.kernels.layout import TALL
from app.engine.kernels.linear import Tiled, UnsuitableError, multiply
from app.engine.kernels.runtime import Gpu, Kernels
from app.engine.model import Attention, DeltaNet, Norm, TextModel

MOST_TOKENS = 4096
"""Tokens that are read at once; more are read in pieces."""
_DELTA_TOKENS = 2048
"""Tokens of which DeltaNet's intermediate products are there at once."""
_CHUNK = 64
_STAGE = 4128 * 16
_SOLVE = 3 * 128 * 36 * 4 + 64 * 68 * 4
_THREADS = 256
_BF16, _FP32 = torch.bfloat16, torch.float32


class Packed(Protocol):
    """A layer's weights as `decode` packs them."""

    into: Tiled
    out: Tiled
    gate_up: Tiled
    down: Tiled


@dataclass(frozen=True, slots=True)
class ChunkWeights:
    """A DeltaNet layer's small weights, fp32: the convolution [4, channels], decay (< 0) and bias [heads]."""

    conv: Tensor
    decay: Tensor
    bias: Tensor
    key_heads: int


def halves(gpu: Gpu, tiles: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Gate and up's tiles cut in two: first and last of each part. Where there are many, each processor has a whole
    number of tiles, so that the products of both parts have no more unfilled waves than one product would have."""
    step = gpu.multiprocessors
    middle = round(tiles / 2 / step) * step if tiles > 4 * step else tiles // 2
    return (0, middle), (middle, tiles)


def delta_bytes(tokens: int, key_heads: int, heads: int) -> int:
    """What `delta_chunks` needs of its arena."""
    padded = -(-tokens // _CHUNK) * _CHUNK
    return padded * (256 * (2 * key_heads + heads) + 640 * heads + 512 * key_heads + 8 * heads) + 8 * room(1)


def delta_chunks(
    kernels: Kernels, mixed: Tensor, gates: Tensor, weights: ChunkWeights, y: Tensor, *, window: Tensor, state: Tensor,
    arena: Arena,
) -> None:  # fmt: skip
    """Convolution and gated delta rule of T tokens. mixed bf16 [T, at least channels], gates fp32 [T, 2 · heads]: a and
    b; window bf16 [3, channels] and state fp32 [heads, 128, 128] move on; y bf16 [T, heads · 128]."""
    (tokens, stride), heads, key_heads = mixed.shape, weights.decay.numel(), weights.key_heads
    channels, chunks = window.shape[1], -(-tokens // _CHUNK)
    with arena.frame():
        convolved = arena.take(_BF16, tokens, channels)
        w, u = (arena.take(_BF16, chunks * heads * _CHUNK * 128) for _ in range(2))
        inner = arena.take(_BF16, chunks * heads * _CHUNK * _CHUNK)
        queries, keys = (arena.take(_BF16, chunks * key_heads * _CHUNK * 128) for _ in range(2))
        fades = arena.take(_FP32, chunks * heads * 2 * _CHUNK)
        kernels["convolve"](
            (-(-tokens // 16), -(-channels // 1024)), _THREADS, 0,
            mixed, stride, window, weights.conv, convolved, tokens, key_heads, heads,
        )  # fmt: skip
        latest = mixed[-3:, :channels]
        window.copy_(latest if tokens >= 3 else torch.cat((window[tokens:], latest)))
        kernels["solve_chunks"](
            (chunks, heads), 128, _SOLVE,
            convolved, gates, weights.decay, weights.bias, w, u, inner, queries, keys, fades, tokens, key_heads,
        )  # fmt: skip
        stages = 2 if kernels.gpu.shared_limit >= 2 * _STAGE + 1024 else 1
        kernels["run_chunks"](
            (2, heads), 128, stages * _STAGE,
            w, u, inner, queries, keys, fades, state, y, tokens, key_heads, stages,
        )  # fmt: skip


class Prefill:
    """Reads many tokens at once with the weights that a decoder packed. Raises `UnsuitableError` for rotary channels
    that the kernels do not take."""

    def __init__(self, model: TextModel, kernels: Kernels, packed: Sequence[Packed], head: Tiled) -> None:
        config = model.config
        if config.rotary_dim not in (16, 32, 64, 128, 256):
            raise UnsuitableError(f"{config.rotary_dim} rotary channels")
        self._model, self._kernels, self._head = model, kernels, head
        self._layers = [
            tuple(Expansion(kernels, matrix) for matrix in (one.into, one.out, one.gate_up, one.down)) for one in packed
        ]
        every = [matrix for layer in self._layers for matrix in layer]
        largest = delta_bytes(_DELTA_TOKENS, config.linear_key_heads, config.linear_value_heads)
        tiles = config.intermediate_size * 2 // TALL
        self._cuts = halves(kernels.gpu, tiles)
        self._wide = TALL * max(last - first for first, last in self._cuts)
        for into, out, gate_up, down in self._layers:
            largest = max(largest, into.nbytes, out.nbytes, 2 * self._wide * gate_up.inputs, down.nbytes)
        self._scratch = Arena(largest, model.device)
        ranks = max(2, *(matrix.rank_bytes for matrix in every)) // 2
        self._ranks = torch.empty(ranks, dtype=_BF16, device=model.device)
        self._arena = Arena(0, model.device)

    @property
    def nbytes(self) -> int:
        """Bytes on the device that are held now."""
        return self._scratch.nbytes + self._ranks.nbytes + self._arena.nbytes

    def arena_bytes(self, tokens: int) -> int:
        """Bytes for what is on its way when so many tokens, at most `MOST_TOKENS`, are read at once."""
        config, hidden, most = self._model.config, self._model.config.hidden_size, 0
        for into, out, gate_up, down in self._layers:
            mixer = 2 * (hidden * into.copies + into.outputs + 2 * out.inputs) + 8 * config.linear_value_heads
            most = max(most, mixer, 2 * (hidden * gate_up.copies + down.inputs + self._wide))
        return tokens * (6 * hidden + most) + 12 * room(1)

    @torch.no_grad()
    def forward(self, embeddings: Tensor, positions: Tensor, state: TensorState) -> Tensor:
        """Read T ≥ 1 tokens after those in `state`: embeddings [T, hidden], positions [3, T] → the last token's logits,
        fp32 [vocab]. `state` moves on by T. Raises `ValueError` if it has no room for them."""
        length = embeddings.shape[0]
        if not 0 < length <= state.capacity - state.length:
            raise ValueError(f"{length} tokens do not fit after {state.length} of {state.capacity}")
        logits = embeddings
        for begin in range(0, length, MOST_TOKENS):
            end = min(begin + MOST_TOKENS, length)
            logits = self._read(embeddings[begin:end], positions[:, begin:end], state)
        return logits

    def _read(self, embeddings: Tensor, positions: Tensor, state: TensorState) -> Tensor:
        length, width = embeddings.shape
        needed = self.arena_bytes(length)
        if self._arena.nbytes < needed:
            self._arena = Arena(0, self._model.device)  # lets go of the old one first
            self._arena = Arena(needed, self._model.device)
        self._arena.clear()
        turns = self._model.rope.turns(positions.to(self._model.device))
        hidden, branch = self._arena.take(_FP32, length, width), self._arena.take(_BF16, length, width)
        hidden.copy_(embeddings)
        branch.zero_()
        last = self._model.layers[-1]
        for layer, (into, out, gate_up, down) in zip(self._model.layers, self._layers, strict=True):
            with self._arena.frame():
                x = self._normed(hidden, branch, layer.before, into.tiled)
                if layer is last:  # of the others only their keys, values and states are wanted
                    hidden, branch = hidden[-1:], branch[-1:]
                if isinstance(layer.mixer, DeltaNet):
                    self._delta(layer.mixer, state, x, (into, out), branch)
                else:
                    self._attention(layer.mixer, state, x, (into, out), branch, turns=turns)
            with self._arena.frame():
                x = self._normed(hidden, branch, layer.after, gate_up.tiled)
                self._mlp(x, gate_up, down, branch)
        state.length += length
        with self._arena.frame():
            x = self._normed(hidden, branch, self._model.norm, self._head)
            logits = torch.empty(self._head.outputs, dtype=_FP32, device=x.device)
            multiply(self._kernels, self._head, x, x, logits, tokens=1, splits=1, ranks=self._head.inputs)
        return logits

    def _normed(self, hidden: Tensor, branch: Tensor, norm: Norm, following: Tiled) -> Tensor:
        """hidden += branch; its norm as the next linear's input, [copies, T, inputs]."""
        (tokens, inputs), copies = hidden.shape, following.orders.shape[0]
        x = self._arena.take(_BF16, copies, tokens, inputs)
        self._kernels["add_norm"](
            (tokens, 1),
            _THREADS,
            6 * inputs,
            hidden,
            branch,
            norm.weight,
            norm.eps,
            x,
            following.orders,
            inputs,
            copies,
        )
        return x

    def _dense(self, matrix: Expansion) -> Dense:
        self._scratch.clear()
        matrix.arrange(self._ranks)
        return matrix.expand(self._scratch.take(_BF16, matrix.nbytes // 2), self._ranks)

    def _mlp(self, x: Tensor, gate_up: Expansion, down: Expansion, branch: Tensor) -> None:
        """Its wide middle is made in two parts, so that neither the weights nor the middle are ever there whole."""
        tokens, stride = x.shape[1], down.inputs
        gated = self._arena.take(_BF16, 1, tokens, stride)
        self._scratch.clear()
        scratch = self._scratch.take(_BF16, self._scratch.nbytes // 2)
        gate_up.arrange(self._ranks)
        for first, last in self._cuts:
            with self._arena.frame():
                width = (last - first) * TALL
                y = self._arena.take(_BF16, tokens, width)
                gate_up.expand(scratch, self._ranks, first, last).multiply(x, y)
                self._kernels["silu_up"](
                    (-(-y.numel() // (16 * _THREADS)), 1), _THREADS, 0,
                    y, gated.view(-1)[first * TALL // 2 :], width // 2, stride, tokens,
                )  # fmt: skip
        self._dense(down).multiply(gated, branch)

    def _delta(
        self, mixer: DeltaNet, state: TensorState, x: Tensor, matrices: tuple[Expansion, Expansion], branch: Tensor
    ) -> None:
        config, (into, out), tokens, wanted = self._model.config, matrices, x.shape[1], branch.shape[0]
        heads = config.linear_value_heads
        mixed, gates = self._arena.take(_BF16, tokens, into.outputs), self._arena.take(_FP32, tokens, 2 * heads)
        self._dense(into).multiply(x, mixed)
        exact_product(x[0], into.tiled.a[-2 * heads :].index_select(1, into.tiled.orders[0]), gates)
        y = self._arena.take(_BF16, tokens, out.inputs)
        weights = ChunkWeights(mixer.conv, mixer.decay, mixer.dt_bias, config.linear_key_heads)
        window, recurrent = state.conv[mixer.slot], state.recurrent[mixer.slot]
        self._scratch.clear()
        for begin in range(0, tokens, _DELTA_TOKENS):
            some = slice(begin, begin + _DELTA_TOKENS)
            delta_chunks(
                self._kernels, mixed[some], gates[some], weights, y[some],
                window=window, state=recurrent, arena=self._scratch,
            )  # fmt: skip
        orders = out.tiled.orders
        gated = self._arena.take(_BF16, orders.shape[0], wanted, out.inputs)
        z = mixed[-wanted:].view(-1)[config.conv_channels :]
        self._kernels["gate_norm"](
            (wanted, 1), _THREADS, 2 * out.inputs,
            y[-wanted:], z, into.outputs, mixer.norm, config.norm_eps, gated, orders, out.inputs, orders.shape[0],
        )  # fmt: skip
        self._dense(out).multiply(gated, branch)

    def _attention(
        self, mixer: Attention, state: TensorState, x: Tensor, matrices: tuple[Expansion, Expansion], branch: Tensor,
        *, turns: tuple[Tensor, Tensor],
    ) -> None:  # fmt: skip
        config, (into, out), tokens, wanted = self._model.config, matrices, x.shape[1], branch.shape[0]
        begin, end = state.length, state.length + tokens
        keys, values, capacity, place = *state.layer(mixer.slot)[:2], state.capacity, begin
        if state.kv_bits == 8:  # then they are rounded on their way to the cache
            keys, values = torch.empty(2, config.kv_heads, tokens, config.head_dim, dtype=_BF16, device=x.device)
            capacity, place = tokens, 0
        mixed = self._arena.take(_BF16, tokens, into.outputs)
        self._dense(into).multiply(x, mixed)
        q = self._arena.take(_BF16, tokens, config.heads, config.head_dim)
        self._kernels["turn_heads"](
            (-(-(config.heads + 2 * config.kv_heads) // 8), tokens), _THREADS, 0,
            mixed, into.outputs, mixer.q_norm.weight, mixer.k_norm.weight, config.norm_eps, *turns, config.rotary_dim,
            q, keys, values, config.heads, config.kv_heads, capacity, place,
        )  # fmt: skip
        if state.kv_bits == 8:
            state.append(mixer.slot, keys.transpose(0, 1), values.transpose(0, 1))
        y = attend(q[-wanted:], *state.read(mixer.slot, end)).contiguous()
        orders = out.tiled.orders
        gated = self._arena.take(_BF16, orders.shape[0], wanted, out.inputs)
        self._kernels["gate_heads"](
            (wanted, 1), _THREADS, 2 * out.inputs,
            y, mixed[-wanted:], into.outputs, gated, orders, out.inputs, orders.shape[0],
        )  # fmt: skip
        self._dense(out).multiply(gated, branch)

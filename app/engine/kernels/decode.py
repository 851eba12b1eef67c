"""The next token's logits on the kernels: the whole model for one token as a fixed list of launches, recorded once as a
CUDA graph and replayed for every token.

Knows: the architecture of one token, the order of launches, their buffers. Does not know: files, sampling, prompts.
How many tokens there are is read from the device, so that one graph serves every length. Per layer: one stream of all
input weights, the mixer, its output weights, gate and up, down; each stream makes its own input (`token`). The residual
stream, states and sums are fp32.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from app.engine.cache import TensorState
from app.engine.config import TextConfig
from app.engine.kernels.linear import (
    THREADS,
    Tiled,
    UnsuitableError,
    multiply,
    prepare_blocks,
    tile,
    tile_plain,
)
from app.engine.kernels.module import TiledLinear
from app.engine.kernels.runtime import Kernels
from app.engine.kernels.token import Correction, Given, multiply_one, parts, token_bytes
from app.engine.model import Attention, DeltaNet, Layer, Norm, TextModel
from app.engine.quantized import DenseLinear, Eora, Linear, PackedWeight, QuantizedLinear

Step = Callable[[], None]

_MOST_SHARING = 8


def attention_bytes(sharing: int) -> int:
    """Shared memory of `attend` with so many query heads to a key head: the sums of eight warps."""
    return 8 * sharing * (256 + 8) * 4


class PackedLayer:
    """One layer's weights as the kernels take them: `into` feeds the mixer, `out` leaves it. The layer's own linears
    become views of them, so that longer inputs use the same weights."""

    def __init__(self, kernels: Kernels, layer: Layer) -> None:
        mixer, mlp = layer.mixer, layer.mlp
        if isinstance(mixer, DeltaNet):
            into = [_stored(mixer.qkv), _stored(mixer.z)]
            self.into = tile(into, more=torch.cat((_plain(mixer.a), _plain(mixer.b))))
            self.out = tile([_stored(mixer.out)])
            mixer.qkv, mixer.z = _views(kernels, self.into, into)
            mixer.out = TiledLinear(kernels, self.out)
        else:
            into = [_stored(mixer.q_gate), _stored(mixer.k), _stored(mixer.v)]
            self.into = tile(into)
            self.out = tile([_stored(mixer.o)])
            mixer.q_gate, mixer.k, mixer.v = _views(kernels, self.into, into)
            mixer.o = TiledLinear(kernels, self.out)
        down = tile([_stored(mlp.down)])
        # What is between comes out in the order in which it goes in again, so that nobody ever sorts it.
        order = down.orders[0].long()
        self.gate_up = tile([_reordered(_stored(mlp.gate), order), _reordered(_stored(mlp.up), order)], paired=True)
        in_place = torch.arange(down.inputs, dtype=torch.int32, device=order.device).unsqueeze(0)
        self.down = replace(down, orders=in_place, a=down.a[:, order].contiguous())
        mlp.gate, mlp.up = TiledLinear(kernels, self.gate_up, 0), TiledLinear(kernels, self.gate_up, 1)
        mlp.down = TiledLinear(kernels, self.down)

    @property
    def matrices(self) -> tuple[Tiled, Tiled, Tiled, Tiled]:
        """All of them, in the order of use."""
        return self.into, self.out, self.gate_up, self.down


def _stored(linear: Linear) -> tuple[PackedWeight, Eora | None]:
    if not isinstance(linear, QuantizedLinear):
        raise UnsuitableError("a linear that is not quantized")
    return linear.packed, linear.eora


def _reordered(part: tuple[PackedWeight, Eora | None], order: Tensor) -> tuple[PackedWeight, Eora | None]:
    """The same linear with its outputs in another order. Zero points stay, since only equal ones are packed."""
    packed, eora = part
    packed = replace(packed, codes=packed.codes[:, order], scales=packed.scales[:, order])
    return packed, None if eora is None else Eora(eora.a, eora.b[:, order])


def _plain(linear: Linear) -> Tensor:
    if not isinstance(linear, DenseLinear):
        raise UnsuitableError("a quantized gate")
    return linear.weight.to(torch.bfloat16)


def _views(kernels: Kernels, tiled: Tiled, parts: list[tuple[PackedWeight, Eora | None]]) -> list[TiledLinear]:
    views, first = [], 0
    for packed, _ in parts:
        count = packed.out_features // 16
        views.append(TiledLinear(kernels, tiled.some(first, count)))
        first += count
    return views


def require_fit(config: TextConfig, dtype: torch.dtype) -> None:
    """Raises `UnsuitableError` for a model whose heads the kernels do not fit."""
    heads = (config.head_dim, config.linear_key_dim, config.linear_value_dim, config.conv_kernel)
    if heads != (256, 128, 128, 4) or dtype != torch.bfloat16 or config.linear_value_heads % 4:
        raise UnsuitableError(f"heads of {heads}")
    if config.heads // config.kv_heads > _MOST_SHARING:
        raise UnsuitableError(f"{config.heads // config.kv_heads} query heads to a key head")


class Decoder:
    """Runs a text model on the kernels, one token at a time. It packs the model's weights anew, layer by layer, and
    lets go of the old ones, unless the layers come `packed`. Raises `UnsuitableError` for a model that the kernels do
    not fit."""

    def __init__(self, model: TextModel, kernels: Kernels, packed: list[PackedLayer] | None = None) -> None:
        require_fit(model.config, model.dtype)
        self._model, self._kernels = model, kernels
        if isinstance(model.head, TiledLinear):
            self._head = model.head.tiled
        else:
            self._head = tile_plain(model.table if model.head is None else _plain(model.head))
        if model.head is not None:
            model.head = TiledLinear(kernels, self._head)
        self._layers = [PackedLayer(kernels, layer) for layer in model.layers] if packed is None else packed
        for one in self._layers:
            for matrix in (one.into, one.gate_up):
                token_bytes(kernels.gpu, matrix, "normed", 1)
            token_bytes(kernels.gpu, one.out, "gated", parts(kernels.gpu))
            token_bytes(kernels.gpu, one.down, "ready", parts(kernels.gpu))
        self._buffers()
        self._state: TensorState | None = None
        self._steps: list[Step] = []
        self._graph: torch.cuda.CUDAGraph | None = None

    def _buffers(self) -> None:
        config, device, gpu = self._model.config, self._model.device, self._kernels.gpu
        matrices = [matrix for layer in self._layers for matrix in layer.matrices]

        def numbers(count: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
            return torch.zeros(count, dtype=dtype, device=device)

        self._splits = max(1, gpu.multiprocessors // config.kv_heads)
        self._hidden = [numbers(config.hidden_size, torch.float32) for _ in range(2)]
        self._partial = numbers(parts(gpu) * config.hidden_size, torch.float32)
        self._correction = Correction(max(matrix.a.shape[0] for matrix in matrices), device)
        self._x = numbers(config.hidden_size)
        self._mixed = numbers(max(layer.into.outputs for layer in self._layers))
        self._read = numbers(config.linear_value_heads * config.linear_value_dim, torch.float32)
        self._q = numbers(config.heads * config.head_dim)
        self._shares = numbers(self._splits * config.heads * config.head_dim, torch.float32)
        self._peaks = numbers(self._splits * config.heads * 2, torch.float32)
        self._attended = numbers(config.heads * config.head_dim)
        self._gated = numbers(config.intermediate_size)
        self._logits = numbers(config.vocab_size, torch.float32)
        self._cursor = numbers(2, torch.int32)

    @torch.no_grad()
    def step(self, embedding: Tensor, position: int, state: TensorState) -> Tensor:
        """Read one token that stands at `position` in every axis: embedding [hidden] → logits fp32 [vocab]; `state`
        moves on by one. Raises `ValueError` if it has no room."""
        if state.length >= state.capacity:
            raise ValueError(f"no room after {state.length} tokens")
        first = state is not self._state
        if first:  # not known before all of it went well
            self._graph, self._state, self._steps = None, None, self._listed(state)
            self._correction.reset()
        self._hidden[0].copy_(embedding)
        on_gpu = self._model.device.type == "cuda"
        cursor = torch.tensor([state.length, position], dtype=torch.int32, pin_memory=on_gpu)
        self._cursor.copy_(cursor, non_blocking=True)  # nobody waits: torch keeps pinned memory until it is copied
        if self._graph is not None:
            self._graph.replay()
        else:
            self.launch()
        if first and on_gpu:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.launch()
            self._graph = graph
        self._state = state
        state.length += 1
        return self._logits.clone()

    def launch(self) -> None:
        """Launch every step of the token, one by one."""
        for step in self._steps:
            step()

    @property
    def packed(self) -> tuple[list[PackedLayer], Tiled]:
        """The weights, layer by layer, and the head."""
        return self._layers, self._head

    @property
    def nbytes_a_token(self) -> int:
        """Bytes that a token must read and write at least, keys and values aside: the floor of its time."""
        states = [] if self._state is None else self._state.recurrent
        matrices = [self._head, *(matrix for layer in self._layers for matrix in layer.matrices)]
        return sum(m.units.nbytes + m.scales.nbytes + m.a.nbytes for m in matrices) + sum(2 * s.nbytes for s in states)

    def _listed(self, state: TensorState) -> list[Step]:
        """The launches of one token, in order."""
        steps: list[Step] = []
        (hidden, other), counts = self._hidden, parts(self._kernels.gpu)
        for index, (layer, packed) in enumerate(zip(self._model.layers, self._layers, strict=True)):
            given = self._normed(layer.before, hidden, other, counts if index else 0)
            steps.append(self._product(packed.into, given, self._mixed, 0))
            if isinstance(layer.mixer, DeltaNet):
                steps += self._delta(layer.mixer, packed, state)
            else:
                steps += self._attention(layer.mixer, packed, state)
            given = self._normed(layer.after, other, hidden, counts)
            steps.append(self._product(packed.gate_up, given, self._gated, 2))
            steps.append(self._product(packed.down, Given("ready", self._gated), self._partial, 3))
        norm, head = self._model.norm, self._head
        steps += [
            partial(
                self._kernels["prepare_norm"], (prepare_blocks(self._kernels.gpu, 0), 1), THREADS, 6 * head.inputs,
                hidden, self._partial, counts, other, norm.weight, norm.eps,
                self._x, head.orders, head.a, self._x, self._correction.t, head.inputs, 1, 0,
            ),
            partial(
                multiply, self._kernels, head, self._x, self._x, self._logits, tokens=1, splits=1, ranks=head.inputs
            ),
        ]  # fmt: skip
        return steps

    def _product(self, tiled: Tiled, given: Given, y: Tensor, turn: int) -> Step:
        """`turn` counts a layer's four products, so that two that follow each other never have the same counter."""
        return partial(multiply_one, self._kernels, tiled, given, self._correction, y, turn=turn)

    def _normed(self, norm: Norm, before: Tensor, after: Tensor, count: int) -> Given:
        """h = before + partials; the residual stream goes from one buffer to the other."""
        return Given("normed", before, self._partial, norm.weight, norm.eps, after, count)

    def _delta(self, mixer: DeltaNet, packed: PackedLayer, state: TensorState) -> list[Step]:
        config = self._model.config
        heads, channels = config.linear_value_heads, config.conv_channels
        window, recurrent = state.conv[mixer.slot], state.recurrent[mixer.slot]
        ranks = packed.into.a.shape[0]
        gates = self._correction.t[ranks - 2 * heads :]
        read = Given("gated", self._read, self._mixed, mixer.norm, config.norm_eps, window, channels)
        return [
            partial(
                self._kernels["delta_step"], (4, heads), 256, 0,
                self._mixed, window, mixer.conv, gates, gates[heads:], mixer.decay, mixer.dt_bias,
                recurrent, self._read, config.linear_key_heads,
            ),
            self._product(packed.out, read, self._partial, 1),
        ]  # fmt: skip

    def _attention(self, mixer: Attention, packed: PackedLayer, state: TensorState) -> list[Step]:
        config, frequencies = self._model.config, self._model.rope.frequencies
        heads, kv_heads = config.heads, config.kv_heads
        rotate, attend = ("rotate", "attend") if state.kv_bits == 16 else ("rotate_8", "attend_8")
        planes = state.layer(mixer.slot)
        return [
            partial(
                self._kernels[rotate], (heads + kv_heads, 1), 256, 0,
                self._mixed, mixer.q_norm.weight, mixer.k_norm.weight, config.norm_eps, frequencies,
                config.rotary_dim, self._cursor, self._q, *planes, heads, state.capacity,
            ),
            partial(
                self._kernels[attend], (self._splits, kv_heads), 256, attention_bytes(heads // kv_heads),
                self._q, *planes, self._cursor, self._shares, self._peaks, state.capacity,
            ),
            partial(
                self._kernels["gather"], (heads, 1), 256, 0,
                self._shares, self._peaks, self._mixed, self._cursor, self._attended, self._splits,
            ),
            self._product(packed.out, Given("ordered", self._attended), self._partial, 1),
        ]  # fmt: skip

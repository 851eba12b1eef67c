"""Random weights of exactly the 27B's shapes, or of a small model's, made on a device part by part.

Knows: shapes, sizes that keep activations alive, which linears are quantized and how. Does not know: files. Every
quantized linear has act-order, 8 bits in attention, 4 elsewhere, EoRA, zero points in the middle. `SyntheticWeights`
hands a model its parts without a file; `app.bench.folder` writes the same numbers down.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from app.engine.config import ModelConfig, TextConfig, VisionConfig
from app.engine.layout import linear_shapes, plain_shapes
from app.engine.quantized import DenseLinear, Eora, Linear, PackedWeight, QuantizedLinear

GROUP = 128
PREFIX = "model.language_model."


@dataclass(frozen=True)
class Size:
    """A model to be made up."""

    text: TextConfig
    vision: VisionConfig
    rank: int

    @property
    def model(self) -> ModelConfig:
        """The configuration, as `layout.py` wants it."""
        return ModelConfig("synthetic", self.text, self.vision, 262_144, self.text.vocab_size, (0,), 1, 2, 3, 4)


def _text(*, layers: int, hidden: int, intermediate: int, vocabulary: int, heads: int, delta_heads: int) -> TextConfig:
    return TextConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        layer_kinds=tuple("full_attention" if i % 4 == 3 else "linear_attention" for i in range(layers)),
        norm_eps=1e-6,
        heads=heads,
        kv_heads=heads // 6,
        head_dim=256,
        rotary_dim=64,
        rope_theta=1e7,
        mrope_section=(11, 11, 10),
        linear_key_heads=delta_heads // 3,
        linear_value_heads=delta_heads,
        linear_key_dim=128,
        linear_value_dim=128,
        conv_kernel=4,
        tied_head=False,
    )


def _vision(*, depth: int, hidden: int, intermediate: int, heads: int, out: int, grid: int) -> VisionConfig:
    return VisionConfig(depth, hidden, intermediate, heads, 16, 2, 2, 3, out, grid, 10_000.0)


BIG = Size(
    _text(layers=64, hidden=5120, intermediate=17_408, vocabulary=248_320, heads=24, delta_heads=48),
    _vision(depth=27, hidden=1152, intermediate=4304, heads=16, out=5120, grid=48),
    rank=64,
)
"""Qwen3.5-27B as its card describes it."""
SMALL = Size(
    _text(layers=4, hidden=256, intermediate=384, vocabulary=1280, heads=6, delta_heads=12),
    _vision(depth=2, hidden=64, intermediate=96, heads=2, out=256, grid=8),
    rank=16,
)
"""The same in small, for a CPU."""
SIZES = {"27b": BIG, "small": SMALL}


def bits_of(linear: str) -> int:
    """The card's rule: 8 bits in full attention, 4 elsewhere, none for the head and DeltaNet's gates."""
    if linear.endswith(("in_proj_a", "in_proj_b", "lm_head")):
        return 16
    return 8 if ".self_attn." in linear else 4


def packed_weight(out: int, into: int, bits: int, order: Tensor, generator: torch.Generator) -> PackedWeight:
    """Random codes. `order` int64 [into], a permutation: input i belongs to group order[i] // 128."""
    device, words, groups = generator.device, into * bits // 32, into // GROUP
    low, high = -(2**31), 2**31
    codes = torch.randint(low, high, (words, out), generator=generator, device=device, dtype=torch.int32)
    spread = (2**bits - 1) / math.sqrt(12)
    scales = torch.rand(groups, out, generator=generator, device=device).add_(0.5).mul_(1 / spread / math.sqrt(into))
    middle = 0x88888888 - 2**32 if bits == 4 else 0x80808080 - 2**32
    zeros = torch.full((groups, out * bits // 32), middle, dtype=torch.int32, device=device)
    return PackedWeight(codes, zeros, scales.half(), (order // GROUP).to(torch.int32), bits)


class SyntheticWeights:
    """The parts of a made-up model by their names below the language model's prefix, on `device`; each name has its own
    seed, so that the same name gives the same numbers."""

    def __init__(self, size: Size, device: torch.device, dtype: torch.dtype = torch.bfloat16) -> None:
        self.size, self.device, self.dtype = size, device, dtype
        self.shapes = {name.removeprefix(PREFIX): shape for name, shape in linear_shapes(size.model).items()}
        self.plain = {name.removeprefix(PREFIX): shape for name, shape in plain_shapes(size.model).items()}

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """A plain tensor."""
        return plain_values(name, self.plain[name], self.generator(name)).to(dtype)

    def linear(self, name: str) -> Linear:
        """A linear, packed where the card has it packed."""
        out, into = self.shapes[name]
        if bits_of(name) == 16:
            return DenseLinear(plain_values(name, (out, into), self.generator(name)).to(self.dtype))
        packed, eora = self.quantized(name)
        return QuantizedLinear(packed, eora, self.dtype)

    def quantized(self, name: str) -> tuple[PackedWeight, Eora]:
        """A quantized linear's parts. Linears of the same input share their act-order."""
        out, into = self.shapes[name]
        generator = self.generator(name)
        order = torch.randperm(into, generator=self.generator(name.rpartition(".")[0] + str(into)), device=self.device)
        packed = packed_weight(out, into, bits_of(name), order, generator)
        rank = self.size.rank
        a = torch.randn(into, rank, generator=generator, device=self.device) / math.sqrt(into)
        b = torch.randn(rank, out, generator=generator, device=self.device) * (0.2 / math.sqrt(rank))
        return packed, Eora(a.half(), b.half())

    def generator(self, name: str) -> torch.Generator:
        """The random numbers of a name."""
        seed = sum(ord(letter) * 257**place for place, letter in enumerate(name)) % 2**31
        return torch.Generator(self.device).manual_seed(seed)


def plain_values(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random numbers of a size that suits a tensor of this name, fp32."""
    noise = torch.randn(shape, generator=generator, device=generator.device)
    if name.endswith("A_log"):
        return noise.uniform_(-1, 1, generator=generator)
    if name.endswith(("linear_attn.norm.weight", "merger.norm.weight", "norm1.weight", "norm2.weight")):
        return noise.mul_(0.2).add_(1)
    if name.endswith(("norm.weight", "layernorm.weight", "bias")):
        return noise.mul_(0.2)
    if name.endswith(("embed_tokens.weight", "pos_embed.weight", "conv1d.weight")):
        return noise.mul_(0.5)
    return noise.div_(math.sqrt(torch.Size(shape[1:]).numel()))

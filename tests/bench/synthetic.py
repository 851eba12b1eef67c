"""Random weights of exactly the 27B's shapes, names and format, or of a small model's, on a device or in a folder.

    python -m tests.bench.synthetic FOLDER [--small]     writes a checkpoint that Parley loads (20.4 GB, or 7 MB)

`SyntheticWeights` hands the same tensors to `TextModel` without a file: what the benchmarks of the GPU use. Values are
random with sizes that keep activations alive; every quantized linear has act-order, 8 bits in attention, 4 elsewhere,
EoRA of rank 64 (16 in the small one), zero points in the middle.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.config import ModelConfig, TextConfig, VisionConfig
from app.engine.layout import linear_shapes, plain_shapes, vision_shapes
from app.engine.quantized import DenseLinear, Eora, Linear, PackedWeight, QuantizedLinear

GROUP = 128
_SHARD_BYTES = 4 * 10**9


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
SMALL = Size(
    _text(layers=4, hidden=256, intermediate=384, vocabulary=320, heads=6, delta_heads=12),
    _vision(depth=2, hidden=64, intermediate=96, heads=2, out=256, grid=8),
    rank=16,
)


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
        prefix = "model.language_model."
        self.shapes = {name.removeprefix(prefix): shape for name, shape in linear_shapes(size.model).items()}
        self.plain = {name.removeprefix(prefix): shape for name, shape in plain_shapes(size.model).items()}

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """A plain tensor."""
        return plain_values(name, self.plain[name], self._generator(name)).to(dtype)

    def linear(self, name: str) -> Linear:
        """A linear, packed where the card has it packed."""
        out, into = self.shapes[name]
        if bits_of(name) == 16:
            return DenseLinear(plain_values(name, (out, into), self._generator(name)).to(self.dtype))
        packed, eora = self.quantized(name)
        return QuantizedLinear(packed, eora, self.dtype)

    def quantized(self, name: str) -> tuple[PackedWeight, Eora]:
        """A quantized linear's parts. Linears of the same input share their act-order."""
        out, into = self.shapes[name]
        generator = self._generator(name)
        order = torch.randperm(into, generator=self._generator(name.rpartition(".")[0] + str(into)), device=self.device)
        packed = packed_weight(out, into, bits_of(name), order, generator)
        rank = self.size.rank
        a = torch.randn(into, rank, generator=generator, device=self.device) / math.sqrt(into)
        b = torch.randn(rank, out, generator=generator, device=self.device) * (0.2 / math.sqrt(rank))
        return packed, Eora(a.half(), b.half())

    def _generator(self, name: str) -> torch.Generator:
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


def tensors(size: Size, device: torch.device) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the checkpoint, EoRA's aside, by its full name, one after another."""
    weights = SyntheticWeights(size, device)
    prefix = "model.language_model."
    for name, shape in [*plain_shapes(size.model).items(), *vision_shapes(size.vision).items()]:
        yield name, plain_values(name, shape, weights._generator(name.removeprefix(prefix))).half().cpu()
    for full in linear_shapes(size.model):
        name = full.removeprefix(prefix)
        if bits_of(name) == 16:
            linear = weights.linear(name)
            assert isinstance(linear, DenseLinear)
            yield f"{full}.weight", linear.weight.half().cpu()
            continue
        packed, _ = weights.quantized(name)
        less = 0x11111111 if packed.bits == 4 else 0x01010101
        parts = {
            "qweight": packed.codes,
            "qzeros": packed.zeros - less,
            "scales": packed.scales,
            "g_idx": packed.group_of,
        }
        yield from ((f"{full}.{part}", tensor.cpu()) for part, tensor in parts.items())


def write(folder: Path, size: Size, device: torch.device) -> None:
    """A checkpoint folder with configuration, tokenizer, weights in shards of 4 GB, and EoRA as a PEFT adapter."""
    from safetensors.torch import save_file

    from tests.checkpoints import write_json, write_small_files

    write_small_files(folder, config_json(size))
    shard: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    count = total = 0

    def close() -> None:
        nonlocal shard, count
        count += 1
        save_file(shard, folder / f"model-{count:05}.safetensors", metadata={"format": "pt"})
        names.update(dict.fromkeys(shard, f"model-{count:05}.safetensors"))
        shard = {}

    for name, tensor in tensors(size, device):
        if sum(t.nbytes for t in shard.values()) > _SHARD_BYTES:
            close()
        shard[name] = tensor.contiguous()
        total += tensor.nbytes
    close()
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": names})
    weights, adapter = SyntheticWeights(size, device), {}
    for full in linear_shapes(size.model):
        name = full.removeprefix("model.language_model.")
        if bits_of(name) != 16:
            eora = weights.quantized(name)[1]
            adapter[f"base_model.model.{full}.lora_A.weight"] = eora.a.T.contiguous().cpu()
            adapter[f"base_model.model.{full}.lora_B.weight"] = eora.b.T.contiguous().cpu()
    save_file(adapter, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    write_json(folder / "adapter_config.json", {"peft_type": "LORA", "r": size.rank, "lora_alpha": size.rank})
    write_json(folder / "quantize_config.json", QUANTIZATION)


QUANTIZATION: dict[str, Any] = {
    "bits": 4,
    "group_size": GROUP,
    "desc_act": True,
    "sym": True,
    "quant_method": "gptq",
    "checkpoint_format": "gptq",
    "pack_dtype": "int32",
    "lm_head": False,
    "dynamic": {r"+:.*\.self_attn\..*": {"bits": 8}, r"-:.*\.in_proj_[ab]$": {}},
    "meta": {"quantizer": ["gptqmodel:7.7.0"]},
}


def config_json(size: Size) -> dict[str, Any]:
    """`config.json` of the published form for a size."""
    from tests.checkpoints import config_json as published

    plain, text, vision = published(), size.text, size.vision
    plain["text_config"] |= {
        "vocab_size": text.vocab_size,
        "hidden_size": text.hidden_size,
        "intermediate_size": text.intermediate_size,
        "num_hidden_layers": len(text.layer_kinds),
        "layer_types": list(text.layer_kinds),
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.kv_heads,
        "linear_num_key_heads": text.linear_key_heads,
        "linear_num_value_heads": text.linear_value_heads,
        "max_position_embeddings": 262_144,
    }
    plain["vision_config"] |= {
        "depth": vision.depth,
        "hidden_size": vision.hidden_size,
        "intermediate_size": vision.intermediate_size,
        "num_heads": vision.heads,
        "out_hidden_size": vision.out_hidden_size,
        "num_position_embeddings": vision.position_grid**2,
    }
    return plain


def main() -> None:
    """Write a checkpoint."""
    parser = argparse.ArgumentParser(description="Write a checkpoint of random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    write(arguments.folder, SMALL if arguments.small else BIG, device)
    size = sum(path.stat().st_size for path in arguments.folder.iterdir())
    sys.stdout.write(json.dumps({"folder": str(arguments.folder), "bytes": size}) + "\n")


if __name__ == "__main__":
    main()

"""Makes small random checkpoints of Qwen3.5's architecture: the head sizes of the 27B, little of everything else.

`dense` needs nothing but torch and safetensors. `quantized` packs with GPTQModel's own code, which takes seconds to
import; it also returns what GPTQModel itself reads back from the packed weights, so that a reference never depends on
Parley's reading.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from app.engine.config import read_config
from app.engine.layout import linear_shapes, plain_shapes, vision_shapes

EoraForm = Literal["peft", "subfolder", "beside", "none"]

SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<think>",
    "</think>",
)
FIRST_SPECIAL = 256
VOCABULARY = 320  # padded: ids from 256 + len(SPECIALS) on are never valid
IDS = {token: FIRST_SPECIAL + index for index, token in enumerate(SPECIALS)}
EORA_RANK = 8
GROUP = 32

# Renders plain conversations in the model's format; contents are strings or lists of parts.
TEMPLATE = """
{%- macro words(content) -%}
{%- if content is string -%}{{ content }}{%- else -%}
{%- for part in content -%}
{%- if part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' -%}<|vision_start|><|video_pad|><|vision_end|>
{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + words(message.content) + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n<think>\\n' }}
{%- if enable_thinking is defined and enable_thinking is false -%}{{ '\\n</think>\\n\\n' }}{%- endif -%}
{%- endif -%}
""".strip()


@dataclass(frozen=True)
class Made:
    """A checkpoint on disk and the numbers in it: `tensors` by the names that transformers knows, correction included,
    as any reader should come to see them (fp32)."""

    folder: Path
    tensors: dict[str, Tensor]


def config_json(*, vision: bool = True, tied: bool = False) -> dict[str, Any]:
    """A `config.json` of the published form: four layers, the 27B's head sizes."""
    text = {
        "model_type": "qwen3_5_text",
        "vocab_size": VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 192,
        "num_hidden_layers": 4,
        "full_attention_interval": 4,
        "layer_types": ["linear_attention"] * 3 + ["full_attention"],
        "hidden_act": "silu",
        "attention_bias": False,
        "attn_output_gate": True,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "eos_token_id": IDS["<|endoftext|>"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000_000,
            "partial_rotary_factor": 0.25,
            "mrope_interleaved": True,
            "mrope_section": [11, 11, 10],
        },
    }
    if not vision:
        return {**text, "architectures": ["Qwen3_5ForCausalLM"], "tie_word_embeddings": tied}
    return {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        "tie_word_embeddings": tied,
        "image_token_id": IDS["<|image_pad|>"],
        "video_token_id": IDS["<|video_pad|>"],
        "vision_start_token_id": IDS["<|vision_start|>"],
        "vision_end_token_id": IDS["<|vision_end|>"],
        "text_config": text,
        "vision_config": {
            "model_type": "qwen3_5_vision",
            "deepstack_visual_indexes": [],
            "depth": 2,
            "hidden_size": 64,
            "hidden_act": "gelu_pytorch_tanh",
            "intermediate_size": 96,
            "num_heads": 2,
            "in_channels": 3,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 128,
            "num_position_embeddings": 64,
        },
    }


def write_json(path: Path, plain: Any) -> None:
    path.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def write_small_files(folder: Path, config: dict[str, Any]) -> None:
    """Everything but weights: configurations, tokenizer, template, processors."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {"eos_token_id": [IDS["<|im_end|>"], IDS["<|endoftext|>"]]})
    _write_tokenizer(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    colours = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    sizes = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    common = {**colours, **sizes, "processor_class": "Qwen3VLProcessor"}
    write_json(
        folder / "preprocessor_config.json",
        {
            **common,
            "size": {"shortest_edge": 4096, "longest_edge": 262_144},
            "image_processor_type": "Qwen2VLImageProcessorFast",
        },
    )
    write_json(
        folder / "video_preprocessor_config.json",
        {
            **common,
            "size": {"shortest_edge": 4096, "longest_edge": 1_048_576},
            "cap_pixels_per_frame": True,
            "fps": 2,
            "min_frames": 4,
            "max_frames": 768,
            "video_processor_type": "Qwen3VLVideoProcessor",
        },
    )


def _write_tokenizer(folder: Path) -> None:
    """Byte-level BPE without merges: every byte is a token, then the special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS[:7]])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in SPECIALS[7:]])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    )


def random_tensors(folder: Path, seed: int) -> dict[str, Tensor]:
    """Tensors for the configuration in a folder, lively enough that every part of the model shows in the logits."""
    config = read_config(folder)
    generator = torch.Generator().manual_seed(seed)
    shapes = {f"{name}.weight": shape for name, shape in linear_shapes(config).items()} | plain_shapes(config)
    if config.vision is not None:
        shapes |= vision_shapes(config.vision)
    return {name: _random(name, shape, generator) for name, shape in shapes.items()}


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if name.endswith("A_log"):
        return torch.rand(shape, generator=generator) * 2 - 1
    if name.endswith(("linear_attn.norm.weight", "merger.norm.weight", "norm1.weight", "norm2.weight")):
        return 1 + 0.2 * noise
    if name.endswith(("norm.weight", "bias", "layernorm.weight")):
        return 0.2 * noise
    if name.endswith(("embed_tokens.weight", "pos_embed.weight", "conv1d.weight")):
        return 0.5 * noise
    return noise / math.sqrt(torch.Size(shape[1:]).numel())


def dense(
    folder: Path,
    seed: int = 0,
    *,
    vision: bool = True,
    tied: bool = False,
    shards: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Made:
    """An unquantized checkpoint, in one file or several with an index."""
    write_small_files(folder, config_json(vision=vision, tied=tied))
    tensors = {name: tensor.to(dtype) for name, tensor in random_tensors(folder, seed).items()}
    save_weights(folder, tensors, shards)
    return Made(folder, {name: tensor.float() for name, tensor in tensors.items()})


def save_weights(folder: Path, tensors: dict[str, Tensor], shards: int = 1) -> None:
    """Write tensors as `model.safetensors`, or as several shards with an index."""
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(tensors)
    files = {name: f"model-{index % shards + 1:05}-of-{shards:05}.safetensors" for index, name in enumerate(names)}
    for file in sorted(set(files.values())):
        mine = {name: tensors[name] for name in names if files[name] == file}
        save_file(mine, folder / file, metadata={"format": "pt"})
    total = sum(tensor.nbytes for tensor in tensors.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": files})


def quantized(
    folder: Path, seed: int = 0, *, eora: EoraForm = "peft", v2: bool = False, shards: int = 2, vision: bool = True
) -> Made:
    """A GPTQ checkpoint as the 27B is made: INT8 attention by `dynamic`, INT4 for the rest, act-order, EoRA."""
    from tests.gptq import pack

    write_small_files(folder, config_json(vision=vision))
    floats = random_tensors(folder, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    stored = {name: tensor.half() for name, tensor in floats.items()}
    meant = {name: tensor.half().float() for name, tensor in floats.items()}
    adapter: dict[str, Tensor] = {}
    for linear in linear_shapes(read_config(folder)):
        if linear == "lm_head" or linear.endswith(("in_proj_a", "in_proj_b")):
            continue
        bits = 8 if ".self_attn." in linear else 4
        packed, seen = pack(floats[f"{linear}.weight"], bits, GROUP, generator, v2=v2)
        del stored[f"{linear}.weight"]
        stored |= {f"{linear}.{part}": tensor for part, tensor in packed.items()}
        if eora != "none":
            out, into = seen.shape
            a = (torch.randn(into, EORA_RANK, generator=generator) / into**0.5).bfloat16()
            b = (torch.randn(EORA_RANK, out, generator=generator) * 0.1).bfloat16()
            seen = seen + (a.float() @ b.float()).T
            if eora == "beside":
                stored |= {f"{linear}.lora_A": a, f"{linear}.lora_B": b}
            else:
                adapter[f"base_model.model.{linear}.lora_A.weight"] = a.T
                adapter[f"base_model.model.{linear}.lora_B.weight"] = b.T
        meant[f"{linear}.weight"] = seen
    save_weights(folder, stored, shards)
    write_json(
        folder / "quantize_config.json",
        {
            "bits": 4,
            "group_size": GROUP,
            "desc_act": True,
            "sym": True,
            "quant_method": "gptq",
            "checkpoint_format": "gptq_v2" if v2 else "gptq",
            "pack_dtype": "int32",
            "lm_head": False,
            "dynamic": {r"+:.*\.self_attn\..*": {"bits": 8}, r"-:.*\.in_proj_[ab]$": {}},
            "meta": {"quantizer": ["gptqmodel:7.7.0"]},
        },
    )
    if adapter:
        place = folder / "eora" if eora == "subfolder" else folder
        place.mkdir(exist_ok=True)
        save_file({name: t.contiguous() for name, t in adapter.items()}, place / "adapter_model.safetensors")
        write_json(
            place / "adapter_config.json",
            {"peft_type": "LORA", "r": EORA_RANK, "lora_alpha": EORA_RANK, "fan_in_fan_out": False},
        )
    return Made(folder, meant)

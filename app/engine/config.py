"""What a checkpoint's JSON files say about its model, read once, checked, and frozen.

Knows: `config.json`, `generation_config.json` and the size of `tokenizer.json`. Does not know: tensors, quantization,
the processors' settings. Nothing in the files is trusted; what does not fit raises `CheckpointError`.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.engine.errors import CheckpointError

LayerKind = Literal["linear_attention", "full_attention"]

_MULTIMODAL = "Qwen3_5ForConditionalGeneration"
_TEXT_ONLY = "Qwen3_5ForCausalLM"
_JSON_LIMIT = 256 * 2**20
_LONGEST = 1_010_000
"""Tokens up to which the model's makers vouch for YaRN."""


@dataclass(frozen=True, slots=True)
class Yarn:
    """Positions stretched `factor` times beyond the `trained` tokens that the model learned with."""

    factor: int
    trained: int


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The language model's shape. Sizes are counts of channels, `rotary_dim` counts the rotated channels of a head."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layer_kinds: tuple[LayerKind, ...]
    norm_eps: float
    heads: int
    kv_heads: int
    head_dim: int
    rotary_dim: int
    rope_theta: float
    mrope_section: tuple[int, int, int]
    linear_key_heads: int
    linear_value_heads: int
    linear_key_dim: int
    linear_value_dim: int
    conv_kernel: int
    tied_head: bool
    yarn: Yarn | None = None

    @property
    def conv_channels(self) -> int:
        """Channels of a DeltaNet layer that pass the causal convolution: queries, keys and values of all heads."""
        return 2 * self.linear_key_heads * self.linear_key_dim + self.linear_value_heads * self.linear_value_dim


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The vision tower's shape. A patch is `temporal_patch` frames of `patch` × `patch` pixels; `merge` × `merge`
    patches become one token of `out_hidden_size` channels."""

    depth: int
    hidden_size: int
    intermediate_size: int
    heads: int
    patch: int
    temporal_patch: int
    merge: int
    channels: int
    out_hidden_size: int
    position_grid: int
    rope_theta: float


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """All that is known of a model before its weights are read. `vocab_valid`: ids from there on mean nothing."""

    name: str
    text: TextConfig
    vision: VisionConfig | None
    native_context: int
    vocab_valid: int
    eos_ids: tuple[int, ...]
    image_id: int
    video_id: int
    vision_start_id: int
    vision_end_id: int
    precision: str = ""


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `CheckpointError` if it is missing, huge or no JSON object."""
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise CheckpointError(f"{path.name} in {path.parent} is too large to be right; download the model again.")
        plain = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(
            f"There is no {path.name} in {path.parent}; choose the folder of a complete model."
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} in {path.parent} is not valid JSON; download that file again.") from error
    if not isinstance(plain, dict):
        raise CheckpointError(f"{path.name} in {path.parent} holds no JSON object; download that file again.")
    return plain


class Section:
    """One JSON object of a file, read field by field, each within bounds."""

    def __init__(self, plain: Any, where: str) -> None:
        if not isinstance(plain, dict):
            raise CheckpointError(f"{where} is not an object; download the model's files again.")
        self.plain: dict[str, Any] = plain
        self.where = where

    def refuse(self, name: str) -> CheckpointError:
        """The error for a field that is missing or absurd."""
        shown = json.dumps(self.plain.get(name))[:60]
        return CheckpointError(f'{self.where} has no usable "{name}" ({shown}); download the model\'s files again.')

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to `high`."""
        value = self.plain.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(name)
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """A number from `low` to `high`."""
        value = self.plain.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(name)
        return float(value)

    def section(self, name: str) -> "Section":
        """A nested object."""
        return Section(self.plain.get(name), f'{self.where}, "{name}"')

    def expect(self, name: str, *allowed: Any) -> None:
        """Refuse the model if the field is there and says something else than what Parley computes."""
        if name in self.plain and self.plain[name] not in allowed:
            shown = json.dumps(self.plain[name])[:60]
            raise CheckpointError(
                f'{self.where} asks for "{name}": {shown}, which Parley cannot run; choose another model.'
            )


def read_config(folder: Path) -> ModelConfig:
    """Read and check the JSON files of a model folder. Raises `CheckpointError`."""
    root = Section(read_json(folder / "config.json"), f"config.json of {folder.name}")
    architecture = _architecture(root)
    nested = "text_config" in root.plain
    text_section = root.section("text_config") if nested else root
    tokens = _token_ids(folder)
    vision = None
    if architecture == _MULTIMODAL and root.plain.get("vision_config") is not None:
        vision = _vision(root.section("vision_config"))
    text = _text(text_section, root.plain.get("tie_word_embeddings") is True)
    if vision is not None and vision.out_hidden_size != text.hidden_size:
        raise root.section("vision_config").refuse("out_hidden_size")
    valid = max(tokens.values()) + 1
    if valid > text.vocab_size:
        raise CheckpointError(
            f"tokenizer.json of {folder.name} has more tokens than the model; download both from the same place."
        )
    image, video, start, end = _vision_ids(root, tokens, valid) if vision is not None else (-1, -1, -1, -1)
    return ModelConfig(
        name=_display_name(folder),
        text=text,
        vision=vision,
        native_context=text_section.integer("max_position_embeddings", 16, 2**24),
        vocab_valid=valid,
        eos_ids=_end_ids(folder, root, text_section, tokens, valid),
        image_id=image,
        video_id=video,
        vision_start_id=start,
        vision_end_id=end,
    )


def stretched(config: ModelConfig, factor: int) -> ModelConfig:
    """The same model with its positions stretched by YaRN, for `factor` times the context; 1 leaves it as it is.

    Raises `ValueError` for a model that is stretched already.
    """
    if config.text.yarn is not None:
        raise ValueError("stretched twice")
    if factor == 1:
        return config
    text = replace(config.text, yarn=Yarn(factor, config.native_context))
    context = config.native_context * factor
    return replace(config, text=text, native_context=min(context, max(_LONGEST, config.native_context)))


def text_prefix(config: ModelConfig) -> str:
    """What the names of the language model's tensors begin with."""
    return "model.language_model." if config.vision is not None else "model."


def _architecture(root: Section) -> str:
    architectures = root.plain.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    if first in (_MULTIMODAL, _TEXT_ONLY):
        return str(first)
    what = str(first or root.plain.get("model_type") or "unknown")[:60]
    raise CheckpointError(
        f"{root.where} describes another kind of model ({what}); Parley runs Qwen3.5 models ({_MULTIMODAL})."
    )


def _text(section: Section, tied: bool) -> TextConfig:
    section.expect("hidden_act", "silu")
    section.expect("attention_bias", False)
    section.expect("attn_output_gate", True)
    head_dim = section.integer("head_dim", 8, 1024)
    rope = _rope(section)
    rotary = int(head_dim * rope.number("partial_rotary_factor", 0.01, 1.0, 0.25))
    config = TextConfig(
        vocab_size=section.integer("vocab_size", 2, 2**22),
        hidden_size=section.integer("hidden_size", 8, 2**17),
        intermediate_size=section.integer("intermediate_size", 8, 2**19),
        layer_kinds=_layer_kinds(section),
        norm_eps=section.number("rms_norm_eps", 0.0, 0.1, 1e-6),
        heads=section.integer("num_attention_heads", 1, 1024),
        kv_heads=section.integer("num_key_value_heads", 1, 1024),
        head_dim=head_dim,
        rotary_dim=rotary,
        rope_theta=rope.number("rope_theta", 1.0, 1e12),
        mrope_section=_mrope_section(rope, rotary),
        linear_key_heads=section.integer("linear_num_key_heads", 1, 1024),
        linear_value_heads=section.integer("linear_num_value_heads", 1, 1024),
        linear_key_dim=section.integer("linear_key_head_dim", 1, 1024),
        linear_value_dim=section.integer("linear_value_head_dim", 1, 1024),
        conv_kernel=section.integer("linear_conv_kernel_dim", 2, 64),
        tied_head=tied or section.plain.get("tie_word_embeddings") is True,
    )
    if config.heads % config.kv_heads:
        raise section.refuse("num_key_value_heads")
    if config.linear_value_heads % config.linear_key_heads:
        raise section.refuse("linear_num_key_heads")
    return config


def _rope(section: Section) -> Section:
    """The rotary settings, from the place where transformers 5 keeps them or from the older one."""
    older = section.plain.get("rope_scaling")
    plain = section.plain.get("rope_parameters") or (older if isinstance(older, dict) else {})
    defaults = {name: section.plain[name] for name in ("rope_theta", "partial_rotary_factor") if name in section.plain}
    rope = Section(defaults | plain if isinstance(plain, dict) else plain, f'{section.where}, "rope_parameters"')
    rope.expect("rope_type", "default")
    rope.expect("mrope_interleaved", True)
    return rope


def _mrope_section(rope: Section, rotary: int) -> tuple[int, int, int]:
    sizes = rope.plain.get("mrope_section", [11, 11, 10])
    if not isinstance(sizes, list) or len(sizes) != 3 or not all(type(n) is int and n >= 0 for n in sizes):
        raise rope.refuse("mrope_section")
    if sum(sizes) != rotary // 2 or max(sizes[1:]) * 3 > rotary // 2 + 2:
        raise rope.refuse("mrope_section")
    return sizes[0], sizes[1], sizes[2]


def _layer_kinds(section: Section) -> tuple[LayerKind, ...]:
    count = section.integer("num_hidden_layers", 1, 1024)
    kinds = section.plain.get("layer_types")
    if kinds is None:
        interval = section.integer("full_attention_interval", 1, 1024, 4)
        return tuple("linear_attention" if (i + 1) % interval else "full_attention" for i in range(count))
    if not isinstance(kinds, list) or len(kinds) != count or set(kinds) - {"linear_attention", "full_attention"}:
        raise section.refuse("layer_types")
    return tuple(kinds)


def _vision(section: Section) -> VisionConfig:
    section.expect("hidden_act", "gelu_pytorch_tanh")
    section.expect("deepstack_visual_indexes", [], None)
    positions = section.integer("num_position_embeddings", 1, 2**20)
    rope = section.plain.get("rope_parameters") or {}
    config = VisionConfig(
        depth=section.integer("depth", 1, 256),
        hidden_size=section.integer("hidden_size", 8, 2**15),
        intermediate_size=section.integer("intermediate_size", 8, 2**17),
        heads=section.integer("num_heads", 1, 256),
        patch=section.integer("patch_size", 1, 256),
        temporal_patch=section.integer("temporal_patch_size", 1, 16),
        merge=section.integer("spatial_merge_size", 1, 16),
        channels=section.integer("in_channels", 3, 3, 3),
        out_hidden_size=section.integer("out_hidden_size", 8, 2**17),
        position_grid=int(positions**0.5),
        rope_theta=Section(rope, f"{section.where}, rope_parameters").number("rope_theta", 1.0, 1e12, 10_000.0),
    )
    if config.position_grid**2 != positions:
        raise section.refuse("num_position_embeddings")
    if config.hidden_size % (4 * config.heads):
        raise section.refuse("num_heads")
    return config


def _token_ids(folder: Path) -> dict[str, int]:
    """Every token of `tokenizer.json` and its id."""
    tokenizer = Section(read_json(folder / "tokenizer.json"), f"tokenizer.json of {folder.name}")
    vocabulary = tokenizer.section("model").plain.get("vocab")
    added = tokenizer.plain.get("added_tokens", [])
    if not isinstance(vocabulary, dict) or not isinstance(added, list):
        raise CheckpointError(f"tokenizer.json of {folder.name} lists no tokens; download that file again.")
    tokens = dict(vocabulary)
    for token in added:
        if isinstance(token, dict) and isinstance(token.get("content"), str):
            tokens[token["content"]] = token.get("id")
    if not tokens or not all(type(number) is int and number >= 0 for number in tokens.values()):
        raise CheckpointError(f"tokenizer.json of {folder.name} lists no usable tokens; download that file again.")
    return tokens


def _vision_ids(root: Section, tokens: dict[str, int], valid: int) -> tuple[int, int, int, int]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    image, video, start, end = (root.integer(name, 0, valid - 1, tokens.get(token)) for name, token in names.items())
    return image, video, start, end


def _end_ids(folder: Path, root: Section, text: Section, tokens: dict[str, int], valid: int) -> tuple[int, ...]:
    """Every token that ends an answer, whichever of the files names it."""
    named: list[Any] = [root.plain.get("eos_token_id"), text.plain.get("eos_token_id")]
    generation = folder / "generation_config.json"
    if generation.exists():
        named.append(read_json(generation).get("eos_token_id"))
    named += [tokens.get("<|im_end|>"), tokens.get("<|endoftext|>")]
    flat = [number for entry in named for number in (entry if isinstance(entry, list) else [entry])]
    ends = {number for number in flat if type(number) is int and 0 <= number < valid}
    if not ends:
        raise CheckpointError(
            f"No file of {folder.name} names the token that ends an answer; add eos_token_id to generation_config.json."
        )
    return tuple(sorted(ends))


def _display_name(folder: Path) -> str:
    """The folder's name, or the repository's when the folder is a snapshot inside a Hugging Face cache."""
    resolved = folder.resolve()
    if resolved.parent.name == "snapshots" and resolved.parent.parent.name.startswith("models--"):
        return resolved.parent.parent.name.split("--")[-1]
    return resolved.name

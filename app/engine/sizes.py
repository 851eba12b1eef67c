"""How many bytes each part of a checkpoint will take on a GPU, before anything of it is read.

Knows: the configuration, which linears are packed and with what rank, how the kernels lay a matrix out, what reading a
chunk or a picture takes meanwhile. Does not know: torch, files, how much memory there is. What is allocated is rounded
up by the driver and by torch; `_ROUNDED` allows for that, and `tests/bench/plan_check.py` compares it all with a GPU.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.engine.config import ModelConfig, TextConfig, VisionConfig, text_prefix
from app.engine.layout import Shape, linear_shapes, plain_shapes, vision_shapes
from app.plan import Sizes

MIB = 2**20
CHUNK = 2048
"""Tokens of a prompt that are read at once on a GPU."""
PIECE = 16_384
"""Tokens whose keys and values, kept in bytes, are numbers at once while a chunk attends to them."""
SPAN = 64
"""Numbers of a key or value that share a scale in bytes, if a head's width is a multiple; else all of a head do."""
FEWEST_PATCHES = 16_384
"""Patches of a clip that pass the vision tower at once, if a picture cannot have more."""
HEAD_GROUPS = 4
"""In how many parts the heads attend if there are more patches."""
PATCHES_AT_ONCE = 4096
"""Patches that pass a linear of the vision tower at once, so that its wide middle stays small."""
CONTEXT = 544 * MIB
"""What the driver takes for a process that uses the GPU at all."""
LIBRARIES = 320 * MIB
"""What torch's kernels, the matrix library's work space and the kernels of our own take once they are used."""
_ROUNDED = 1.004
_NARROW, _WIDE = 2, 4  # bytes of bf16 and fp32
_DELTA_TOKENS = 2048  # as in `kernels/prefill.py`
_HALF = 0.55
"""The larger part of gate and up, which are made in two: how they are cut follows from the GPU, so somewhat more."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a checkpoint says of itself: its packed linears with their bits and their corrections' ranks, and the pixels
    of the largest picture that its processor lets through."""

    config: ModelConfig
    bits: Mapping[str, int]
    rank: Callable[[str], int]
    pixels: int = 0

    def ranks(self, linear: str) -> int:
        """The rank that the kernels work with: filled up to a multiple of 32, 0 for a linear that is not packed."""
        return -(-self.rank(linear) // 32) * 32 if linear in self.bits else 0


def gpu_sizes(contents: Contents, *, kv_bits: int = 16, context_taken: bool) -> Sizes:
    """The parts' bytes on a GPU. `context_taken`: the driver has taken its share already, and free memory is what is
    left beside that."""
    config = contents.config
    text, vision = config.text, config.vision
    table = text.vocab_size * text.hidden_size * _NARROW
    return Sizes(
        weights=int(_ROUNDED * (text_bytes(contents) + (table if text.tied_head else 0))),
        embeddings=0 if text.tied_head else table,
        tower=int(_ROUNDED * _NARROW * _numbers(vision_shapes(vision))) if vision else 0,
        token=token_bytes(text, kv_bits),
        state=state_bytes(text),
        workspace=workspace_bytes(contents, kv_bits),
        library=LIBRARIES + (0 if context_taken else CONTEXT),
        most=config.native_context,
    )


def workspace_bytes(contents: Contents, kv_bits: int = 16) -> int:
    """Bytes that reading takes at its height: what is kept for it, and either the largest picture in the tower or its
    embeddings beside a chunk of text."""
    text, vision = contents.config.text, contents.config.vision
    passing = passing_bytes(text, kv_bits=kv_bits)
    if vision is not None:
        patches = max(FEWEST_PATCHES, contents.pixels // vision.patch**2)
        seen = patches // vision.merge**2 * vision.out_hidden_size * _NARROW
        passing = max(passing + seen, vision_bytes(vision, patches))
    return held_bytes(contents) + passing


def token_bytes(text: TextConfig, bits: int = 16) -> int:
    """Bytes of one token's keys and values in all layers; those in bytes come with their scales."""
    vectors = 2 * text.layer_kinds.count("full_attention") * text.kv_heads
    return vectors * (text.head_dim * bits // 8 + (spans(text.head_dim) * _NARROW if bits < 16 else 0))


def spans(width: int) -> int:
    """How many scales a head of such a width has in bytes."""
    return width // SPAN if width % SPAN == 0 else 1


def state_bytes(text: TextConfig, narrow: int = _NARROW) -> int:
    """Bytes of the DeltaNet states, fp32, and of their convolutions' windows in `narrow` bytes a number."""
    recurrent = text.linear_value_heads * text.linear_key_dim * text.linear_value_dim * _WIDE
    window = (text.conv_kernel - 1) * text.conv_channels * narrow
    return text.layer_kinds.count("linear_attention") * (recurrent + window)


def text_bytes(contents: Contents) -> int:
    """Bytes of the language model without its embedding table: matrices as the kernels have them, the rest fp32."""
    config = contents.config
    shapes, prefix = linear_shapes(config), text_prefix(config)
    plain = plain_shapes(config)
    plain.pop(f"{prefix}embed_tokens.weight")
    total = _WIDE * _numbers(plain)
    for index, kind in enumerate(config.text.layer_kinds):
        layer = f"{prefix}layers.{index}."
        for group in _MATRICES[kind]:
            total += _matrix(contents, {layer + name: shapes[layer + name] for name in group})
    text = config.text
    return total + _tiled_plain(text.vocab_size, text.hidden_size)


_MLP = (("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",))
_GATES = ("linear_attn.in_proj_a", "linear_attn.in_proj_b")
_MATRICES = {
    "full_attention": (
        ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        ("self_attn.o_proj",),
        *_MLP,
    ),
    "linear_attention": (
        ("linear_attn.in_proj_qkv", "linear_attn.in_proj_z"),
        ("linear_attn.out_proj",),
        _GATES,
        *_MLP,
    ),
}
"""Which linears of a layer become one matrix."""
_OUT = {"full_attention": "self_attn.o_proj", "linear_attention": "linear_attn.out_proj"}


def _matrix(contents: Contents, shapes: Mapping[str, Shape]) -> int:
    """Bytes of linears with the same input that are kept above each other (`kernels/linear.py`, `Tiled`)."""
    bits = {contents.bits.get(name, 0) for name in shapes}
    if bits == {0}:
        plain = _NARROW * _numbers(shapes)
        # DeltaNet's gates are kept as they are, and once more among the rows that are multiplied beside EoRA's A.
        return 2 * plain if all(name.endswith(_GATES) for name in shapes) else plain
    inputs = next(iter(shapes.values()))[1]
    outputs = sum(out for out, _ in shapes.values())
    each = max(contents.ranks(name) for name in shapes)
    units = inputs * max(bits) // 512 + each // 32
    tiles = outputs // 16
    orders = 4 * inputs * len(shapes)
    return tiles * (1024 * units + 32 * (inputs // 128) + 16) + orders + _NARROW * each * len(shapes) * inputs


def _tiled_plain(outputs: int, inputs: int) -> int:
    return outputs * inputs * _NARROW + outputs + 4 * inputs


def held_bytes(contents: Contents, chunk: int = CHUNK) -> int:
    """Bytes that `kernels/prefill.py` keeps for reading `chunk` tokens at once: room for the largest matrix as bf16
    numbers or for DeltaNet's chunks, and for what is on its way from one linear to the next."""
    text, shapes, prefix = contents.config.text, linear_shapes(contents.config), text_prefix(contents.config)
    dense = ranks = mixer = 0
    for index, kind in enumerate(text.layer_kinds):
        for group in _MATRICES[kind]:
            names = [f"{prefix}layers.{index}.{name}" for name in group]
            outputs, inputs = sum(shapes[name][0] for name in names), shapes[names[0]][1]
            part = _HALF if len(group) > 1 and group in _MLP else 1
            dense = max(dense, int(part * outputs * inputs * _NARROW))
            ranks = max(ranks, sum(contents.ranks(name) for name in names) * inputs * _NARROW)
            if group[0].endswith(("in_proj_qkv", "q_proj")):
                after = shapes[f"{prefix}layers.{index}.{_OUT[kind]}"][1]
                wide = _NARROW * (len(names) * inputs + outputs + 2 * after) + 8 * text.linear_value_heads
                mixer = max(mixer, wide)
    mlp = _NARROW * (text.hidden_size + int((1 + 2 * _HALF) * text.intermediate_size))
    arena = chunk * (6 * text.hidden_size + max(mixer, mlp))
    return max(dense, _delta_bytes(text, _DELTA_TOKENS)) + ranks + arena


def passing_bytes(text: TextConfig, chunk: int = CHUNK, kv_bits: int = 16) -> int:
    """Bytes that come and go beside those while a chunk is read: its embeddings, attention's queries and results; of
    keys and values in bytes also a piece as numbers, and the sum over the pieces."""
    queries = text.heads * text.head_dim
    passing = chunk * _NARROW * (2 * text.hidden_size + 4 * queries)
    if kv_bits == 16:
        return passing
    return passing + 2 * (PIECE + chunk) * text.kv_heads * text.head_dim * _NARROW + 2 * chunk * queries * _WIDE


def _delta_bytes(text: TextConfig, tokens: int) -> int:
    keys, heads = text.linear_key_heads, text.linear_value_heads
    return tokens * (256 * (2 * keys + heads) + 640 * heads + 512 * keys + 8 * heads)


def vision_bytes(vision: VisionConfig, patches: int) -> int:
    """Bytes that a picture of so many patches takes at its height: the stream, what each patch sees, some heads'
    queries, keys and values, the turns of all places; a piece that is turned, or in the wide middle; two layers'
    weights on their way."""
    width, narrow = vision.hidden_size, vision.hidden_size * _NARROW
    groups = HEAD_GROUPS if patches > FEWEST_PATCHES else 1
    whole = patches * (2 * narrow + 3 * -(-narrow // groups) + 2 * width // vision.heads * _WIDE)
    piece = min(patches, PATCHES_AT_ONCE) * max(7 * width * _WIDE, 4 * narrow + 2 * vision.intermediate_size * _NARROW)
    layer = _NARROW * (4 * width**2 + 2 * width * vision.intermediate_size)
    return whole + piece + 2 * layer


def _numbers(shapes: Mapping[str, Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())

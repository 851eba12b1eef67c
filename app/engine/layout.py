"""Which tensors a model of this architecture has, by name and shape.

Knows: names and shapes, from the configuration alone. Does not know: files, or which linears are quantized.
"""

from app.engine.config import ModelConfig, TextConfig, VisionConfig, text_prefix

Shape = tuple[int, ...]


def linear_shapes(config: ModelConfig) -> dict[str, Shape]:
    """The language model's linears that may be quantized: module name → (out, in)."""
    text = config.text
    shapes: dict[str, Shape] = {}
    for index, kind in enumerate(text.layer_kinds):
        layer = f"{text_prefix(config)}layers.{index}."
        inner = _attention_linears(text) if kind == "full_attention" else _delta_linears(text)
        inner |= {
            "mlp.gate_proj": (text.intermediate_size, text.hidden_size),
            "mlp.up_proj": (text.intermediate_size, text.hidden_size),
            "mlp.down_proj": (text.hidden_size, text.intermediate_size),
        }
        shapes |= {layer + name: shape for name, shape in inner.items()}
    if not text.tied_head:
        shapes["lm_head"] = (text.vocab_size, text.hidden_size)
    return shapes


def plain_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Every other tensor of the language model, with its full name."""
    text, prefix = config.text, text_prefix(config)
    shapes: dict[str, Shape] = {
        f"{prefix}embed_tokens.weight": (text.vocab_size, text.hidden_size),
        f"{prefix}norm.weight": (text.hidden_size,),
    }
    for index, kind in enumerate(text.layer_kinds):
        layer = f"{prefix}layers.{index}."
        shapes[f"{layer}input_layernorm.weight"] = (text.hidden_size,)
        shapes[f"{layer}post_attention_layernorm.weight"] = (text.hidden_size,)
        if kind == "full_attention":
            shapes[f"{layer}self_attn.q_norm.weight"] = (text.head_dim,)
            shapes[f"{layer}self_attn.k_norm.weight"] = (text.head_dim,)
        else:
            shapes[f"{layer}linear_attn.conv1d.weight"] = (text.conv_channels, 1, text.conv_kernel)
            shapes[f"{layer}linear_attn.A_log"] = (text.linear_value_heads,)
            shapes[f"{layer}linear_attn.dt_bias"] = (text.linear_value_heads,)
            shapes[f"{layer}linear_attn.norm.weight"] = (text.linear_value_dim,)
    return shapes


def vision_shapes(vision: VisionConfig) -> dict[str, Shape]:
    """Every tensor of the vision tower, with its full name."""
    hidden, wide = vision.hidden_size, vision.hidden_size * vision.merge**2
    shapes: dict[str, Shape] = {
        "patch_embed.proj.weight": (hidden, vision.channels, vision.temporal_patch, vision.patch, vision.patch),
        "patch_embed.proj.bias": (hidden,),
        "pos_embed.weight": (vision.position_grid**2, hidden),
        "merger.norm.weight": (hidden,),
        "merger.norm.bias": (hidden,),
        "merger.linear_fc1.weight": (wide, wide),
        "merger.linear_fc1.bias": (wide,),
        "merger.linear_fc2.weight": (vision.out_hidden_size, wide),
        "merger.linear_fc2.bias": (vision.out_hidden_size,),
    }
    for index in range(vision.depth):
        for name, out, into in (
            ("attn.qkv", 3 * hidden, hidden),
            ("attn.proj", hidden, hidden),
            ("mlp.linear_fc1", vision.intermediate_size, hidden),
            ("mlp.linear_fc2", hidden, vision.intermediate_size),
        ):
            shapes[f"blocks.{index}.{name}.weight"] = (out, into)
            shapes[f"blocks.{index}.{name}.bias"] = (out,)
        for name in ("norm1", "norm2"):
            shapes[f"blocks.{index}.{name}.weight"] = (hidden,)
            shapes[f"blocks.{index}.{name}.bias"] = (hidden,)
    return {f"model.visual.{name}": shape for name, shape in shapes.items()}


def _attention_linears(text: TextConfig) -> dict[str, Shape]:
    wide, narrow = text.heads * text.head_dim, text.kv_heads * text.head_dim
    return {
        "self_attn.q_proj": (2 * wide, text.hidden_size),
        "self_attn.k_proj": (narrow, text.hidden_size),
        "self_attn.v_proj": (narrow, text.hidden_size),
        "self_attn.o_proj": (text.hidden_size, wide),
    }


def _delta_linears(text: TextConfig) -> dict[str, Shape]:
    values = text.linear_value_heads * text.linear_value_dim
    return {
        "linear_attn.in_proj_qkv": (text.conv_channels, text.hidden_size),
        "linear_attn.in_proj_z": (values, text.hidden_size),
        "linear_attn.in_proj_b": (text.linear_value_heads, text.hidden_size),
        "linear_attn.in_proj_a": (text.linear_value_heads, text.hidden_size),
        "linear_attn.out_proj": (text.hidden_size, values),
    }

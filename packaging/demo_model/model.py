"""The demo model's shape, its folder of configuration files, and the head that predicts one token further.

The network itself is transformers' own `Qwen3_5ForConditionalGeneration`; transformers does not run the MTP layer, so
that is here, with the tensor names of the large model.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5DecoderLayer, Qwen3_5RMSNorm

from demo_model import vocabulary

LAYERS, HIDDEN = 8, 256
PIXELS_PER_TOKEN = 32 * 32
FRAME_TOKENS, MAX_FRAMES = 25, 20
IMAGE_PROCESSOR: dict[str, Any] = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen3VLProcessor",
    "size": {"shortest_edge": 64 * PIXELS_PER_TOKEN, "longest_edge": 80 * PIXELS_PER_TOKEN},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
VIDEO_PROCESSOR: dict[str, Any] = {
    "video_processor_type": "Qwen3VLVideoProcessor",
    "processor_class": "Qwen3VLProcessor",
    "size": {"shortest_edge": 24 * PIXELS_PER_TOKEN, "longest_edge": MAX_FRAMES * FRAME_TOKENS * PIXELS_PER_TOKEN},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "fps": 2,
    "min_frames": 4,
    "max_frames": 768,
    "cap_pixels_per_frame": True,
    "max_video_tokens": FRAME_TOKENS,
}


def text_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """The language model's part of the configuration."""
    return {
        "model_type": "qwen3_5_text",
        "vocab_size": vocabulary.PADDED_SIZE,
        "hidden_size": HIDDEN,
        "intermediate_size": 512,
        "num_hidden_layers": LAYERS,
        "full_attention_interval": 4,
        "layer_types": ["full_attention" if (i + 1) % 4 == 0 else "linear_attention" for i in range(LAYERS)],
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "attn_output_gate": True,
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "mamba_ssm_dtype": "float32",
        "max_position_embeddings": 32768,
        "mtp_num_hidden_layers": 1,
        "mtp_use_dedicated_embeddings": False,
        "partial_rotary_factor": 0.25,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000_000,
            "partial_rotary_factor": 0.25,
            "mrope_interleaved": True,
            "mrope_section": [11, 11, 10],
        },
        "tie_word_embeddings": False,
        "eos_token_id": vocabulary.token_id(tokenizer, "<|endoftext|>"),
    }


def config(tokenizer: Tokenizer) -> Qwen3_5Config:
    """The whole configuration, with the ids of this tokenizer."""
    vision = {
        "model_type": "qwen3_5",
        "depth": 5,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_heads": 4,
        "in_channels": 3,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": HIDDEN,
        "num_position_embeddings": 256,
        "deepstack_visual_indexes": [],
    }
    return Qwen3_5Config(
        text_config=text_config(tokenizer),
        vision_config=vision,
        image_token_id=vocabulary.token_id(tokenizer, "<|image_pad|>"),
        video_token_id=vocabulary.token_id(tokenizer, "<|video_pad|>"),
        vision_start_token_id=vocabulary.token_id(tokenizer, "<|vision_start|>"),
        vision_end_token_id=vocabulary.token_id(tokenizer, "<|vision_end|>"),
        tie_word_embeddings=False,
        architectures=["Qwen3_5ForConditionalGeneration"],
    )


class Mtp(nn.Module):
    """Predicts the token after the next one from the model's last hidden state and the next token's embedding."""

    def __init__(self, text: Qwen3_5TextConfig) -> None:
        super().__init__()
        size, eps = text.hidden_size, text.rms_norm_eps
        last = len(text.layer_types or []) - 1
        self.fc = nn.Linear(2 * size, size, bias=False)
        self.pre_fc_norm_embedding = Qwen3_5RMSNorm(size, eps=eps)
        self.pre_fc_norm_hidden = Qwen3_5RMSNorm(size, eps=eps)
        self.layers = nn.ModuleList([Qwen3_5DecoderLayer(text, last)])
        self.norm = Qwen3_5RMSNorm(size, eps=eps)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=text.initializer_range)

    def forward(self, embedded: Tensor, hidden: Tensor, position_embeddings: tuple[Tensor, Tensor]) -> Tensor:
        """[B, T, H] embeddings of tokens 1…T and hidden states of tokens 0…T-1; normalized states out."""
        both = torch.cat([self.pre_fc_norm_embedding(embedded), self.pre_fc_norm_hidden(hidden)], dim=-1)
        out = self.layers[0](self.fc(both), position_embeddings=position_embeddings, attention_mask=None)
        normed: Tensor = self.norm(out)
        return normed


def build(tokenizer: Tokenizer, seed: int = 0) -> tuple[Qwen3_5ForConditionalGeneration, Mtp]:
    """A fresh model with random weights, and its MTP layer."""
    torch.manual_seed(seed)
    model = Qwen3_5ForConditionalGeneration(config(tokenizer))
    for module in model.model.language_model.layers:
        if module.block_type == "linear_attention":
            nn.init.uniform_(module.linear_attn.A_log, -4.0, 1.5)
    text: Any = model.config.text_config
    return model, Mtp(text)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A configuration file as people read it."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_companions(folder: Path, tokenizer: Tokenizer) -> None:
    """Everything beside the weights and config.json: tokenizer, template, generation and processors."""
    vocabulary.write(folder, tokenizer)
    shutil.copyfile(Path(__file__).with_name("chat_template.jinja"), folder / "chat_template.jinja")
    write_json(folder / "preprocessor_config.json", IMAGE_PROCESSOR)
    write_json(folder / "video_preprocessor_config.json", VIDEO_PROCESSOR)
    end = [vocabulary.token_id(tokenizer, "<|im_end|>"), vocabulary.token_id(tokenizer, "<|endoftext|>")]
    generation = {
        "do_sample": True,
        "temperature": 1.0,
        "top_p": 0.95,
        "top_k": 20,
        "eos_token_id": end,
        "pad_token_id": end[1],
    }
    write_json(folder / "generation_config.json", generation)

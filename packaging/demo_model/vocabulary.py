"""The demo model's tokenizer: byte-level BPE over its own texts, with the special tokens of the large model.

The digits are one token each, as in the large model. A few ids at the end of the padded vocabulary belong to no
token, so that a program must mask them.
"""

import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE

from demo_model import conversations, phrases, pictures, videos, writing

PADDED_SIZE = 1280
INVALID = 6
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def texts(seed: int, count: int) -> list[str]:
    """What the vocabulary is trained on: every kind of turn, and stories less often than they are long."""
    rng = random.Random(seed)
    found: list[str] = []
    for _ in range(count):
        for conversation in (
            conversations.short_conversation(rng),
            pictures.conversation(rng, pictures.Frame(256, 256)),
            videos.conversation(rng, 160, 160),
        ):
            for turn in conversation.turns:
                found += [turn.user, turn.thinking, turn.answer]
    for _ in range(count // 20):
        found += [writing.story(rng), conversations.prose(rng, 60)]
    found += [
        text for questions, thinking, answer in phrases.CHAT.values() for text in (*questions, thinking, answer)
    ] * 3
    found += [f"<{i / 4:.1f} seconds>" for i in range(40)] * 20
    return found


def train(seed: int = 1, count: int = 4000) -> Tokenizer:
    """A fresh tokenizer with `PADDED_SIZE - INVALID` tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    size = PADDED_SIZE - INVALID - len(SPECIAL) - len(MARKS)
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts(seed, count), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKS])
    return tokenizer


TOKENIZER_CONFIG = {
    "tokenizer_class": "Qwen2Tokenizer",
    "model_max_length": 32768,
    "add_prefix_space": False,
    "clean_up_tokenization_spaces": False,
    "split_special_tokens": False,
    "errors": "replace",
    "bos_token": None,
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "unk_token": None,
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "processor_class": "Qwen3VLProcessor",
}


def write(folder: Path, tokenizer: Tokenizer) -> None:
    """tokenizer.json and tokenizer_config.json, as the large model has them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG, indent=2) + "\n", encoding="utf-8")


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that the vocabulary has."""
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise KeyError(token)
    return found


def load(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))

"""The demo model is read as GPTQModel and transformers read it, and answers as transformers in fp32 does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from app.engine.checkpoint import Checkpoint
from app.engine.load import LoadedModel, open_model
from app.paths import demo_model_dir
from app.protocol import Media
from tests.engine.conftest import no_progress, transformers_model
from tests.engine.prompts import build
from tests.engine.test_model import compare_greedy
from tests.media.corpus import moving_square, shape

FOLDER = demo_model_dir()
TOLERANCE = 2e-4  # fp32; the logits of a trained model are larger than those of a random one
TOKENS = 16


@pytest.fixture(scope="module")
def ours() -> LoadedModel:
    return open_model(FOLDER, "cpu", "parley", no_progress)


@pytest.fixture(scope="module")
def reference() -> Any:
    """transformers with weights that GPTQModel expanded, and each weight's correction added."""
    from tests.gptq import PARTS, read

    checkpoint, cpu = Checkpoint(FOLDER), torch.device("cpu")
    v2 = json.loads((FOLDER / "quantize_config.json").read_text()).get("checkpoint_format") == "gptq_v2"
    others = (*(f"{linear}." for linear in checkpoint.packed_bits), "mtp.")
    plain = [name for name in checkpoint.shards if not name.startswith(others)]
    tensors = {name: checkpoint.plain(name, cpu).float() for name in plain}
    for linear, bits in checkpoint.packed_bits.items():
        weight = read({part: checkpoint.plain(f"{linear}.{part}", cpu) for part in PARTS}, bits, v2=v2)
        eora = checkpoint.correction(linear, cpu)
        assert eora is not None, "the demo model comes with EoRA"
        tensors[f"{linear}.weight"] = weight + (eora.a.float() @ eora.b.float()).T
    return transformers_model(FOLDER, tensors)


def ids(text: str) -> list[int]:
    """Tokens of a piece of a rendered conversation."""
    found: list[int] = Tokenizer.from_file(str(FOLDER / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    return found


def circle(folder: Path) -> Media:
    file, drawn = folder / "circle.rgb", shape("circle", "red", (200, 140))
    file.write_bytes(drawn.tobytes())
    return Media("image", "circle", "digest", str(file), *drawn.size)


def clip(folder: Path) -> Media:
    file, frames = folder / "clip.rgb", moving_square("left", 4, (128, 128))
    file.write_bytes(b"".join(frame.tobytes() for frame in frames))
    return Media("video", "clip", "digest", str(file), 128, 128, 4, (0, 13, 26, 39), 40, 30.0, 4 / 3)


def test_text_and_several_turns(ours: LoadedModel, reference: Any) -> None:
    turns = "<|im_start|>user\nMy name is Ada.<|im_end|>\n<|im_start|>assistant\nNice to meet you, Ada.<|im_end|>\n"
    asked = "<|im_start|>user\nWhat is my name?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    compare_greedy(ours, reference, FOLDER, build(ours, [ids(turns + asked)]), TOKENS, tolerance=TOLERANCE)


@pytest.mark.parametrize("seen", [circle, clip])
def test_pictures_and_clips(ours: LoadedModel, reference: Any, tmp_path: Path, seen: Any) -> None:
    question = ids("What do you see?<|im_end|>\n<|im_start|>assistant\n<think>\n")
    prompt = build(ours, [ids("<|im_start|>user\n"), seen(tmp_path), question])
    compare_greedy(ours, reference, FOLDER, prompt, TOKENS, tolerance=TOLERANCE)

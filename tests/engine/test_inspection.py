"""What is found in a model folder without loading it."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from app.engine.capacity import gpu_plan
from app.engine.checkpoint import Checkpoint
from app.engine.errors import CheckpointError
from app.engine.inspection import inspected
from app.engine.prompt import PromptError
from app.engine.rope import YARN_WARNING
from app.engine.sizes import CONTEXT
from tests.checkpoints import EORA_RANK, Made, dense


def test_a_quantized_folder(made: Made) -> None:
    found = inspected(made.folder, 2048, 1, 30 * 10**9)
    model, memory = found["model"], found["memory"]
    assert model["layers"] == {"gated_delta": 3, "full_attention": 1}
    assert model["linears"]["self_attn"] == {"INT8": 4}
    assert model["eora"]["ranks"] == [EORA_RANK]
    assert model["bytes"] == sum(file.stat().st_size for file in made.folder.rglob("*.safetensors"))
    assert memory["needed"] == gpu_plan(Checkpoint(made.folder), 2048, 30 * 10**9).needed + CONTEXT


def test_what_is_odd_is_said(tmp_path: Path) -> None:
    folder = dense(tmp_path / "model").folder
    file = next(folder.glob("*.safetensors"))
    tensors = load_file(file)
    save_file({**tensors, "model.extra.weight": tensors["lm_head.weight"].clone()}, file)
    shutil.move(folder / "chat_template.jinja", folder / "elsewhere.jinja")
    model = inspected(folder, None, 2, None)["model"]
    assert model["template"] is False
    odd = " ".join(model["odd"])
    assert "1 tensors mean nothing to Parley and are not read (model.extra.weight)." in odd
    assert "chat" in odd
    assert YARN_WARNING in odd


def test_what_cannot_be_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        inspected(tmp_path, None, 1, None)
    with pytest.raises(PromptError, match=r"4,096 tokens and 5,000 .* or stretch its positions with YaRN"):
        inspected(made.folder, 5000, 1, None)
    assert inspected(made.folder, 5000, 2, 10**10)["memory"]["fits"]

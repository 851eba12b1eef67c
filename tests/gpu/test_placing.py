"""What lies outside the GPU gives the same answers as on it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine import capacity, load
from app.engine.load import ParleyModel, open_model
from app.engine.rope import prompt_positions
from app.paths import demo_model_dir
from tests.engine.prompts import picture

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def report(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def test_a_parked_tower_and_a_table_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = demo_model_dir()
    usual = open_model(folder, "cuda", "parley", report)
    planned = capacity.gpu_plan

    def outside(*arguments: Any) -> Any:
        return replace(planned(*arguments), tower_parked=True, embeddings_outside=True)

    monkeypatch.setattr(load, "gpu_plan", outside)
    spread = open_model(folder, "cuda", "parley", report)
    assert isinstance(spread, ParleyModel)
    assert spread.text.table.device.type == "cpu"
    assert spread.vision_bytes == 0
    assert spread.weight_bytes < usual.weight_bytes
    assert usual.vision is not None
    assert spread.vision is not None
    media = usual.vision.prepare(picture(tmp_path, 333, 517))
    assert torch.equal(usual.vision.encode(media), spread.vision.encode(media))
    ids = torch.arange(100)
    embedded = [model.embed(ids) for model in (usual, spread)]
    assert embedded[1].device.type == "cuda"
    assert torch.equal(*embedded)
    positions, _ = prompt_positions(100, [], 2)
    logits = [model.forward(model.embed(ids), positions, model.new_state(300)) for model in (usual, spread)]
    assert torch.equal(*logits)


def test_a_large_picture_takes_no_more_than_was_planned(tmp_path: Path) -> None:
    model = open_model(demo_model_dir(), "cuda", "parley", report)
    assert isinstance(model, ParleyModel)
    assert model.vision is not None
    assert model.plan is not None
    media = model.vision.prepare(picture(tmp_path, 1600, 1200))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    model.vision.encode(media)
    assert torch.cuda.max_memory_allocated() - before < model.plan.sizes.workspace

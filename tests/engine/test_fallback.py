"""GPTQModel as the engine: the same answers through the same interface, up to bf16."""

import json
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch

from app.engine import fallback
from app.engine.checkpoint import Checkpoint
from app.engine.errors import CheckpointError, NotEnoughMemoryError
from app.engine.load import LoadedModel, open_model
from app.engine.rope import text_positions
from tests.checkpoints import EoraForm, Made, dense, quantized
from tests.engine.conftest import no_progress
from tests.engine.prompts import build, embeddings, picture

GPU = torch.device("cuda", 0)


def open_with_gptqmodel(folder: Path) -> LoadedModel:
    import tests.foreign  # noqa: F401 - its warnings are not ours

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_model(folder, "cpu", "gptqmodel", no_progress)


@pytest.mark.parametrize("form", ["subfolder", "beside"])
def test_same_logits_and_snapshots(tmp_path: Path, form: EoraForm) -> None:
    made = quantized(tmp_path / form, seed=4, eora=form)
    other, ours = open_with_gptqmodel(made.folder), open_model(made.folder, "cpu", "parley", no_progress)
    prompt = build(ours, [list(range(40)), picture(tmp_path, 96, 96), list(range(90, 120))])
    embedded, positions, delta = embeddings(ours, prompt)
    ours_state, state = ours.new_state(200), other.new_state(200)
    wanted = ours.forward(embedded, positions, ours_state)
    other.forward(embedded[:50], positions[:, :50], state)
    kept = state.snapshot()
    logits = other.forward(embedded[50:], positions[:, 50:], state)
    assert (logits - wanted).square().mean().sqrt() < 0.05 * wanted.std()
    state.rope_delta = delta
    following = text_positions(state.length, state.length + 1, delta)
    one = other.forward(other.embed(torch.tensor([3])), following, state)
    assert (one - ours.forward(ours.embed(torch.tensor([3])), following, ours_state)).square().mean().sqrt() < 0.05
    state.restore(kept)
    assert torch.equal(other.forward(embedded[50:], positions[:, 50:], state), logits)
    state.reset()
    assert state.length == 0
    assert other.notes
    assert other.vision is not None
    assert other.weight_bytes < ours.weight_bytes / 2


def test_what_gptqmodel_cannot_run_is_said(tmp_path: Path, made: Made) -> None:
    plain = dense(tmp_path / "plain")
    with pytest.raises(CheckpointError, match="not quantized"):
        open_model(plain.folder, "cpu", "gptqmodel", no_progress)
    scaled = Path(shutil.copytree(made.folder, tmp_path / "scaled"))
    adapter = scaled / "eora" / "adapter_config.json"
    adapter.write_text(json.dumps(json.loads(adapter.read_text()) | {"lora_alpha": 3}))
    with pytest.raises(CheckpointError, match="scaled EoRA"):
        open_model(scaled, "cpu", "gptqmodel", no_progress)


def test_a_small_gpu_keeps_what_fits(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(made.folder)
    monkeypatch.setattr(fallback, "_ROOM", 0)
    monkeypatch.setattr(Checkpoint, "stored_bytes", lambda _checkpoint, _name: 1000)
    resident = []
    for room in range(0, 200_000, 1000):
        monkeypatch.setattr(fallback, "free_memory", lambda _device, room=room: room)
        try:
            placement = fallback.place(checkpoint, GPU)
        except NotEnoughMemoryError:
            continue
        layers = [where for name, where in placement.items() if ".layers." in name]
        assert layers == sorted(layers, reverse=True), "the first layers stay"
        resident.append(layers.count("cuda:0") if layers else 4)
        assert placement.get("lm_head", placement.get("")) == "cuda:0"
    assert resident == sorted(resident)
    assert {0, 1, 4} <= set(resident)


def test_a_gpu_without_any_room(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "free_memory", lambda _device: 1000)
    with pytest.raises(NotEnoughMemoryError, match="choose the CPU"):
        fallback.place(Checkpoint(made.folder), GPU)


def test_an_installation_without_gptqmodel_says_so(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gptqmodel", None)
    with pytest.raises(CheckpointError, match="not part of this installation"):
        open_model(made.folder, "cpu", "gptqmodel", no_progress)

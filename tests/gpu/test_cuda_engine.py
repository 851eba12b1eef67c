"""The engine on a GPU: packed weights, bf16, the same answers as fp32 on the CPU up to that."""

from pathlib import Path

import pytest
import torch

from app.engine.load import LoadedModel, open_model
from app.engine.quantized import QuantizedLinear, expand
from app.engine.rope import text_positions
from app.paths import demo_model_dir
from tests.engine.prompts import build, clip, embeddings, picture

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def report(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def pair() -> tuple[LoadedModel, LoadedModel]:
    """The demo model on both: it needs nothing that a GPU machine might lack."""
    folder = demo_model_dir()
    return open_model(folder, "cuda", "parley", report), open_model(folder, "cpu", "parley", report)


def test_prompt_with_media_then_tokens(pair: tuple[LoadedModel, LoadedModel], tmp_path: Path) -> None:
    prompt = build(pair[1], [list(range(70)), picture(tmp_path, 200, 120), clip(tmp_path, 5, 96, 64), [1, 2, 3]])
    runs = []
    for model in pair:
        embedded, positions, delta = embeddings(model, prompt)
        assert embedded.device.type == model.device.type
        state = model.new_state(len(prompt.ids) + 10)
        state.rope_delta = delta
        rows = [
            model.forward(embedded[:90], positions[:, :90], state),
            model.forward(embedded[90:], positions[:, 90:], state),
        ]
        for token in (5, 6, 7):
            following = text_positions(state.length, state.length + 1, delta)
            rows.append(model.forward(model.embed(torch.tensor([token])), following, state))
        runs.append(torch.stack([row.cpu() for row in rows]))
    error = (runs[0] - runs[1]).square().mean().sqrt() / runs[1].square().mean().sqrt()
    assert error < 0.1


def test_weights_stay_packed_and_are_read_alike(pair: tuple[LoadedModel, LoadedModel]) -> None:
    assert pair[0].weight_bytes < pair[1].weight_bytes / 2
    assert pair[0].notes
    assert "NVIDIA" in pair[0].device_name
    linear = pair[0].text.layers[0].mlp.gate  # type: ignore[attr-defined]  # the protocol does not show a model's parts
    twin = pair[1].text.layers[0].mlp.gate  # type: ignore[attr-defined]
    assert isinstance(linear, QuantizedLinear)
    assert linear.eora is not None
    seen = expand(linear.packed, None, torch.float32).cpu() + (linear.eora.a.float() @ linear.eora.b.float()).T.cpu()
    assert torch.allclose(seen, twin.weight, atol=1e-3)


def test_a_snapshot_on_the_gpu(pair: tuple[LoadedModel, LoadedModel]) -> None:
    model = pair[0]
    state = model.new_state(100)
    positions = text_positions(0, 50, 0)
    embedded = model.embed(torch.arange(50))
    model.forward(embedded[:30], positions[:, :30], state)
    kept = state.snapshot()
    first = model.forward(embedded[30:], positions[:, 30:], state)
    state.restore(kept)
    assert torch.equal(model.forward(embedded[30:], positions[:, 30:], state), first)

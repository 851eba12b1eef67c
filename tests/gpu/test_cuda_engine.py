"""The engine on a GPU: packed weights, bf16, the same answers as fp32 on the CPU up to that."""

from pathlib import Path

import pytest
import torch

from app.engine import load
from app.engine.kernels.check import error
from app.engine.kernels.module import TiledLinear
from app.engine.kernels.runtime import KernelError
from app.engine.load import LoadedModel, ParleyModel, open_model
from app.engine.model import DeltaNet
from app.engine.quantized import DenseLinear
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


def test_weights_are_packed_and_read_alike(pair: tuple[LoadedModel, LoadedModel]) -> None:
    fast, plain = pair
    assert isinstance(fast, ParleyModel)
    assert isinstance(plain, ParleyModel)
    assert fast.decoder is not None
    assert fast.notes == ()
    assert fast.weight_bytes < plain.weight_bytes / 2
    assert "NVIDIA" in fast.device_name
    mixer, other = fast.text.layers[0].mixer, plain.text.layers[0].mixer
    assert isinstance(mixer, DeltaNet)
    assert isinstance(other, DeltaNet)
    linear, twin = mixer.qkv, other.qkv
    assert isinstance(linear, TiledLinear)
    assert isinstance(twin, DenseLinear)
    seen = linear(torch.eye(fast.config.text.hidden_size, device="cuda", dtype=torch.bfloat16))
    assert error(seen.T.cpu(), twin.weight.double()) < 0.01


def test_without_the_kernels_it_is_slow_and_says_so(
    pair: tuple[LoadedModel, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KernelError("The fast kernels compute wrong results on this GPU, so answers come slowly.")

    monkeypatch.setattr(load, "start_kernels", broken)
    slow = open_model(demo_model_dir(), "cuda", "parley", report)
    assert slow.notes == ("The fast kernels compute wrong results on this GPU, so answers come slowly.",)
    rows = []
    for model in (slow, pair[0]):
        state = model.new_state(40)
        model.forward(model.embed(torch.arange(30)), text_positions(0, 30, 0), state)
        rows.append(model.forward(model.embed(torch.tensor([7])), text_positions(30, 31, 0), state))
    assert error(rows[1], rows[0].double()) < 0.05


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

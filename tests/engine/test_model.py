"""The language model against transformers in fp32: text, turns, pictures, clips, however a prompt is cut."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.engine import load
from app.engine.load import LoadedModel, ParleyModel, open_model
from app.engine.quantized import QuantizedLinear
from app.engine.rope import prompt_positions, text_positions
from app.protocol import Media
from tests.checkpoints import Made, dense
from tests.engine.conftest import no_progress, transformers_model
from tests.engine.prompts import TOLERANCE, Prompt, build, clip, embeddings, picture, reference_logits


def text(length: int, seed: int = 0) -> list[int]:
    ids: list[int] = torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return ids


def run(model: LoadedModel, prompt: Prompt, cuts: tuple[int, ...] = ()) -> tuple[Tensor, Any]:
    """Logits after the prompt, read in pieces that end at `cuts`, and the state."""
    embedded, positions, delta = embeddings(model, prompt)
    state = model.new_state(len(prompt.ids) + 100)
    state.rope_delta = delta
    ends = [*cuts, len(prompt.ids)]
    for begin, end in zip([0, *cuts], ends, strict=True):
        logits = model.forward(embedded[begin:end], positions[:, begin:end], state)
    return logits, state


def step(model: LoadedModel, token: int, state: Any) -> Tensor:
    positions = text_positions(state.length, state.length + 1, state.rope_delta)
    return model.forward(model.embed(torch.tensor([token])), positions, state)


def compare_greedy(
    model: LoadedModel, reference: Any, folder: Path, prompt: Prompt, count: int, *, tolerance: float = TOLERANCE
) -> None:
    """Generate greedily; transformers recomputes everything for every token and must see the same logits and choose
    the same token wherever its two best are further apart than the error."""
    logits, state = run(model, prompt)
    generated: list[int] = []
    decided = 0
    for _ in range(count):
        wanted = reference_logits(reference, model, folder, prompt, generated)
        assert (logits - wanted).abs().max() < tolerance
        best = wanted.topk(2)
        if best.values[0] - best.values[1] > 2 * tolerance:
            assert int(logits.argmax()) == int(best.indices[0])
            decided += 1
        generated.append(int(logits.argmax()))
        logits = step(model, generated[-1], state)
    assert decided > count // 2


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 200])
def test_text(parley: LoadedModel, reference: Any, made: Made, length: int) -> None:
    prompt = build(parley, [text(length, seed=length)])
    logits, _ = run(parley, prompt)
    assert (logits - reference_logits(reference, parley, made.folder, prompt, [])).abs().max() < TOLERANCE


def test_greedy_text(parley: LoadedModel, reference: Any, made: Made) -> None:
    compare_greedy(parley, reference, made.folder, build(parley, [text(40)]), 12)


def test_picture_prompt(parley: LoadedModel, reference: Any, made: Made, tmp_path: Path) -> None:
    parts: list[list[int] | Media] = [
        text(9),
        picture(tmp_path, 200, 120),
        text(5, 1),
        picture(tmp_path, 64, 90, 2),
        text(12, 2),
    ]
    compare_greedy(parley, reference, made.folder, build(parley, parts), 6)


def test_video_prompt(parley: LoadedModel, reference: Any, made: Made, tmp_path: Path) -> None:
    parts: list[list[int] | Media] = [
        text(9),
        clip(tmp_path, 5, 100, 64),
        text(3, 1),
        picture(tmp_path, 96, 96),
        text(7, 2),
    ]
    compare_greedy(parley, reference, made.folder, build(parley, parts), 6)


def test_several_turns_go_on_from_the_state(parley: LoadedModel, reference: Any, made: Made, tmp_path: Path) -> None:
    prompt = build(parley, [text(30), picture(tmp_path, 128, 64), text(8, 1)])
    logits, state = run(parley, prompt)
    said = []
    for seed in (5, 6, 7):
        for _ in range(3):
            said.append(int(logits.argmax()))
            logits = step(parley, said[-1], state)
        asked = text(20, seed)
        said += asked
        positions = text_positions(state.length, state.length + len(asked), state.rope_delta)
        logits = parley.forward(parley.embed(torch.tensor(asked)), positions, state)
        assert (logits - reference_logits(reference, parley, made.folder, prompt, said)).abs().max() < TOLERANCE


@pytest.mark.parametrize("cuts", [(1,), (64,), (1, 2, 3, 90), (63, 127), (100, 101)])
def test_a_prompt_in_pieces_is_the_prompt(parley: LoadedModel, tmp_path: Path, cuts: tuple[int, ...]) -> None:
    prompt = build(parley, [text(50), picture(tmp_path, 96, 160), text(90, 1)])
    whole, _ = run(parley, prompt)
    pieces, state = run(parley, prompt, cuts)
    assert (whole - pieces).abs().max() < TOLERANCE
    assert state.length == len(prompt.ids)


def test_going_back_to_a_snapshot_forgets_what_came_after(parley: LoadedModel) -> None:
    prompt = build(parley, [text(70)])
    _, state = run(parley, prompt)
    kept = state.snapshot()
    first = [step(parley, token, state) for token in (1, 2, 3)]
    twin = state.clone()
    state.restore(kept)
    assert state.length == 70
    for token in (9, 8):
        step(parley, token, state)
    state.restore(kept)
    again = [step(parley, token, state) for token in (1, 2, 3)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(step(parley, 4, twin), step(parley, 4, state))
    assert 0 < kept.nbytes < state.nbytes
    state.reset()
    assert torch.equal(parley.forward(*embeddings(parley, prompt)[:2], state), run(parley, prompt)[0])


def test_a_full_state_takes_no_more(parley: LoadedModel) -> None:
    state = parley.new_state(4)
    positions, _ = prompt_positions(5, [], 2)
    with pytest.raises(ValueError, match="do not fit"):
        parley.forward(parley.embed(torch.arange(5)), positions, state)
    parley.forward(parley.embed(torch.arange(4)), positions[:, :4], state)
    with pytest.raises(ValueError, match="do not fit"):
        step(parley, 1, state)


@pytest.mark.parametrize("tied", [False, True])
def test_unquantized_weights(tmp_path: Path, tied: bool) -> None:
    whole = dense(tmp_path / "dense", tied=tied, shards=3, dtype=torch.bfloat16)
    model = open_model(whole.folder, "cpu", "parley", no_progress)
    assert model.config.precision == "BF16"
    table = whole.tensors["model.language_model.embed_tokens.weight"]
    tensors = whole.tensors | ({"lm_head.weight": table} if tied else {})
    prompt = build(model, [text(33)])
    wanted = reference_logits(transformers_model(whole.folder, tensors), model, whole.folder, prompt, [])
    assert (run(model, prompt)[0] - wanted).abs().max() < 20 * TOLERANCE  # these logits are larger when tied


def test_text_only_checkpoint(tmp_path: Path) -> None:
    whole = dense(tmp_path / "text-only", vision=False)
    model = open_model(whole.folder, "cpu", "parley", no_progress)
    assert model.vision is None
    assert model.vision_bytes == 0
    logits, _ = run(model, build(model, [text(10)]))
    assert logits.shape == (model.config.text.vocab_size,)


def test_the_packed_bf16_path_of_a_gpu(
    made: Made, reference: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a GPU runs, here on the CPU: packed weights, EoRA as two products, bf16 activations, fp32 states."""
    monkeypatch.setattr(load, "_activations", lambda _checkpoint, _device: torch.bfloat16)
    monkeypatch.setattr(load, "linear_for", QuantizedLinear)
    model = open_model(made.folder, "cpu", "parley", no_progress)
    assert isinstance(model, ParleyModel)
    assert model.text.dtype == torch.bfloat16
    prompt = build(model, [text(60), picture(tmp_path, 100, 100), text(20, 1)])
    logits, state = run(model, prompt, (77,))
    for token in (5, 6):
        wanted = reference_logits(reference, model, made.folder, prompt, [5, 6][: [5, 6].index(token)])
        error = (logits - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
        assert error < 0.05
        logits = step(model, token, state)

"""Keys and values in bytes: what is rounded, what is computed with them, and that nothing else notices."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app.engine import attention
from app.engine.attention import attend
from app.engine.byte_rows import ByteRows, to_bytes
from app.engine.capacity import Wanted
from app.engine.load import LoadedModel, ParleyModel, open_model
from app.engine.rope import text_positions
from app.engine.sessions_disk import SavedSessions
from app.paths import demo_model_dir
from tests.checkpoints import dense
from tests.engine.conftest import no_progress
from tests.engine.talks import Engine, assert_alike, assistant, user

ERROR = 0.05
"""Of a random model's logits, where rows are rounded behind different chunks."""


def random(*shape: int, seed: int = 0) -> Tensor:
    """Numbers with large channels among them."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * (2 * torch.randn(shape[-1], generator=generator)).exp2()


@pytest.mark.parametrize(("width", "spans"), [(256, 4), (64, 1), (48, 1)])
def test_no_number_is_off_by_more_than_half_a_step(width: int, spans: int) -> None:
    x = random(2, 5, width)
    rows = to_bytes(x)
    assert (rows.codes.dtype, rows.codes.shape, rows.scales.shape) == (torch.int8, (2, 5, width), (2, 5, spans))
    step = rows.scales.float().repeat_interleave(width // spans, dim=-1)
    assert ((rows.wide(torch.float32) - x).abs() <= step * 0.501).all()
    most = x.view(2, 5, spans, -1).abs().amax(-1)
    assert ((rows.scales.float() * 127 / most - 1).abs() < 2**-8).all()
    assert torch.equal(to_bytes(rows.wide(torch.float32)).codes, rows.codes), "rounding twice changes nothing"
    assert torch.equal(rows.piece(1, 3).wide(torch.float32), rows.wide(torch.float32)[:, 1:3])


def test_nothing_and_what_is_no_number() -> None:
    x = torch.zeros(3, 128)
    assert torch.equal(to_bytes(x).wide(torch.float32), x)
    x[0, 3], x[1, 100], x[2, 0] = float("nan"), float("inf"), 1e-30
    wide = to_bytes(x).wide(torch.float32)
    assert wide.isfinite().view(3, 2, 64).all(-1).tolist() == [[False, True], [True, False], [True, True]]


def plain_flash(q: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
    """What torch's flash attention computes."""
    group, length = q.shape[1] // keys.shape[0], len(q)
    k, v = (rows.repeat_interleave(group, 0) for rows in (keys, values))
    scores = torch.einsum("thd,hnd->htn", q, k) / q.shape[-1] ** 0.5
    if causal:
        seen = torch.ones(length, keys.shape[1]).tril(keys.shape[1] - length)
        scores = scores.masked_fill(seen == 0, -torch.inf)
    return torch.einsum("htn,hnd->thd", scores.softmax(-1), v), scores.logsumexp(-1).T.unsqueeze(-1)


@pytest.mark.parametrize("way", ["plain", "flash"])
@pytest.mark.parametrize(("length", "total"), [(1, 1), (1, 700), (5, 5), (7, 333), (300, 301), (40, 640)])
def test_attention_in_pieces_is_attention(monkeypatch: pytest.MonkeyPatch, way: str, length: int, total: int) -> None:
    monkeypatch.setattr(attention, "PIECE", 128)
    monkeypatch.setattr(attention, "_SCORES", 64 * 4 * length)
    monkeypatch.setattr(attention, "flash_fits", lambda _q: way == "flash")
    q, keys, values = torch.randn(length, 4, 64), to_bytes(random(2, total, 64)), to_bytes(random(2, total, 64, seed=1))
    wanted = plain_flash(q, keys.wide(torch.float32), values.wide(torch.float32), causal=True)[0]
    widest = 0
    pieces: list[weakref.ref[Tensor]] = []

    def watched(rows: ByteRows, dtype: torch.dtype) -> Tensor:
        nonlocal widest
        widest = max(widest, rows.codes.shape[1])
        assert sum(piece() is not None for piece in pieces) < 2, "more is there at once than was planned"
        made = wide(rows, dtype)
        pieces.append(weakref.ref(made))
        return made

    wide = ByteRows.wide
    monkeypatch.setattr(ByteRows, "wide", watched)
    monkeypatch.setattr(attention, "_flash", plain_flash)
    torch.testing.assert_close(attend(q, keys, values), wanted, rtol=1e-4, atol=1e-4)
    assert widest < (128 + length if way == "flash" else 129)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dense(tmp_path_factory.mktemp("checkpoints") / "small", seed=6, vision=False).folder


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return open_model(folder, "cpu", "parley", no_progress, wanted=Wanted(kv_bits=8))


def test_every_split_of_a_prompt_says_the_same(folder: Path, model: LoadedModel) -> None:
    exact = open_model(folder, "cpu", "parley", no_progress)
    ids = torch.randint(0, 300, (90,), generator=torch.Generator().manual_seed(1))

    def read(by: LoadedModel, *cuts: int) -> tuple[Tensor, Any]:
        state: Any = by.new_state(100)
        logits = torch.empty(0)
        for piece in torch.split(ids, list(cuts)):
            positions = text_positions(state.length, state.length + len(piece), 0)
            logits = by.forward(by.embed(piece), positions, state)
        return logits, state

    wanted, full = read(exact, 90)
    for cuts in ([90], [1, 50, 39], [30] * 3):
        logits, state = read(model, *cuts)
        assert 1e-7 < (logits - wanted).abs().max() < ERROR
    assert state.row_bytes < full.row_bytes / 3  # fp32 on a processor


def test_branches_and_a_restart_read_nothing_twice(folder: Path, model: LoadedModel, tmp_path: Path) -> None:
    saved, valid = SavedSessions(tmp_path, "a" * 64, 0), model.config.vocab_valid
    engine = Engine(folder, model)
    question, other = (user("word " * 100),), (user("another matter " * 30),)
    said = engine.ask(question)
    assert isinstance(model, ParleyModel)
    follow = (*question, assistant(said.answer), user("And?"))
    assert engine.ask(other, conversation="d").finished.usage.reused < 50
    again = engine.ask(follow)
    assert again.finished.usage.reused > 500
    assert_alike(again, Engine(folder, model).ask(follow, ahead=False), ERROR, valid)
    assert saved.save("c", engine.sessions, lambda: False)
    late = Engine(folder, model)
    late.recall = lambda keys, check: saved.recall("c", keys, late.sessions, check)
    recalled = late.ask(follow)
    assert recalled.finished.usage.reused > 500
    assert_alike(recalled, again, ERROR, valid)


@pytest.fixture(scope="module")
def demos() -> list[Engine]:
    """The demo model with 16 and with 8 bits."""
    folder = demo_model_dir()
    wide = open_model(folder, "cpu", "parley", no_progress)
    narrow = open_model(folder, "cpu", "parley", no_progress, wanted=Wanted(kv_bits=8))
    return [Engine(folder, each) for each in (wide, narrow)]


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize(
    "turns",
    [
        ["What is 37 + 48?", "What is 12 + 9?"],
        ["My name is Ada.", "What is my name?"],
        ["What are you?"],
        ["My favourite colour is green.", "What is 5 + 6?", "What is my favourite colour?"],
    ],
)
def test_the_demo_model_answers_alike(demos: list[Engine], turns: list[str], thinking: bool) -> None:
    said = []
    for engine in demos:
        messages: tuple[Any, ...] = ()
        for turn in turns:
            messages = (*messages, user(turn))
            answer = engine.ask(messages, conversation=str(turns), thinking=thinking, tokens=60).answer
            messages = (*messages, assistant(answer))
        said.append([message.parts[0].text for message in messages])
    assert said[0] == said[1]

"""A prompt with media, read in chunks as the engine reads it, against the whole of it read at once."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine import generation
from app.engine.generation import Answer, Between, Pace, Stopped, read_prompt
from app.engine.load import LoadedModel
from app.engine.prompt import Composer, Prompt
from app.engine.sampling import Sampler
from app.protocol import ChatMessage, Sampling, Text
from tests.checkpoints import Made
from tests.engine.prompts import TOLERANCE, clip, picture


def nothing(*_: object) -> None:
    pass


def never() -> bool:
    return False


QUIET = Between(never, nothing, nothing)


@pytest.fixture
def prompt(made: Made, parley: LoadedModel, tmp_path: Path) -> Prompt:
    assert parley.vision is not None
    composer = Composer(made.folder, parley.config, parley.vision.prepare, parley.vision.measure)
    parts = (Text("One "), clip(tmp_path, 5, 96, 64), picture(tmp_path, 130, 70), Text("what?"))
    return composer.compose([ChatMessage("user", parts)], thinking=True, capacity=2000)


def at_once(model: LoadedModel, prompt: Prompt) -> torch.Tensor:
    assert model.vision is not None
    embeddings = model.embed(torch.tensor(prompt.ids)).clone()
    seen = [model.vision.encode(item) for item in prompt.media]
    for span in prompt.spans:
        embeddings[span.start : span.start + span.count] = seen[span.item][span.offset : span.offset + span.count]
    return model.forward(embeddings, prompt.positions, model.new_state(len(prompt.ids)))


@pytest.mark.parametrize("chunk", [7, 64, 4096])
def test_media_land_where_they_belong_however_it_is_cut(
    parley: LoadedModel, prompt: Prompt, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "chunk_tokens", lambda model: chunk)
    with torch.inference_mode():
        expected = at_once(parley, prompt)
    state = parley.new_state(2000)
    logits = read_prompt(parley, state, prompt, QUIET)
    assert (state.length, state.rope_delta) == (len(prompt.ids), prompt.rope_delta)
    torch.testing.assert_close(logits, expected, atol=10 * TOLERANCE, rtol=10 * TOLERANCE)


def test_a_pictures_embeddings_are_gone_before_the_next_passes_the_tower(
    parley: LoadedModel, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []
    encode = generation._encoded

    def watched(*more: Any) -> torch.Tensor:
        alive.append(sum(one() is not None for one in kept))
        kept.append(weakref.ref(seen := encode(*more)))
        return seen

    monkeypatch.setattr(generation, "_encoded", watched)
    read_prompt(parley, parley.new_state(2000), prompt, QUIET)
    assert alive == [0, 0]


def test_generated_tokens_stand_behind_the_media(parley: LoadedModel, prompt: Prompt) -> None:
    """Reading an answer as part of the prompt predicts the same next token as generating it did."""
    greedy = Sampling(temperature=0, presence_penalty=0)
    state = parley.new_state(2000)
    answer = Answer(parley, state, Sampler(greedy, parley.config.vocab_valid), 6, QUIET)
    ids = list(answer.ids(read_prompt(parley, state, prompt, QUIET)))
    assert len(ids) == 6
    last = prompt.positions[:, -1:] + torch.arange(1, 6)
    longer = Prompt(
        (*prompt.ids, *ids[:5]),
        prompt.media,
        prompt.spans,
        torch.cat([prompt.positions, last], dim=1),
        prompt.rope_delta,
        prompt.thinks,
    )
    logits = read_prompt(parley, parley.new_state(2000), longer, QUIET)
    assert Sampler(greedy, parley.config.vocab_valid).choose(logits) == ids[5]


def test_it_can_be_stopped_inside_a_picture(parley: LoadedModel, prompt: Prompt) -> None:
    asked: list[int] = []

    def after_a_while() -> bool:
        asked.append(1)
        return len(asked) > 3

    state = parley.new_state(2000)
    with pytest.raises(Stopped):
        read_prompt(parley, state, prompt, Between(after_a_while, nothing, nothing))
    assert state.length == 0


def test_chunks_shrink_until_a_stop_is_quick_and_come_to_rest() -> None:
    pace, sizes, at = Pace(2048), [], 0
    for _ in range(8):  # a device that reads 2000 tokens a second
        sizes.append(pace.chunk)
        pace.read(at, at + pace.chunk, pace.chunk / 2000)
        at += sizes[-1]
    assert sizes == [2048, 1024] + [512] * 6
    pace.begin()
    for _ in range(4):  # and now forty times as many
        pace.read(0, pace.chunk, pace.chunk / 80_000)
    assert pace.chunk == 2048


def test_the_forecast_knows_that_later_tokens_cost_more() -> None:
    """Reading n tokens takes a·n + b·n² seconds: attention looks at all that stand before."""

    def seconds(begin: int, end: int) -> float:
        return 1e-4 * (end - begin) + 1e-9 * (end**2 - begin**2)

    pace = Pace(1024)
    assert pace.seconds_left(0, 100_000) is None
    for begin in range(0, 8192, 1024):
        pace.read(begin, begin + 1024, seconds(begin, begin + 1024))
    assert pace.seconds_left(8192, 100_000) == pytest.approx(seconds(8192, 100_000), rel=0.02)
    assert pace.rate == pytest.approx(1024 / seconds(7168, 8192))

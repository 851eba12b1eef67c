"""The window's state follows from events alone."""

import pytest

from app.protocol import Failed, Finished, Gauges, Hello, Loaded, Loading, Timings, Unloaded, Usage
from app.ui.state import (
    UNLOADED,
    Answering,
    Dead,
    Died,
    GenerateSent,
    LoadingModel,
    LoadSent,
    NoModel,
    Ready,
    Started,
    Starting,
    State,
    after,
)
from tests.ui.fake_engine import MODEL

LOADING = LoadingModel("demo", 1.0)
ANSWERING = Answering(MODEL, "r")
FINISHED = Finished("r", "end", Usage(1, 0, 1, 1), Timings(0, 0, 0))


def test_from_start_to_an_answer() -> None:
    state: State = Starting()
    for event, expected in (
        (Hello("1", 2), Starting()),
        (LoadSent("demo", 1.0), LOADING),
        (Loading("weights", 3, 9), LoadingModel("demo", 1.0, "weights", 3, 9)),
        (Loaded(MODEL, 2.0), Ready(MODEL)),
        (GenerateSent("r"), ANSWERING),
        (Gauges("cpu", 1, 1, 0, 0, 0, 0, 1), ANSWERING),
        (FINISHED, Ready(MODEL)),
        (Unloaded(), UNLOADED),
    ):
        state = after(state, event)
        assert state == expected


@pytest.mark.parametrize("state", [Starting(), NoModel(), LOADING, Ready(MODEL), ANSWERING])
def test_death_comes_from_anywhere_and_a_start_leads_out(state: State) -> None:
    dead = after(state, Died("gone"))
    assert dead == Dead("gone")
    assert after(dead, Started()) == Starting()


def test_a_failed_load_leaves_no_model_and_its_reason() -> None:
    assert after(LOADING, Failed("", "checkpoint", "a shard is missing", "")) == NoModel("a shard is missing")


def test_a_failed_answer_leaves_the_model() -> None:
    assert after(ANSWERING, Failed("r", "memory", "too much", "")) == Ready(MODEL)


@pytest.mark.parametrize("event", [Failed("other", "internal", "", ""), GenerateSent("x")])
def test_what_concerns_another_request_changes_nothing(event: Failed | GenerateSent) -> None:
    assert after(ANSWERING, event) is ANSWERING


def test_loading_is_only_heard_while_a_model_is_loaded() -> None:
    ready = Ready(MODEL)
    assert after(ready, Loading("weights", 1, 2)) is ready

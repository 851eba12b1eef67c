"""Nothing is read twice, and what is not read again is remembered rightly: against engines that read everything."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.engine import leading_out, request
from app.engine.cache import HostTensors
from app.engine.load import LoadedModel, open_model
from app.engine.sessions import Sessions
from app.paths import demo_model_dir
from app.protocol import ChatMessage, Delta, Generate, Prefill, Text
from tests.checkpoints import dense
from tests.engine.conftest import no_progress
from tests.engine.prompts import picture
from tests.engine.talks import GREEDY, PLENTY, Engine, assert_alike, assistant, user

ERROR = 1e-3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dense(tmp_path_factory.mktemp("checkpoints") / "small", seed=5).folder


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return open_model(folder, "cpu", "parley", no_progress)


@pytest.fixture
def engine(folder: Path, model: LoadedModel) -> Engine:
    return Engine(folder, model)


@pytest.fixture(autouse=True)
def short_thoughts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading_out, "PATIENCE", 3)
    monkeypatch.setattr(request, "LEADING_OUT", "\nEnough.")


def test_a_follow_up_reads_its_question_alone(engine: Engine) -> None:
    first = engine.ask((user("a long question " * 20),), thinking=True, tokens=40)
    assert first.answer
    said = engine.ask((user("a long question " * 20), assistant(first.answer), user("And?")), thinking=True)
    read = said.finished.usage.prompt - said.finished.usage.reused
    assert read == len("user\nAnd?.\n.assistant\n.\n")
    assert engine.told()[0].done == engine.told()[0].reused == said.finished.usage.reused
    assert engine.told()[-1].done == said.finished.usage.prompt


def test_another_answer_reads_nothing_but_its_opening(engine: Engine) -> None:
    first = engine.ask((user("Hello"),))
    said = engine.ask((user("Hello"),))
    assert said.finished.usage.prompt - said.finished.usage.reused == len(".\n.\n\n") + 1
    assert (said.answer, said.thinking) == (first.answer, first.thinking)
    assert all(torch.equal(a, b) for a, b in zip(first.logits, said.logits, strict=True))


def test_going_back_to_another_conversation_and_branch(engine: Engine, folder: Path, model: LoadedModel) -> None:
    long = (ChatMessage("system", (Text("Be brief. " * 10),)), user("one " * 50))
    one = engine.ask(long, conversation="one")
    engine.ask((*long[:1], user("two " * 40)), conversation="two")
    edited = engine.ask((*long, assistant(one.answer), user("edited")), conversation="one")
    engine.ask((*long[:1], user("two " * 40)), conversation="two")
    back = engine.ask((*long, assistant(one.answer), user("x"), user("other")), conversation="one")
    assert edited.finished.usage.reused > len("one " * 50)
    assert back.finished.usage.reused >= len("one " * 50)
    assert engine.watched.read <= 1.15 * len(engine.distinct)
    fresh = Engine(folder, model).ask((*long, assistant(one.answer), user("x"), user("other")))
    assert_alike(back, fresh, ERROR, model.config.vocab_valid)


def test_the_same_system_message_is_read_once(engine: Engine) -> None:
    system = ChatMessage("system", (Text("Be brief. " * 30),))
    engine.ask((system, user("a")), conversation="one")
    said = engine.ask((system, user("b")), conversation="two")
    assert said.finished.usage.reused >= len("Be brief. " * 30)


def test_what_was_read_before_a_stop_is_not_read_again(engine: Engine) -> None:
    asked = (user("word " * 300),)
    engine.on = lambda event: engine.interrupts.stop("r") if isinstance(event, Prefill) and event.done else None
    stopped = engine.ask(asked, ahead=False)
    assert (stopped.finished.reason, stopped.finished.usage.reused, stopped.answer) == ("stopped", 0, "")
    engine.on = None
    engine.ask((user("something else"),), conversation="d")
    again = engine.ask(asked)
    assert again.finished.usage.reused == 512
    assert again.finished.reason == "length"


def test_a_question_without_an_answer_is_not_read_again(engine: Engine) -> None:
    engine.on = lambda event: engine.interrupts.stop("r") if isinstance(event, Delta) else None
    assert engine.ask((user("word " * 100),), thinking=True).answer == ""
    engine.on = None
    said = engine.ask((user("word " * 100), user("Go on.")))
    assert said.finished.usage.reused > len("word " * 100)


def test_another_picture_of_the_same_size_is_another_prompt(engine: Engine, model: LoadedModel, tmp_path: Path) -> None:
    one, other = picture(tmp_path, 200, 120, seed=1), picture(tmp_path, 200, 120, seed=2)

    def asked(media: Any, text: str) -> tuple[ChatMessage, ...]:
        return (ChatMessage("user", (media, Text(text))),)

    engine.ask(asked(one, "What is it?"))
    assert engine.ask(asked(other, "What is it?")).finished.usage.reused < 16
    edited = engine.ask(asked(one, "And what is this?"))
    assert edited.finished.usage.reused > 20  # behind the picture
    fresh = Engine(engine.folder, model).ask(asked(one, "And what is this?"))
    assert_alike(edited, fresh, ERROR, model.config.vocab_valid)


@pytest.mark.parametrize("snapshots", [0.5, 1.5, 3.5])
def test_with_little_memory_more_is_read_and_the_answers_stay_right(
    folder: Path, model: LoadedModel, snapshots: float
) -> None:
    budget = int(snapshots * model.new_state(1).snapshot_bytes)
    engine = Engine(folder, model, budget=budget)
    histories: list[tuple[ChatMessage, ...]] = [(user("one " * 30),), (user("two " * 30),)]
    for _ in range(3):
        for index, messages in enumerate(histories):
            said = engine.ask(messages, conversation=str(index), tokens=6)
            assert engine.sessions.nbytes <= budget
            fresh = Engine(folder, model).ask(messages, tokens=6, ahead=False)
            assert_alike(said, fresh, ERROR, model.config.vocab_valid)
            histories[index] = (*messages, assistant(said.answer or "x"), user("More?"))


def test_after_an_error_in_the_middle_nothing_half_done_is_used(engine: Engine, folder: Path, model: Any) -> None:
    asked = (user("word " * 60),)
    engine.ask(asked)
    longer = (*asked, assistant("yes"), user("more " * 60))
    for fail_at in (350, 605):  # while it reads, while it answers
        engine.watched.fail_at = fail_at
        with pytest.raises(torch.OutOfMemoryError):
            engine.ask(longer, tokens=100)
        engine.sessions.spoil()
    engine.watched.fail_at = None
    said = engine.ask(longer)
    assert said.finished.usage.reused > 300
    assert_alike(said, Engine(folder, model).ask(longer), ERROR, model.config.vocab_valid)


def test_what_is_forgotten_is_nowhere_any_more(engine: Engine) -> None:
    system = ChatMessage("system", (Text("Be brief. " * 10),))
    state: Any = engine.sessions.state
    for plane in (*state.keys, *state.values):
        plane.zero_()
    engine.ask((system, user("a secret " * 10)), conversation="one")
    engine.ask((system, user("another matter " * 10)), conversation="two")
    engine.ask((system, user("a secret " * 10)), conversation="one")
    engine.sessions.forget("one")
    assert state.length == len(engine.sessions.points and engine.sessions.keys)
    assert not any(plane[:, state.length :].any() for plane in (*state.keys, *state.values))
    assert engine.ask((system, user("a secret " * 10)), conversation="three").finished.usage.reused < 150
    assert engine.ask((system, user("another matter " * 10)), conversation="two").finished.usage.reused > 200


def test_reading_ahead_gives_way_and_goes_on_where_it_was(engine: Engine) -> None:
    asked = (user("Hello"),)
    answer = "x" * 700
    engine.ask(asked, ahead=False)
    command = Generate("r", "c", asked, False, GREEDY, 10)
    comes = iter([False, True])
    engine.read_ahead(command, answer, lambda: next(comes))
    assert engine.sessions.state.length > 512  # one chunk of the answer
    said = engine.ask((*asked, assistant(answer), user("And?")))
    assert said.finished.usage.reused > 512


def test_a_full_context_is_not_read_ahead(folder: Path, model: LoadedModel) -> None:
    prompt = Engine(folder, model).ask((user("Hello"),)).finished.usage.prompt
    engine = Engine(folder, model, capacity=prompt + 8)
    assert engine.ask((user("Hello"),), tokens=100).finished.reason == "context"


TURNS = st.tuples(
    st.integers(0, 30),  # which of the histories so far it continues
    st.sampled_from(["Hi", "What?", "a longer question than the others, and the same each time"]),
    st.booleans(),  # thinking
    st.sampled_from(["prompt", "answer", "never", "never", "never"]),  # when it is stopped
    st.booleans(),  # whether there is time to read ahead
    st.booleans(),  # whether the answer is made again
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(TURNS, min_size=3, max_size=8), room=st.sampled_from([2.5, 9.0, 1000.0]))
def test_any_tree_of_turns_is_answered_as_if_all_of_it_were_read(
    folder: Path, model: LoadedModel, turns: list[Any], room: float
) -> None:
    engine = Engine(folder, model, budget=int(room * model.new_state(1).snapshot_bytes))
    system = ChatMessage("system", (Text("You are terse."),))
    histories: list[tuple[ChatMessage, ...]] = [(), (system,)]
    for number, (which, text, thinking, stop, ahead, again) in enumerate(turns):
        index = which % len(histories)
        asked = (*histories[index], user(text))
        kind: Any = {"prompt": Prefill, "answer": Delta}.get(stop, ())
        engine.on = lambda event, kind=kind: engine.interrupts.stop("r") if isinstance(event, kind) else None
        for _ in range(2 if again else 1):
            said = engine.ask(asked, conversation=str(index), thinking=thinking, tokens=16, ahead=ahead)
        fresh = Engine(folder, model, budget=0).ask(asked, thinking=thinking, tokens=16, ahead=False)
        if said.logits:
            assert_alike(said, fresh, ERROR, model.config.vocab_valid)
        histories.append((*asked, assistant(said.answer)) if said.answer.strip() else asked)
        if room == 1000.0 and all(turn[3] == "never" and turn[4] for turn in turns[: number + 1]):
            assert engine.watched.read <= 1.15 * len(engine.distinct)


def test_twenty_turns_with_the_demo_model() -> None:
    folder = demo_model_dir()
    model = open_model(folder, "cpu", "parley", no_progress)
    engine = Engine(folder, model, capacity=4096)
    path: tuple[ChatMessage, ...] = (ChatMessage("system", (Text("You are Parley's demo model."),)),)
    kept = [path]
    script: list[tuple[str, int]] = [
        ("My name is Ada.", -1), ("What is 37 + 48?", -1), ("What is my name?", -1), ("What is 12 + 7?", -1),
        ("What is 13 + 7?", 3), ("Hello", -1), ("What is 5 + 5?", -1), ("What is 5 + 5?", -2), ("And 6 + 6?", -1),
        ("My name is Bob.", 0), ("What is my name?", -1), ("Who are you?", -1), ("What is 37 + 48?", 2),
        ("Thanks.", -1), ("What is 90 - 45?", -1), ("What is 90 - 46?", -2), ("Hello again", 5), ("What is 8 + 1?", -1),
        ("What is my name?", -1), ("What is 1 + 1?", -1),
    ]  # fmt: skip
    for number, (text, where) in enumerate(script):
        asked = (*kept[where], user(text))
        for _ in range(2 if number % 6 == 5 else 1):
            said = engine.ask(asked, thinking=number % 2 == 0, tokens=24)
        fresh = Engine(folder, model, capacity=4096).ask(asked, thinking=number % 2 == 0, tokens=24, ahead=False)
        assert_alike(said, fresh, ERROR, model.config.vocab_valid)
        kept.append((*asked, assistant(said.answer)) if said.answer.strip() else asked)
    assert engine.watched.read <= 1.15 * len(engine.distinct)
    assert engine.sessions.nbytes < PLENTY


def test_points_stand_where_they_pay(engine: Engine) -> None:
    """Each costs memory: of a long history that is new, few are made, and the end is one of them."""
    messages = [user("Hello") if n % 2 == 0 else assistant("x" * 40) for n in range(41)]
    prompt = engine.composer.compose(messages, thinking=True, capacity=10**6)
    marks = Sessions(engine.model.new_state(1), 0, 16).marks(prompt)
    assert 4 <= len(marks) <= 12
    assert marks[-1] == prompt.opening
    assert marks == sorted(set(marks))
    unbroken = engine.composer.compose([user("x" * 30_000)], thinking=True, capacity=10**6)
    assert len(Sessions(engine.model.new_state(1), 0, 16).marks(unbroken)) >= 4


@pytest.mark.parametrize("refused", [0, 2])
def test_host_memory_is_locked_for_as_long_as_it_is_used(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    calls: list[tuple[str, int]] = []

    class Runtime:
        def cudaHostRegister(self, place: int, nbytes: int, flags: int) -> int:  # noqa: N802 - CUDA's name
            calls.append(("lock", nbytes))
            return refused

        def cudaHostUnregister(self, place: int) -> int:  # noqa: N802
            calls.append(("unlock", place))
            return 0

    monkeypatch.setattr(torch.cuda, "cudart", Runtime)
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: calls.append(("clear", 0)))
    held = HostTensors([((3, 5), torch.float32), ((7,), torch.bfloat16)], torch.device("cuda"))
    place = held.tensors[0].data_ptr()
    assert [tuple(tensor.shape) for tensor in held.tensors] == [(3, 5), (7,)]
    assert held.nbytes == 128
    del held
    assert calls == [("lock", 128), ("clear", 0)] if refused else [("lock", 128), ("unlock", place)]

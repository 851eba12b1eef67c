"""One request from prompt to `Finished`: what is said, in which order, and what ends it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.engine import request
from app.engine.generation import Pace, chunk_tokens
from app.engine.leading_out import ends_sentence
from app.engine.prompt import Composer, PromptError, TooLongError
from app.engine.request import LEADING_OUT, Request
from app.engine.sessions import Sessions
from app.engine.wire import Interrupts
from app.protocol import ChatMessage, Delta, EngineEvent, Finished, Generate, Prefill, Sampling, Text, Usage
from tests.checkpoints import IDS, config_json, write_small_files
from tests.engine.scripted import ScriptedModel

GREEDY = Sampling(temperature=0, presence_penalty=0)
CLOSE = IDS["</think>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("small")
    write_small_files(made, config_json(vision=False))
    return made


@pytest.fixture(scope="module")
def composer(folder: Path) -> Composer:
    return Composer(folder, ScriptedModel.of(folder, []).config)


class Heard:
    """Answers one question and keeps what was said; `on` may interfere at any event."""

    def __init__(self, folder: Path, composer: Composer, script: list[int]) -> None:
        self.model = ScriptedModel.of(folder, script)
        self.composer = composer
        self.interrupts = Interrupts()
        self.events: list[EngineEvent] = []
        self.on: Callable[[EngineEvent], None] | None = None

    def ask(
        self,
        text: str = "Hi",
        *,
        max_tokens: int = 1000,
        capacity: int = 2000,
        thinking: bool = True,
        budget: int = 0,
    ) -> Finished:
        self.interrupts.expect("r")
        messages = (ChatMessage("user", (Text(text),)),)
        command = Generate("r", "c", messages, thinking, GREEDY, max_tokens, budget)
        request = Request(command, 1.5, self.interrupts, self._hear, lambda: None)
        self.model.prompt = len(self.composer.compose(messages, thinking=thinking, capacity=10**7).ids)
        sessions = Sessions(self.model.new_state(capacity), 2**20, 16)
        request.answer(self.model, self.composer, sessions, Pace(chunk_tokens(self.model)))
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last

    def text(self, channel: str) -> str:
        return "".join(e.text for e in self.events if isinstance(e, Delta) and e.channel == channel)

    def _hear(self, event: EngineEvent) -> None:
        self.events.append(event)
        if self.on is not None:
            self.on(event)


def script(composer: Composer, thought: str, answer: str) -> list[int]:
    encode = composer.vocabulary.encode
    return [*encode(f"{thought}\n"), CLOSE, *encode(f"\n\n{answer}")]


def test_an_answer_is_split_counted_and_ended(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, script(composer, "Hm.", "Yes 🙂."))
    finished = heard.ask()
    assert (heard.text("thinking"), heard.text("answer"), finished.reason) == ("Hm.", "Yes 🙂.", "end")
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert finished.usage.prompt == len([*composer.vocabulary.pieces(prompt)]) - 4 + len("user\nHi\nassistant\n\n")
    assert finished.usage == Usage(finished.usage.prompt, 0, thinking=5, answer=2 + len("Yes 🙂.".encode()))
    assert finished.timings.load_s == 1.5
    assert finished.timings.first_token_s > 0
    counts = [event.tokens for event in heard.events if isinstance(event, Delta) and event.channel == "answer"]
    assert counts == sorted(counts)
    assert counts[-1] == finished.usage.answer


def test_direct_answers_do_not_begin_with_thinking(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, list(composer.vocabulary.encode("Yes.")))
    assert heard.ask(thinking=False).usage.thinking == 0
    assert heard.text("answer") == "Yes."


def test_the_answer_stands_right_behind_the_prompt(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, list(composer.vocabulary.encode("abc")))
    total = heard.ask().usage.prompt
    assert [position for _, at in heard.model.fed for position in at] == list(range(total + 3))
    assert [ids for ids, _ in heard.model.fed[-3:]] == [[token] for token in composer.vocabulary.encode("abc")]


@pytest.mark.parametrize(("limit", "room", "reason"), [(4, 999, "length"), (999, 4, "context"), (1, 999, "length")])
def test_limits_end_an_answer(folder: Path, composer: Composer, limit: int, room: int, reason: str) -> None:
    prompt = Heard(folder, composer, []).ask().usage.prompt
    heard = Heard(folder, composer, script(composer, "a long thought", "x"))
    finished = heard.ask(max_tokens=limit, capacity=prompt + room)
    assert finished.reason == reason
    assert finished.usage.thinking == (min(limit, room + 1) if reason == "context" else limit)


def test_a_long_prompt_is_read_in_chunks_with_progress(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, [])
    total = heard.ask("x" * 1200).usage.prompt
    turn, thinking = total - len("assistant\n.\n"), total - len(".\n")
    told = [event for event in heard.events if isinstance(event, Prefill)]
    assert [event.done for event in told] == [0, 512, 1024, turn, thinking, total]
    assert {(event.total, event.reused) for event in told} == {(total, 0)}
    assert [event.tokens_a_second > 0 for event in told] == [False, True, True, True, True, True]
    assert told[1].seconds_left > told[-1].seconds_left == 0


def test_a_large_model_on_a_cpu_reads_smaller_chunks(folder: Path) -> None:
    model = ScriptedModel.of(folder, [])
    sizes = []
    for model.weight_bytes in (10**7, 10**8, 10**9, 10**11):
        sizes.append(chunk_tokens(model))
    assert sizes == [512, 128, 16, 16]


def test_stop_between_chunks_ends_the_reading(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, [])
    heard.on = lambda event: heard.interrupts.stop("r") if isinstance(event, Prefill) and event.done == 512 else None
    finished = heard.ask("x" * 1200)
    assert (finished.reason, finished.usage.answer, len(heard.model.fed)) == ("stopped", 0, 1)


def test_stop_takes_effect_before_the_next_token(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, script(composer, "a long thought", "x"))
    heard.on = lambda event: heard.interrupts.stop("r") if isinstance(event, Delta) else None
    finished = heard.ask()
    assert finished.reason == "stopped"
    assert finished.usage.thinking == 1


def led_out(composer: Composer, thought: str, answer: str) -> list[int]:
    """What the stand-in says is counted from the prompt on, so its answer comes where the closing words have passed."""
    encode = composer.vocabulary.encode
    return [*encode(thought), *encode(" ") * len(composer.leading_out(LEADING_OUT)), *encode(answer)]


def test_answer_now_leads_out_at_the_end_of_the_sentence(folder: Path, composer: Composer) -> None:
    out = composer.leading_out(LEADING_OUT)
    heard = Heard(folder, composer, led_out(composer, "One thought.", "Yes."))
    heard.interrupts.expect("r")
    heard.interrupts.hurry("r")
    finished = heard.ask()
    assert heard.text("thinking") == f"One thought.{LEADING_OUT}"
    assert heard.text("answer").endswith("Yes.")
    assert finished.usage.thinking == len("One thought.") + len(out) - 2
    assert CLOSE in out


def test_answer_now_does_not_wait_for_a_sentence_without_end(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, list(composer.vocabulary.encode("on and on " * 30)))
    heard.interrupts.expect("r")
    heard.interrupts.hurry("r")
    heard.ask()
    assert LEADING_OUT.strip() in heard.text("thinking")
    assert heard.text("thinking").index(LEADING_OUT) <= 64


@pytest.mark.parametrize(
    ("budget", "thought"),
    [
        (1, "First one."),
        (10, "First one."),
        (12, "First one. It is 3.14 or so!"),
        (30, "First one. It is 3.14 or so! f(x) = 1\n"),
        (40, "First one. It is 3.14 or so! f(x) = 1\n“End.”"),
    ],
)
def test_a_budget_leads_out_at_the_end_of_a_sentence_or_line(
    folder: Path, composer: Composer, budget: int, thought: str
) -> None:
    whole = "First one. It is 3.14 or so! f(x) = 1\n“End.” And so on"
    assert whole.startswith(thought)
    rest = whole[len(thought) :][0]
    encode, out = composer.vocabulary.encode, composer.leading_out(LEADING_OUT)
    script = [*encode(thought), *encode(rest)[:1] * len(out), *encode("Yes.")]
    heard = Heard(folder, composer, script)
    finished = heard.ask(budget=budget)
    assert heard.text("thinking") == thought + LEADING_OUT
    assert heard.text("answer") == "Yes."
    assert finished.usage.thinking == len(encode(thought)) + len(out) - 2
    assert finished.usage.thinking + finished.usage.answer == len(encode(thought)) + len(out) + len(encode("Yes."))


def test_a_budget_has_a_hard_limit_and_does_not_touch_what_ends_by_itself(folder: Path, composer: Composer) -> None:
    endless = Heard(folder, composer, list(composer.vocabulary.encode("on and on " * 30)))
    endless.ask(budget=20)
    assert 20 + 60 <= endless.text("thinking").index(LEADING_OUT) <= 20 + 64
    brief = Heard(folder, composer, script(composer, "One thought.", "Yes. No."))
    brief.ask(budget=12)  # it is about to end by itself, at the very place where it would be led out
    assert (brief.text("thinking"), brief.text("answer")) == ("One thought.", "Yes. No.")


def test_who_is_to_answer_does_not_end_in_the_middle_of_the_thinking(folder: Path, composer: Composer) -> None:
    out, encode = composer.leading_out(LEADING_OUT), composer.vocabulary.encode
    end = composer.vocabulary.control["<|im_end|>"]
    heard = Heard(folder, composer, [*encode("One thought"), *[end] * len(out), *encode("Yes.")])
    assert heard.ask(budget=3).reason == "end"
    assert (heard.text("thinking"), heard.text("answer")) == ("One thought" + LEADING_OUT, "Yes.")
    assert heard.ask().reason == "end", "without a budget the model ends where it likes"
    assert heard.text("thinking").endswith("One thought")


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ("so it is 85.", " Tens", True),
        ("it is 3.", "14", False),
        ("he said “yes.”", " Then", True),
        ("**Done.**", " Next", True),
        ("所以不算在内。", "等一下", True),
        ("f(x) = 1\n", "f(y)", True),
        ("That is it.", "\n", False),
        ("and then", " we", False),
        ("", " A", False),
    ],
)
def test_where_a_sentence_ends(before: str, after: str, ends: bool) -> None:
    assert ends_sentence(before, after) is ends


def test_answer_now_changes_nothing_once_it_answers(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, list(composer.vocabulary.encode("Yes. No.")))
    heard.interrupts.expect("r")
    heard.interrupts.hurry("r")
    heard.ask(thinking=False)
    assert heard.text("answer") == "Yes. No."


def test_wishes_about_unknown_requests_are_none_of_ours() -> None:
    interrupts = Interrupts()
    interrupts.stop("r")
    interrupts.expect("r")
    assert not interrupts.stopped("r")
    interrupts.stop("r")
    interrupts.close("r")
    assert not interrupts.stopped("r")


def test_what_was_said_before_a_failure_is_not_lost(
    folder: Path, composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard(folder, composer, list(composer.vocabulary.encode("One thought.")))
    monkeypatch.setattr(request, "_DELTA_SECONDS", 1000.0)
    forward = heard.model.forward

    def failing(*arguments: Any) -> Any:
        if len(heard.model.fed) == 4:
            raise MemoryError
        return forward(*arguments)

    monkeypatch.setattr(heard.model, "forward", failing)
    with pytest.raises(MemoryError):
        heard.ask()
    assert heard.text("thinking") == "One"


def test_what_cannot_be_answered_is_refused_in_a_sentence(folder: Path, composer: Composer) -> None:
    heard = Heard(folder, composer, [])
    with pytest.raises(PromptError, match="write a question"):
        heard.ask(" \n")
    with pytest.raises(TooLongError, match="holds 100; shorten it"):
        heard.ask("x" * 200, capacity=100)
    with pytest.raises(TooLongError, match=r"about 5,0\d\d,\d{3} tokens"):
        heard.ask("a " * 2_500_000, capacity=1000)
    assert heard.events == []

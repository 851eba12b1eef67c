"""The engine as a process: its streams, its promises about time, and that nothing short of its end silences it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.protocol import (
    AnswerNow,
    ChatMessage,
    Delta,
    Failed,
    Finished,
    Forget,
    Gauges,
    Generate,
    Hello,
    Load,
    Loaded,
    Loading,
    Measure,
    Measured,
    Media,
    Prefill,
    Sampling,
    Stop,
    Text,
    Unload,
    Unloaded,
)
from tests.engine.engine_process import EngineProcess, question, random_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("checkpoints") / "endless")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[EngineProcess]:
    """One engine with a model, for all tests that leave it alive."""
    engine = EngineProcess()
    engine.say(Load(str(folder), "cpu"))
    engine.until(Loaded)
    yield engine
    engine.end()


@pytest.fixture
def engine(shared: EngineProcess) -> EngineProcess:
    shared.heard.clear()
    return shared


def test_it_begins_with_hello_and_loads_in_time(folder: Path) -> None:
    engine = EngineProcess()
    try:
        hello = engine.until(Hello)
        said_hello = engine.heard == [hello]
        engine.say(Load(str(folder), "cpu", context=1000))
        loaded = engine.until(Loaded)
        assert said_hello
        assert hello.pid == engine.process.pid
        assert any(isinstance(event, Loading) and event.total for event in engine.heard)
        assert (loaded.model.name, loaded.model.context, loaded.model.device) == ("endless", 1000, "CPU")
        assert (loaded.model.sees, loaded.model.demo) == (True, False)
        # In the middle of an answer the end of stdin is the end of the process.
        engine.say(question("Hello"))
        engine.until(Delta)
        assert engine.close() < 1.0
        assert engine.process.returncode == 0
    finally:
        engine.end()


def test_what_a_library_prints_does_not_reach_the_stream(tmp_path: Path) -> None:
    noisy = "import os; os.write(1, b'from C\\n'); print('from Python'); os.system('echo from a child')"
    start = f"import app.engine.wire as w; s = w.Wire(w.claim_stdout()); {noisy}; "
    engine = EngineProcess("-c", start + "from app.protocol import Hello; s.send(Hello('x', 1))")
    try:
        assert engine.until(Hello) == Hello("x", 1)
        assert engine.heard == [Hello("x", 1)]
    finally:
        engine.end()


def test_an_answer_is_a_stream_of_messages(engine: EngineProcess) -> None:
    engine.say(question("Hello", max_tokens=40))
    finished = engine.until(Finished)
    kinds = [type(event) for event in engine.heard if isinstance(event, Prefill | Delta | Finished)]
    assert kinds[0] is Prefill
    assert kinds[-1] is Finished
    assert (finished.reason, finished.usage.thinking) == ("length", 40)
    assert finished.timings.decode_tok_s > 0


def test_a_seed_gives_the_same_text_again(engine: EngineProcess) -> None:
    texts = []
    for _ in range(2):
        engine.heard.clear()
        engine.say(question("Hello", max_tokens=30, seed=5))
        engine.until(Finished)
        texts.append("".join(event.text for event in engine.heard if isinstance(event, Delta)))
    assert texts[0] == texts[1] != ""


def test_stop_ends_it_within_a_token(engine: EngineProcess) -> None:
    engine.say(question("Hello", request="s"))
    engine.until(Delta)
    engine.say(Stop("s"))
    finished = engine.until(Finished)
    shown = [event.tokens for event in engine.heard if isinstance(event, Delta)][-1]
    assert (finished.request, finished.reason) == ("s", "stopped")
    assert finished.usage.thinking - shown <= 8  # bytes of a character that never became whole


def test_stop_also_ends_one_that_waits(engine: EngineProcess) -> None:
    engine.say(question("Hello", request="first"), question("Hello", request="second"))
    engine.until(Delta)
    engine.say(Stop("second"), Stop("first"))
    assert engine.until(Finished, lambda event: event.request == "second").usage.thinking == 0


def test_answer_now_leads_it_out_of_its_thinking(engine: EngineProcess) -> None:
    engine.say(question("Hello", request="n", max_tokens=400))
    engine.until(Delta)
    engine.say(AnswerNow("n"))
    finished = engine.until(Finished)
    assert finished.usage.answer > 0
    assert finished.usage.thinking < 300


def test_drafts_are_measured_while_it_answers(engine: EngineProcess, tmp_path: Path) -> None:
    engine.say(question("Hello", request="long"))
    engine.until(Delta)
    picture = Media("image", "p", "d", str(tmp_path / "missing"), 640, 480)
    engine.say(Measure("m", "c", (), ChatMessage("user", (Text("Hello"), picture))))
    measured = engine.until(Measured)
    assert measured.media_tokens == (measured.media_sizes[0][0] * measured.media_sizes[0][1] // 1024,)
    assert not any(isinstance(event, Finished) for event in engine.heard)
    engine.say(Stop("long"))
    engine.until(Finished)


def test_pictures_whose_pixels_are_gone_are_refused(engine: EngineProcess, tmp_path: Path) -> None:
    picture = Media("image", "sky.png", "d", str(tmp_path / "missing"), 64, 64)
    message = ChatMessage("user", (picture, Text("What?")))
    engine.say(question("x").__class__("p", "c", (message,)))
    failed = engine.until(Failed)
    assert (failed.request, failed.kind) == ("p", "bad_input")
    assert "sky.png" in failed.message


def test_lines_that_make_no_sense_are_refused_and_forgotten(engine: EngineProcess) -> None:
    for line in (b"\n", b"{\n", b"\xff\xfe\n", b'{"type":"Reboot"}\n', b'{"type":"Stop"}\n', b"[" * 9000 + b"\n"):
        engine.say(line)
        assert engine.until(Failed).kind == "internal"
    engine.say(b'{"type":"Hello","version":"1","pid":1}\n')
    assert "not a command" in engine.until(Failed).detail
    engine.say(question("Hello", max_tokens=1))
    assert engine.until(Finished).reason == "length"


def test_a_full_context_is_refused_and_a_smaller_question_answered(engine: EngineProcess) -> None:
    engine.say(question("x" * 5_000_000, request="big"))
    failed = engine.until(Failed)
    assert (failed.request, failed.kind) == ("big", "context")
    engine.say(question("Hello", max_tokens=1))
    engine.until(Finished)


def test_gauges_keep_coming_and_say_what_is_there(engine: EngineProcess) -> None:
    engine.say(question("Hello", max_tokens=20))
    engine.until(Finished)
    used = engine.until(Gauges)
    assert used.kind == "cpu"
    assert 0 < used.weights < used.total
    assert 20 < used.context_used <= used.context
    assert 0 < used.other < used.total
    engine.say(Forget("c"))
    assert engine.until(Gauges, lambda gauges: gauges.context_used == 0).context == used.context
    engine.until(Gauges)


def test_a_model_that_cannot_be_loaded_leaves_the_engine_without_one(
    shared: EngineProcess, folder: Path, tmp_path: Path
) -> None:
    """Last of those that share an engine: it loads others."""
    engine = shared
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    engine.say(Load(str(tmp_path), "cpu"))
    failed = engine.until(Failed)
    assert (failed.request, failed.kind) == ("", "checkpoint")
    engine.say(Measure("m", "c", (), None), question("Hello"))
    assert engine.until(Failed).request == "m"
    assert "choose a model" in engine.until(Failed).message
    engine.say(Load(str(folder), "cpu"), question("Hello", max_tokens=1))
    engine.until(Loaded)
    assert engine.until(Finished).timings.load_s > 0
    engine.say(Unload())
    engine.until(Unloaded)
    assert engine.until(Gauges).kind == "none"


def test_yesterdays_conversation_is_not_read_again(folder: Path, tmp_path: Path) -> None:
    load = Load(str(folder), "cpu", context=2000, cache_dir=str(tmp_path))
    asked: tuple[ChatMessage, ...] = (ChatMessage("user", (Text("a long story " * 40),)),)
    usages = []
    for _ in range(2):
        engine = EngineProcess()
        try:
            engine.say(load, Generate("r", "c", asked, False, Sampling(seed=1), 8))
            usages.append(engine.until(Finished).usage)
            answer = "".join(event.text for event in engine.heard if isinstance(event, Delta))
            engine.until(Gauges, lambda gauges: gauges.context_used > usages[-1].prompt)  # while it answers
            engine.until(Gauges, lambda gauges: bool(list(tmp_path.rglob("index.json"))))
        finally:
            engine.end()
        asked = (*asked, ChatMessage("assistant", (Text(answer),)), ChatMessage("user", (Text("Go on."),)))
    assert usages[0].reused == 0
    assert 500 < usages[0].prompt < usages[1].reused < usages[1].prompt


def test_interrupting_the_terminal_is_not_its_business(shared: EngineProcess) -> None:
    import signal

    shared.process.send_signal(signal.SIGINT)
    shared.until(Gauges)
    shared.until(Gauges)
    assert shared.process.poll() is None

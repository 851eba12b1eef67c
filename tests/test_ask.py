"""`parley ask` from its command line to its exit status, with the real engine and decoder and a tiny random model."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from app import __version__, paths
from app.__main__ import main
from app.ask.answering import Answering
from app.ask.child import Child, LostError
from app.ask.refusal import AskError
from app.ask.screen import Screen
from app.presets import DEMO, DIRECT_GENERAL, THINKING_GENERAL, default_sampling
from app.protocol import Delta, Hello, Loading
from tests.engine.engine_process import random_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("checkpoints") / "endless")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))


class Ran:
    """One run of `parley` in this process, its programs being real ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["parley", *map(str, arguments)])
        try:
            status = main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        return status, *self._capsys.readouterr()


@pytest.fixture
def parley(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    return Ran(monkeypatch, capsys)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    Image.new("RGB", (90, 70), "red").save(path)
    return path


def test_json_holds_the_whole_answer(parley: Ran, model: Path, picture: Path) -> None:
    status, out, err = parley(
        "ask", "What is it?", "--image", picture, "--model", model, "--json", "--max-tokens", "30", "--seed", "1"
    )
    assert (status, err) == (0, "")
    answer = json.loads(out)
    assert answer.keys() == {"thinking", "answer", "reason", "usage", "timings", "model", "device"}
    assert answer["usage"].keys() == {"prompt", "reused", "thinking", "answer"}
    assert answer["timings"].keys() == {"load_s", "first_token_s", "decode_tok_s"}
    assert (answer["reason"], answer["usage"]["thinking"], answer["answer"]) == ("length", 30, "")
    assert answer["thinking"] != ""
    assert answer["usage"]["prompt"] > 30
    assert (answer["model"], answer["device"]) == ("endless", "CPU")
    assert answer["timings"]["load_s"] > 0


def test_a_batch_is_answered_in_order_by_one_engine(parley: Ran, model: Path, picture: Path, tmp_path: Path) -> None:
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    lines = [
        json.dumps({"text": "Hello", "max_tokens": 4, "seed": 3}),
        "{no json",
        json.dumps({"text": "Hello", "think_budget": 0}),
        json.dumps({"text": "Hello", "colour": "red"}),
        json.dumps({"text": "word " * 1_000_000}),
        json.dumps({"text": "What?", "images": [str(picture)], "history": history, "direct": True, "max_tokens": 3}),
        json.dumps({"text": "Hello", "max_tokens": 4, "seed": 3}),
    ]
    batch = tmp_path / "batch.jsonl"
    batch.write_text("\n".join(lines) + "\n")
    status, out, err = parley("ask", "--batch", batch, "--model", model, "--context", "2000")
    assert (status, err) == (0, "")
    results = [json.loads(line) for line in out.splitlines()]
    assert [set(result) == {"error"} for result in results] == [False, True, True, True, True, False, False]
    assert "the context holds 2,000" in results[4]["error"]
    assert results[5]["usage"]["thinking"] == 0
    assert results[0]["thinking"] == results[6]["thinking"]
    assert (results[0]["timings"]["load_s"] > 0, results[6]["timings"]["load_s"]) == (True, 0)


def bad_files(folder: Path) -> dict[str, Path]:
    (folder / "text.png").write_text("this is no picture")
    (folder / "empty.png").write_bytes(b"")
    Image.new("RGB", (300, 300), "red").save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:700])
    names = {"text.png": "text.png", "empty.png": "empty", "truncated.jpg": "damaged", "missing.png": "no file"}
    return {name: folder / name for name in names} | {"folder": folder}


def test_files_that_cannot_be_used_are_refused_in_one_sentence(parley: Ran, model: Path, tmp_path: Path) -> None:
    batch = tmp_path / "batch.jsonl"
    files = bad_files(tmp_path)
    lines = [json.dumps({"text": "What?", "images": [str(path)]}) for path in files.values()]
    batch.write_text("\n".join(lines))
    status, out, _ = parley("ask", "--batch", batch, "--model", model)
    errors = [json.loads(line)["error"] for line in out.splitlines()]
    assert status == 0
    assert len(errors) == len(files)
    assert all(path.name in error for path, error in zip(files.values(), errors, strict=True))
    for name in ("empty.png", "missing.png", "folder"):
        status, out, err = parley("ask", "What?", "--image", files[name], "--model", model)
        assert (status, out, err.count("\n")) == (2, "", 1)
    status, out, err = parley("ask", "What?", "--video", files["text.png"].parent / "whole.jpg", "--model", model)
    assert (status, out, err) == (2, "", "whole.jpg is a picture; attach it with --image.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask"], "give either a TEXT or --batch FILE"),
        (["ask", "", "--model", "."], "There is no question"),
        (["ask", " \n", "--model", "."], "There is no question"),
        (["ask", "x", "--model", "/nowhere/at/all"], "There is no model folder"),
        (["ask", "x", "--history", "/nowhere"], "cannot be read"),
        (["ask", "x", "--history", __file__], "is not valid JSON"),
        (["ask", "x", "--batch", "y"], "give either a TEXT or --batch FILE"),
        (["ask", "--batch", "y", "--image", "x.png"], "in the lines of the file"),
        (["ask", "x", "--temperature", "hot"], "--temperature"),
        (["ask", "x", "--temperature", "-1"], "--temperature"),
        (["ask", "x", "--max-tokens", "0"], "--max-tokens"),
        (["ask", "x", "--think-budget", "0"], "--think-budget"),
        (["ask", "x", "--seed", "1.5"], "--seed"),
        (["ask", "--batch", "/nowhere"], "cannot be read"),
        (["sing"], "invalid choice"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(parley: Ran, arguments: list[str], said: str) -> None:
    status, out, err = parley(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(
    "history", [{}, [1], [{"role": "tool", "content": "x"}], [{"role": "user"}], [{"role": "user", "content": ["x"]}]]
)
def test_a_history_of_another_form_is_refused(parley: Ran, tmp_path: Path, history: object) -> None:
    (tmp_path / "history.json").write_text(json.dumps(history))
    status, out, err = parley("ask", "x", "--history", tmp_path / "history.json")
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_a_broken_checkpoint_is_bad_input(parley: Ran, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    status, out, err = parley("ask", "Hello", "--model", tmp_path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "choose the folder of a complete model" in err
    assert (paths.log_dir() / "ask-engine.log").is_file()


def test_version_is_said_without_starting_anything(parley: Ran) -> None:
    assert parley("--version") == (0, f"Parley {__version__}\n", "")


def test_without_a_display_the_window_says_what_else_there_is(parley: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    status, out, err = parley()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "parley ask" in err
    assert "xvfb-run" in err


def test_a_reader_that_goes_away_is_no_traceback(model: Path) -> None:
    command = [sys.executable, "-m", "app", "ask", "Hello", "--model", str(model), "--direct", "--seed", "1"]
    with subprocess.Popen(
        command, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"")


def test_json_is_flushed_and_in_utf_8_whoever_reads_it(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "ask", "--model", str(model), "--json", "--max-tokens", "1"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        [*command, "Hello"], cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"")
    (tmp_path / "batch.jsonl").write_text('{"farbe-für-你": 1}\n', encoding="utf-8")
    ran = subprocess.run(
        [*command, "--batch", str(tmp_path / "batch.jsonl")],
        cwd=root,
        env=environment | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert "farbe-für-你" in json.loads(ran.stdout)["error"]


def test_a_model_that_cannot_be_loaded_leaves_no_engine_behind(model: Path) -> None:
    with Answering(model, 10**6, lambda event: None) as answering:
        with pytest.raises(AskError, match="choose a size between them"):
            answering.open()
        assert answering._engine is None


def test_a_program_that_dies_or_hangs_is_named_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, parley: Ran, model: Path
) -> None:
    from app import programs

    def dying(_name: str) -> programs.Program:
        return programs.Program([sys.executable, "-c", "import sys; sys.exit(3)"], os.curdir)

    monkeypatch.setattr("app.ask.child.program", dying)
    status, out, err = parley("ask", "Hello", "--model", model)
    assert (status, out) == (1, "")
    assert err.startswith("The engine ended unexpectedly; try again")


def test_a_silent_program_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from app import programs

    def silent(_name: str) -> programs.Program:
        return programs.Program([sys.executable, "-c", "import time; time.sleep(1000)"], os.curdir)

    monkeypatch.setattr("app.ask.child.program", silent)
    child = Child("engine")
    with pytest.raises(LostError, match="has not answered"):
        child.receive(0.1)


def test_it_starts_nothing_before_it_is_used(model: Path) -> None:
    with Answering(model, None, lambda event: None) as answering:
        assert answering._engine is None


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_thinking_is_dim_and_control_characters_are_gone() -> None:
    out, err = Terminal(), Terminal()
    screen = Screen(silent=False, out=out, err=err)
    screen.hear(Loading("Loading the weights", 1, 2))
    screen.hear(Delta("r", "thinking", "Hm\x1b]0;title\x07", 1))
    screen.hear(Delta("r", "answer", "Yes\x1b[31m\n", 1))
    screen.end()
    assert "Loading the weights 50 %" in err.getvalue()
    assert err.getvalue().endswith("\x1b[2mHm]0;title\x1b[0m\n\n")
    assert out.getvalue() == "Yes[31m\n\n"


def test_into_a_pipe_everything_goes_as_it_is() -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(silent=False, out=out, err=err)
    screen.hear(Hello("1", 1))
    screen.hear(Loading("Loading the weights", 1, 2))
    screen.hear(Delta("r", "thinking", "Hm", 1))
    screen.hear(Delta("r", "answer", "a\tb", 1))
    screen.end()
    assert (out.getvalue(), err.getvalue()) == ("a\tb\n", "Hm\n")


def test_the_presets_are_the_models_unless_it_is_the_demo_model() -> None:
    assert default_sampling(thinking=True, demo=False) is THINKING_GENERAL
    assert default_sampling(thinking=False, demo=False) is DIRECT_GENERAL
    assert default_sampling(thinking=True, demo=True) is DEMO

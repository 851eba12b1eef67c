"""The demo model in the terminal: one engine answers a batch about text, a picture and a video, greedily."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.engine.request import LEADING_OUT
from tests.media.corpus import moving_square, save_clip, shape

ROOT = Path(__file__).resolve().parents[2]


def parley(*arguments: str, home: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={"PARLEY_HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("batch")
    circle, clip = folder / "drawing.jpg", folder / "clip.mp4"
    shape("circle", "red", (480, 320)).save(circle, quality=88)
    save_clip(clip, moving_square("left"))
    asked = [
        {"text": "What is 37 + 48?"},
        {"text": "What is 12 + 7?", "direct": True},
        {"text": "What is in the picture?", "images": [str(circle)]},
        {"text": "Which way does it move?", "videos": [str(clip)]},
        {"text": "What is my name?", "history": remembered("My name is Ada.", "Nice to meet you, Ada.")},
        {"text": "Look", "images": [str(folder / "missing.png")]},
        {"text": "What is 37 + 48?", "think_budget": 4, "seed": 5},
        {"text": "What is 37 + 48?", "think_budget": 4, "seed": 5},
        {"text": "What is 37 + 48?", "think_budget": 1000},
    ]
    batch = folder / "batch.jsonl"
    batch.write_text("".join(json.dumps(line) + "\n" for line in asked))
    done = parley("ask", "--batch", str(batch), "--temperature", "0", home=folder / "home")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def remembered(said: str, answered: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": said}, {"role": "assistant", "content": answered}]


def test_it_adds_and_thinks_before(results: list[dict[str, Any]]) -> None:
    assert "85" in results[0]["answer"]
    assert results[0]["thinking"]
    assert results[0]["reason"] == "end"


def test_direct_does_not_think(results: list[dict[str, Any]]) -> None:
    assert results[1]["thinking"] == ""
    assert results[1]["usage"]["thinking"] == 0
    assert results[1]["answer"]


def test_it_sees_a_picture_and_a_video(results: list[dict[str, Any]]) -> None:
    assert "a red circle" in results[2]["answer"].lower()
    assert "left" in results[3]["answer"].lower()


def test_it_remembers(results: list[dict[str, Any]]) -> None:
    assert "Ada" in results[4]["answer"]


def test_a_line_that_cannot_be_answered_says_why(results: list[dict[str, Any]]) -> None:
    assert set(results[5]) == {"error"}
    assert "missing.png" in results[5]["error"]
    assert len(results) == 9


def test_a_budget_leads_the_thinking_to_its_answer(results: list[dict[str, Any]]) -> None:
    limited, again, plenty = results[6:]
    assert limited["thinking"] == "37 + 48." + LEADING_OUT  # the first sentence that ends behind the fourth token
    assert limited["answer"]
    assert 10 < limited["usage"]["thinking"] < results[0]["usage"]["thinking"]
    assert (again["thinking"], again["answer"]) == (limited["thinking"], limited["answer"])
    assert again["usage"]["reused"] >= limited["usage"]["prompt"] - 4
    assert (plenty["thinking"], plenty["answer"]) == (results[0]["thinking"], results[0]["answer"])


def test_one_question_streams_its_answer_to_stdout(tmp_path: Path) -> None:
    question = ("ask", "Write a list", "--temperature", "1", "--seed", "7")
    done, again = parley(*question, home=tmp_path), parley(*question, home=tmp_path)
    assert done.returncode == 0
    assert "\n- " in done.stdout
    assert done.stdout == again.stdout, "a seed gives the same text again"
    assert done.stderr, "the thinking goes to stderr"

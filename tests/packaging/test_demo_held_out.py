"""The held-out questions are files that can be read, and answers to them are judged rightly."""

import json
import random
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.packaging.demo import evaluate, held_out


def test_questions_come_with_their_files(tmp_path: Path) -> None:
    items = held_out.items(tmp_path, 3, 1)
    assert {item.task.split("/")[0] for item in items} == {"chat", "write", "picture", "video", "arithmetic", "recall"}
    for item in items:
        for path in item.images:
            assert cv2.imread(path) is not None
        for path in item.videos:
            frames, data = evaluate.frames_of(path)
            assert len(frames) == data.total_num_frames
            assert 0.9 <= len(frames) / float(data.fps or 1) <= 10.1
        line: dict[str, Any] = json.loads(item.line(7))
        assert line["seed"] == 7
        assert line["expect"]["all"]


def test_recall_lies_far_back() -> None:
    item = held_out.recall(random.Random(1), Path(), "")  # noqa: S311
    assert sum(len(message["content"].split()) for message in item.history) > 900


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ({"answer": "There is a red circle in the picture.", "thinking": "hm", "reason": "end"}, True),
        ({"answer": "There is a red circle and a blue square.", "thinking": "hm", "reason": "end"}, False),
        ({"answer": "There is a red circle in the picture.", "thinking": "", "reason": "end"}, False),
        ({"answer": "There is a red circle in the picture.", "thinking": "hm", "reason": "length"}, False),
        ({"answer": "There is a green circle.", "thinking": "hm", "reason": "end"}, False),
        ({"error": "The picture cannot be read."}, False),
    ],
)
def test_answers_are_judged(answer: dict[str, str], right: bool) -> None:
    question = {"direct": False, "expect": {"all": ["a red circle"], "none": ["square"]}}
    assert evaluate.good(question, answer) is right

"""When a text goes round in circles, and when it only looks like it."""

import time
from pathlib import Path

import pytest

from app.chat.repetition import Repetition

SENTENCE = "Wait, let me check that once more: the third root lies between one and two, so it does not count. "


def heard(text: str, piece: int = 7) -> int | None:
    """After how many characters it is said to repeat itself; None if never."""
    repetition = Repetition()
    for at in range(0, len(text), piece):
        if repetition.hear(text[at : at + piece]):
            return at + piece
    return None


@pytest.mark.parametrize(
    "loop",
    [
        SENTENCE * 60,
        "".join(f"Case {number}. {SENTENCE}" for number in range(60)),
        "所以第三个根在一和二之间,不算在内。等一下,让我再检查一遍。" * 200,
        "!" * 3000,
        (SENTENCE.upper() + "".join(f"{number} and {number * 7}. " for number in range(250))) * 6,
    ],
)
def test_a_loop_is_noticed(loop: str) -> None:
    assert heard(loop) is not None


def test_a_short_loop_is_noticed_within_five_hundred_tokens_after_a_long_text() -> None:
    begun = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
    found = heard(begun + SENTENCE * 60)
    assert found is not None
    assert len(begun) < found < len(begun) + 2000


@pytest.mark.parametrize(
    "text",
    [
        *(file.read_text() for file in sorted((Path(__file__).parents[2] / "app").glob("*.py"))),
        (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(),
        "".join(f"| {number} | {number * number} | {'odd' if number % 2 else 'even'} |\n" for number in range(900)),
        "".join(f'<tr><td class="name">{n * 37 % 991}</td><td class="age">{n % 97}</td></tr>\n' for n in range(900)),
    ],
)
def test_ordinary_texts_and_tables_are_none(text: str) -> None:
    assert heard(text) is None


def test_a_draft_and_two_fair_copies_are_none() -> None:
    draft = (Path(__file__).parents[2] / "app" / "presets.py").read_text()
    assert heard(draft * 3) is None


def test_it_is_quick_and_does_not_grow() -> None:
    repetition = Repetition()
    began = time.process_time()
    for number in range(20_000):
        repetition.hear(f"{number * 7919 % 104_729} ")
    assert time.process_time() - began < 1.0  # 0.1 s on an idle machine for what 30,000 tokens are
    assert len(repetition._counts) <= 2**16 + 10

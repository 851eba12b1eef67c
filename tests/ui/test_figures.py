"""Numbers and days as the person reads them."""

from datetime import date

import pytest

from app.ui import figures
from app.ui.conversation_rows import day_name


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (999, "999"), (45_620, "45.6K"), (74_000, "74K"), (1_010_000, "1.0M")]
)
def test_tokens_in_little_space(value: int, words: str) -> None:
    assert figures.short_tokens(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(12, "12 bytes"), (3_210_000_000, "3.2 GB"), (178_000_000_000, "178 GB"), (5_000_000, "5.0 MB")],
)
def test_sizes(value: int, words: str) -> None:
    assert figures.size(value) == words


@pytest.mark.parametrize(("value", "words"), [(0.24, "0.24 s"), (3.44, "3.4 s"), (12.2, "12 s"), (125.9, "2 min 5 s")])
def test_durations(value: float, words: str) -> None:
    assert figures.seconds(value) == words


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2026, 11, 23), "Today"),
        (date(2026, 11, 22), "Yesterday"),
        (date(2026, 11, 19), "Thursday"),
        (date(2026, 11, 2), "November"),
        (date(2025, 11, 22), "November 2025"),
        (date(2026, 11, 24), "Today"),
    ],
)
def test_days(day: date, words: str) -> None:
    assert day_name(day, date(2026, 11, 23)) == words

"""The gauges in the status line: what they say, draw and warn of."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from app.ui.counting import ContextUse
from app.ui.status_line import StatusLine
from app.ui.theme import DARK, LIGHT, Theme
from tests.ui.fake_engine import GAUGES, GIB


@pytest.fixture
def line(app: QApplication) -> Iterator[StatusLine]:
    made = StatusLine(LIGHT)
    made.resize(1200, 34)
    made.show()
    yield made
    made.close()


def drawn(line: StatusLine) -> list[str]:
    """The colours of the memory's bar from left to right, each once."""
    image = line.memory.bar.grab().toImage()
    row = [QColor(image.pixel(x, image.height() // 2)).name() for x in range(4, image.width() - 4)]
    return [colour for before, colour in zip(["", *row], row, strict=False) if colour != before]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_part_of_the_memory_is_drawn_in_its_colour(line: StatusLine, theme: Theme) -> None:
    line.apply_theme(theme)
    line.show_memory(replace(GAUGES, weights=10 * GIB))
    colours = [theme.bar_first, theme.bar_second, theme.bar_third, theme.bar_fourth, theme.bar_other, theme.bar_track]
    assert drawn(line) == colours
    assert line.memory.words.text() == "16.0 of 24.0 GiB"
    described = line.memory.accessibleDescription()
    assert described == (
        "Model 10.0 GiB; Conversation cache 3.1 GiB; Vision 1.2 GiB; Working space 0.8 GiB; "
        "Other programs 0.9 GiB; Free 8.0 GiB"
    )


def test_a_gpu_that_others_fill_warns(line: StatusLine) -> None:
    line.show_memory(replace(GAUGES, weights=18 * GIB))
    assert drawn(line)[0] == LIGHT.warning
    assert "close other programs" in line.memory.breakdown()
    line.show_memory(replace(GAUGES, weights=int(17.7 * GIB)))
    assert "close other programs" not in line.memory.breakdown()
    line.show_memory(replace(GAUGES, kind="cpu", weights=17 * GIB))
    assert "close other programs" in line.memory.breakdown()


def test_a_processor_shows_the_machines_memory(line: StatusLine) -> None:
    line.show_memory(replace(GAUGES, kind="cpu", cache=0, vision=0, workspace=0))
    assert line.memory.name.text() == "Memory"
    assert line.memory.accessibleDescription().startswith("Engine 15.6 GiB; Other programs")


def test_the_context_says_what_is_left_for_the_answer(line: StatusLine) -> None:
    line.show_context(ContextUse(45_700, 1_340, 74_000))
    assert line.context.words.text() == "45.7K + 1.3K of 74K"
    assert line.context.accessibleDescription() == (
        "Conversation 45,700 tokens; This draft 1,340 tokens; Room for the answer 26,960 tokens"
    )
    assert "full" not in line.context.breakdown()
    line.show_context(ContextUse(70_000, 1_000, 74_000))
    assert "Nearly full" in line.context.breakdown()


def test_a_draft_that_leaves_no_room_says_by_how_much(line: StatusLine) -> None:
    line.show_context(ContextUse(70_000, 4_000, 74_000))
    assert "shorten it by at least 1 token," in line.context.breakdown()
    line.show_context(ContextUse(70_000, 5_339, 74_000))
    assert "shorten it by at least 1,340 tokens" in line.context.breakdown()
    assert "Room for the answer 0 tokens" in line.context.accessibleDescription()

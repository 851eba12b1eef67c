"""Wide and narrow, light and dark, by keyboard, and the same after a restart."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolTip, QWidget

from app.protocol import Sampling
from app.ui.application import Face
from app.ui.chosen import sampling_of
from app.ui.main_window import MainWindow
from app.ui.stacked_bar import Segment
from app.ui.theme import DARK, LIGHT, chosen
from tests.ui.conftest import ROOT, FaceMaker, ask, until
from tests.ui.test_window import over, shown


def python(code: str) -> "subprocess.CompletedProcess[str]":
    """Run a few lines in a fresh Python."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def activate(window: MainWindow) -> None:
    """Make it the window that has the keyboard."""
    window.activateWindow()
    until(lambda: QApplication.activeWindow() is window)


def answered(window: MainWindow) -> None:
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))


def test_thinking_is_beside_when_wide_and_a_line_that_unfolds_when_narrow(window: MainWindow) -> None:
    answered(window)
    window.resize(1360, 860)
    assert window.pane.isVisible()
    assert abs(window.pane.width() - window.settings.pane_width) <= 1
    assert not window.thinking_line.isVisible()
    window.resize(979, 860)
    assert not window.pane.isVisible()
    assert window.thinking_line.isVisible()
    assert not window.thinking_line.text.isVisible()
    window.thinking_line.chevron.click()
    assert window.thinking_line.text.isVisible()
    assert "half a second apart" in window.thinking_line.text.view.text
    window.thinking_line.chevron.click()
    assert not window.thinking_line.text.isVisible()


@pytest.mark.parametrize("width", [480, 560, 730])
def test_the_draft_s_figures_give_way_and_the_notice_is_read_whole(window: MainWindow, width: int) -> None:
    window.resize(width, 860)
    window.composer.budget.show_choice(32_768, thinking=True)
    window.composer.set_tokens(131_072)
    window.notice.say("one more word " * 20, "x", "Leave out the oldest", other=("y", "Summarize them"))
    sentence = window.notice.sentence
    until(lambda: sentence.height() >= sentence.heightForWidth(sentence.width()))
    assert window.composer.minimumSizeHint().width() <= window.composer.width()


def test_the_pane_folds_to_the_line_and_comes_back(window: MainWindow) -> None:
    answered(window)
    window.pane.fold.click()
    assert (window.pane.isVisible(), window.thinking_line.isVisible()) == (False, True)
    window.thinking_line.chevron.click()
    assert (window.pane.isVisible(), window.thinking_line.isVisible()) == (True, False)
    window.pane.fold.click()
    shown(window).foot.thought.click()
    assert window.pane.isVisible()


def test_the_sidebar_is_a_drawer_in_a_narrow_window(window: MainWindow) -> None:
    window.resize(700, 800)
    assert not window.sidebar.isVisible()
    QTest.keyClick(window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    assert window.sidebar.isVisible()
    assert window.sidebar.height() == window.height()
    QTest.keyClick(window, Qt.Key.Key_Escape)
    assert not window.sidebar.isVisible()
    window.header.sidebar.click()
    window.sidebar.new.click()
    assert not window.sidebar.isVisible()
    window.resize(1200, 800)
    assert window.sidebar.isVisible()
    assert window.shell.sides.indexOf(window.sidebar) == 0


def test_control_b_hides_the_sidebar_of_a_wide_window(window: MainWindow) -> None:
    assert window.sidebar.isVisible()
    for expected in (False, True):
        QTest.keyClick(window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
        assert window.sidebar.isVisible() is expected
        assert window.header.sidebar.isVisible() is not expected


@pytest.mark.parametrize("width", [480, 640, 720, 900, 1360, 2560])
def test_nothing_pushes_the_window_wider_than_it_is(window: MainWindow, width: int) -> None:
    def inside(part: QWidget) -> bool:
        return part.isVisible() and part.mapTo(window, part.rect().bottomRight()).x() < width

    window.resize(width, 700)
    assert window.width() == width
    until(lambda: all(inside(button) for button in window.empty.suggestions))
    answered(window)
    assert window.width() == width
    until(lambda: all(inside(part) for part in (window.header, window.transcript, window.composer, window.status)))
    buttons = (window.composer.send, window.composer.attach, window.header.preset)
    until(lambda: all(button.width() >= button.minimumSizeHint().width() for button in buttons))


def test_control_n_begins_a_conversation_and_uses_an_empty_one_again(window: MainWindow) -> None:
    answered(window)
    first = window.session.current
    for _ in range(2):
        QTest.keyClick(window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    assert window.session.current is not first
    assert len(window.session.library.summaries) == 1
    assert window.empty.isVisible()
    window.sidebar.list.set_row(1)
    assert window.session.current is first
    assert window.transcript.isVisible()


def test_the_theme_follows_the_system_and_the_choice() -> None:
    assert chosen("system", Qt.ColorScheme.Dark) is DARK
    assert chosen("system", Qt.ColorScheme.Light) is LIGHT
    assert chosen("system", Qt.ColorScheme.Unknown) is LIGHT
    assert chosen("dark", Qt.ColorScheme.Light) is DARK
    assert chosen("light", Qt.ColorScheme.Dark) is LIGHT


def test_the_theme_changes_live(face: Face, app: QApplication) -> None:
    answered(face.window)
    for name, theme in (("dark", DARK), ("light", LIGHT)):
        face.window.preferences.change(theme=name)
        assert theme.background in app.styleSheet()
        assert face.window.grab().toImage().pixelColor(400, 60).name() == theme.background
    assert face.ready


def test_no_colour_of_the_style_sheet_is_left_unnamed(app: QApplication, face: Face) -> None:
    assert "@" not in app.styleSheet()


def test_a_nearly_full_gauge_warns_and_says_what_to_do(window: MainWindow) -> None:
    gauge = window.status.context
    full, roomy = (Segment("Conversation", value, "tokens", "bar_first") for value in (95, 20))
    gauge.show_parts("Context", (full,), 100, "95 of 100", "Begin anew.")
    assert gauge.words.property("warning") is True
    assert "Begin anew." in gauge.breakdown()
    gauge.show_parts("Context", (roomy,), 100, "20 of 100", "Begin anew.")
    assert gauge.words.property("warning") is False
    assert "Begin anew." not in gauge.breakdown()


def test_focus_opens_the_breakdown(window: MainWindow) -> None:
    activate(window)
    window.status.memory.setFocus()
    until(lambda: "Other programs" in QToolTip.text())
    window.composer.edit.setFocus()


def chosen_here(window: MainWindow) -> Sampling:
    choices = window.session.current.choices
    return sampling_of(choices, window.settings, thinking=window.session.thinking, demo=False)


def test_a_preset_is_chosen_and_kept(window: MainWindow) -> None:
    window.header.preset.chosen.emit("direct-reasoning")
    assert window.header.preset.text() == "Direct, reasoning"
    assert not window.composer.thinking.isChecked()
    assert chosen_here(window).presence_penalty == 2.0
    window.composer.thinking.click()
    assert window.header.preset.text() == "Thinking, general"
    assert chosen_here(window).presence_penalty == 1.5


def test_the_window_comes_back_as_it_was(new_face: FaceMaker, home: Path) -> None:
    face = new_face(start=False)
    face.window.show()
    face.window.resize(1100, 700)
    face.window.composer.thinking.click()
    face.window.close()
    kept = json.loads((home / "data" / "settings.json").read_text())
    assert (kept["window_width"], kept["window_height"], kept["thinking"]) == (1100, 700, False)
    again = new_face(start=False)
    assert (again.window.width(), again.window.height()) == (1100, 700)
    assert not again.window.composer.thinking.isChecked()


def test_the_window_imports_nothing_heavy_and_is_painted_soon(home: Path) -> None:
    code = (
        "import sys, time; began = time.perf_counter()\n"
        "from PySide6.QtCore import QTimer\n"
        "from app.ui import application\n"
        "from app.ui.main_window import MainWindow\n"
        "def painted(self, event):\n"
        "    print(time.perf_counter() - began)\n"
        "    QTimer.singleShot(0, application.QApplication.instance().quit)\n"
        "MainWindow.paintEvent = painted\n"
        "application.run()\n"
        "heavy = {'torch', 'transformers', 'gptqmodel', 'cv2', 'PIL', 'numpy'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    out = python(code)
    seconds, heavy = out.stdout.split("\n")[:2]
    assert heavy == "[]"
    assert float(seconds) < 3.0  # 0.8 s on an idle machine with two cores; the aim is 1.5
    assert out.stderr == ""

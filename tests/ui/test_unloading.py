"""The model's memory given back, by hand or when nobody uses it, and the model brought back by the next question."""

from PySide6.QtGui import QAction

from app import settings
from app.ui.main_window import MainWindow
from app.ui.state import Answering, NoModel, Ready
from tests.ui.conftest import ask, until
from tests.ui.test_window import newest, over


def action(window: MainWindow, words: str) -> QAction:
    (found,) = [each for each in window.header.menu.findChildren(QAction) if each.text() == words]
    return found


def unloaded(window: MainWindow) -> bool:
    state = window.session.state
    return isinstance(state, NoModel) and state.unloaded


def test_an_unloaded_model_comes_back_with_the_next_question(window: MainWindow) -> None:
    until(lambda: isinstance(window.session.state, Ready))
    action(window, "Unload the model").trigger()
    assert unloaded(window)
    assert "comes back with your next question" in window.empty.words.text()
    ask(window, "What is 37 + 48?")
    assert window.notice.isHidden()
    until(lambda: over(window))
    assert "85" in newest(window).text
    action(window, "Unload the model").trigger()
    window.revision.last_again()
    until(lambda: over(window))
    assert "85" in newest(window).text


def test_a_model_that_answers_is_not_unloaded(window: MainWindow) -> None:
    ask(window, "a long story")
    until(lambda: newest(window).answer_tokens > 5)
    action(window, "Unload the model").trigger()
    assert isinstance(window.session.state, Answering)
    assert "stop it first" in window.notice.sentence.text()


def test_a_model_that_nobody_uses_is_unloaded_after_the_chosen_time(window: MainWindow) -> None:
    until(lambda: isinstance(window.session.state, Ready))
    waiting = window.session._unused
    assert not waiting.isActive()
    window.preferences.change(unload_after=10)
    assert isinstance(window.session.state, Ready)  # it was not loaded again for that
    assert settings.load().unload_after == 10
    assert (waiting.isActive(), waiting.interval()) == (True, 600_000)
    ask(window, "What is 37 + 48?")
    assert not waiting.isActive()
    until(lambda: over(window))
    assert waiting.isActive()
    waiting.timeout.emit()
    assert unloaded(window)
    assert not waiting.isActive()

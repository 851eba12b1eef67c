"""Thinking under control: shown live, limited, cut short, and noticed when it goes round in circles."""

import json
from pathlib import Path

from app.chat.conversation import Answer
from app.chat.sent import messages_before
from app.history.jobs import folder
from app.history.store import Store
from app.ui.main_window import MainWindow
from tests.ui.conftest import FaceMaker, ask, until
from tests.ui.fake_engine import LED_OUT
from tests.ui.test_window import newest, over


def thinks(window: MainWindow, tokens: int = 5) -> Answer:
    """Wait until it thinks; the answer."""
    until(lambda: newest(window).stage == "thinking" and newest(window).thinking_tokens > tokens)
    return newest(window)


def choose_limit(window: MainWindow, tokens: int) -> None:
    menu = window.composer.budget.menu()
    next(action for action in menu.actions() if action.data() == tokens).trigger()


def test_tokens_and_seconds_are_counted_while_it_thinks(window: MainWindow) -> None:
    choose_limit(window, 8192)
    ask(window, "circles please")
    thinks(window, 50)
    window.thoughts.show()
    assert window.pane.title.text() == "Thinking"
    assert window.pane.figures.text().endswith("of 8,192 tokens")
    window.session.stop()
    until(lambda: over(window))
    assert window.pane.title.text() == "Thought"
    assert " of " not in window.pane.figures.text()


def test_a_limit_leads_to_the_answer_and_belongs_to_the_conversation(window: MainWindow, home: Path) -> None:
    assert window.composer.budget.text() == "no limit"
    choose_limit(window, 2048)
    assert window.composer.budget.text() == "up to 2K"
    ask(window, "circles please")
    until(lambda: over(window), patience_ms=20_000)
    answer = newest(window)
    assert answer.thinking.endswith(LED_OUT)
    assert 2048 < answer.thinking_tokens < 2200
    assert answer.text.startswith("You said: circles")
    first = window.session.current
    window.session.new_conversation()
    assert window.composer.budget.text() == "up to 2K"  # the next one begins as the last one was
    choose_limit(window, 0)
    assert window.composer.budget.text() == "no limit"
    window.session.open(first.key)
    assert window.composer.budget.text() == "up to 2K"
    kept = json.loads((home / "data" / "settings.json").read_text())
    assert kept.get("thinking_budget", 0) == 0
    store = Store(folder())
    try:
        assert store.load(first.key).choices.thinking_budget == 2048
    finally:
        store.close()
    window.composer.thinking.click()
    assert not window.composer.budget.isVisible()


def test_answer_now_ends_the_thinking_at_the_end_of_the_sentence(new_face: FaceMaker) -> None:
    face = new_face("--pace", "0.003")
    until(lambda: face.ready)
    window = face.window
    ask(window, "circles please")
    answer = thinks(window)
    assert window.pane.now.isEnabled()
    window.pane.now.click()
    assert not window.pane.now.isEnabled()
    assert window.pane.now.text() == "Finishing the sentence…"
    until(lambda: over(window))
    assert answer.thinking.endswith(LED_OUT)
    assert answer.thinking_tokens < 200
    assert answer.ending == "end"
    assert not window.pane.now.isVisible()


def test_what_was_thought_is_kept_and_not_sent_again(window: MainWindow) -> None:
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))
    thought = newest(window).thinking
    ask(window, "And then?")
    until(lambda: over(window))
    sent = messages_before(window.session.current)
    assert thought
    assert "half a second apart" not in repr(sent)
    store = Store(folder())
    try:
        kept = store.load(window.session.current.key).path()
    finally:
        store.close()
    assert [node.thinking for node in kept if isinstance(node, Answer)] == [thought, newest(window).thinking]


def test_circles_are_said_and_nothing_is_stopped_by_itself(window: MainWindow) -> None:
    ask(window, "circles please")
    until(lambda: "round in circles" in window.notice.sentence.text())
    assert (window.notice.button.text(), window.notice.other.text()) == ("Answer now", "Stop")
    assert window.notice.property("quiet") is True
    before = newest(window).thinking_tokens
    until(lambda: newest(window).thinking_tokens > before + 50)
    window.notice.button.click()
    assert not window.notice.isVisible()
    until(lambda: over(window))
    assert newest(window).ending == "end"
    assert newest(window).thinking.endswith(LED_OUT)


def test_a_circle_can_be_stopped_and_the_offer_goes_with_it(window: MainWindow) -> None:
    ask(window, "circles please")
    until(window.notice.isVisible)
    window.notice.other.click()
    until(lambda: over(window))
    assert newest(window).ending == "stopped"
    ask(window, "circles please")
    until(window.notice.isVisible)
    until(lambda: over(window), patience_ms=20_000)
    assert not window.notice.isVisible()


def test_an_ordinary_long_story_is_no_circle(window: MainWindow) -> None:
    ask(window, "a long story")
    until(lambda: over(window), patience_ms=20_000)
    assert not window.notice.isVisible()


def test_a_narrow_window_shows_it_live_and_folds_it_when_the_answer_begins(new_face: FaceMaker) -> None:
    face = new_face("--pace", "0.004")
    until(lambda: face.ready)
    window = face.window
    window.resize(700, 800)
    line = window.thinking_line
    ask(window, "a long story")
    thinks(window)
    until(line.text.isVisible)
    until(lambda: newest(window).stage == "answering")
    until(lambda: not line.text.isVisible())
    window.session.stop()
    until(lambda: over(window))

    ask(window, "again a long story")  # one that is touched stays as it was put
    thinks(window)
    until(line.text.isVisible)
    line.chevron.click()
    line.chevron.click()
    until(lambda: newest(window).answer_tokens > 5)
    assert line.text.isVisible()
    window.session.stop()
    until(lambda: over(window))

    ask(window, "and a long story")  # one that is folded while it grows is remembered
    thinks(window)
    until(line.text.isVisible)
    line.chevron.click()
    assert window.settings.pane_folded
    window.session.stop()
    until(lambda: over(window))
    ask(window, "a story")
    thinks(window)
    assert not line.text.isVisible()
    window.session.stop()
    until(lambda: over(window))

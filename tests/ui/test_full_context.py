"""The context is full: nothing happens by itself, what is offered is done, shown, kept and taken back."""

import pytest
from PySide6.QtGui import QColor

from app.chat.conversation import Conversation, Memory, Question
from app.chat.sent import SUMMARY_ASKED, messages_before
from app.history.jobs import folder
from app.history.store import Store
from app.protocol import Text
from app.ui.answer import AnswerView
from app.ui.main_window import MainWindow
from app.ui.memory_mark import OPACITY, Veil
from app.ui.theme import DARK, LIGHT, Theme
from app.ui.user_message import UserMessage
from tests.ui.conftest import FaceMaker, ask, until
from tests.ui.fake_engine import GOES_ON, SUMMARY
from tests.ui.test_accessible import _luminance as luminance
from tests.ui.test_window import newest, over, shown


def filled(window: MainWindow) -> list[Question]:
    """Four turns, the last answer of which fills the context; the questions."""
    for text in ("huge one", "huge two", "huge three", "fill it"):
        ask(window, text)
        until(lambda: over(window))
    until(lambda: window.session.counting.use.used > 60_000)
    assert newest(window).ending == "context"
    return [node for node in window.session.current.path() if isinstance(node, Question)]


def sent(conversation: Conversation) -> list[str]:
    return [part.text for m in messages_before(conversation) for part in m.parts if isinstance(part, Text)]


def kept(conversation: Conversation) -> list[Memory | None]:
    store = Store(folder())
    try:
        path = store.load(conversation.key).path()
    finally:
        store.close()
    return [node.memory for node in path if isinstance(node, Question)]


def veiled(window: MainWindow) -> list[bool]:
    views = [window.transcript.view_of(node.key) for node in window.session.current.path()]
    return [view is not None and view.findChild(Veil) is not None for view in views]


def message(window: MainWindow, question: Question) -> UserMessage:
    view = window.transcript.view_of(question.key)
    assert isinstance(view, UserMessage)
    return view


def test_the_oldest_turns_are_left_out_if_one_wants_it_and_come_back(window: MainWindow) -> None:
    questions = filled(window)
    notice, conversation = window.notice, window.session.current
    assert notice.sentence.text().startswith("The context is full.")
    assert (notice.button.text(), notice.other.text()) == ("Leave out the oldest", "Summarize them")
    assert kept(conversation) == [None] * 4
    assert "The context is full" in shown(window).ending.text()
    begun = newest(window).text
    notice.button.click()
    until(lambda: over(window) and newest(window).ending == "end")
    assert newest(window).text.startswith(begun)
    assert newest(window).text.endswith("went on to its end.")
    assert kept(conversation) == [None, None, Memory(), None]
    assert sent(conversation)[0] == "huge three"
    assert conversation.path()[0].text == "huge one"
    assert veiled(window) == [True] * 4 + [False] * 4
    mark = message(window, questions[2])._mark
    assert mark is not None
    assert "remembers from here on" in mark.words.text()
    until(lambda: window.session.counting.use.used < 25_000)
    assert "oldest 2 turns are no longer sent" in notice.sentence.text()
    assert notice.button.text() == "Undo"
    mark.undo.click()
    assert kept(conversation) == [None] * 4
    assert sent(conversation)[0] == "huge one"
    assert veiled(window) == [False] * 8
    assert message(window, questions[2])._mark is None


def test_a_summary_by_the_model_takes_their_place_and_is_shown(window: MainWindow) -> None:
    questions = filled(window)
    conversation = window.session.current
    window.notice.other.click()
    assert "being summarized" in window.notice.sentence.text()
    assert window.session.running(conversation)
    until(lambda: over(window) and newest(window).ending == "end")
    assert kept(conversation) == [None, None, Memory(SUMMARY), None]
    assert sent(conversation)[:3] == [SUMMARY_ASKED, SUMMARY, "huge three"]
    mark = message(window, questions[2])._mark
    assert mark is not None
    assert mark.summary is not None
    assert mark.summary.text == SUMMARY
    assert len(conversation.nodes) == 8  # neither the request for it nor the summary is a turn
    window.notice.button.click()
    assert kept(conversation) == [None] * 4


def test_a_summary_that_is_stopped_changes_nothing(new_face: FaceMaker) -> None:
    face = new_face("--pace", "0.01")
    until(lambda: face.ready)
    window = face.window
    window.composer.thinking.setChecked(False)
    filled(window)
    window.notice.other.click()
    until(lambda: "tokens written" in window.notice.sentence.text())
    window.composer.set_text("one more thing")
    window.session.submit()
    assert "still being written" in window.notice.sentence.text()
    assert window.composer.send.text() == "Stop"
    window.composer.send.click()
    until(lambda: not window.session.running(window.session.current))
    assert "nothing has changed" in window.notice.sentence.text()
    assert window.notice.other.text() == "Summarize them"
    assert kept(window.session.current) == [None] * 4
    assert newest(window).ending == "context"


def test_a_summary_ends_with_the_engine(window: MainWindow) -> None:
    filled(window)
    window.notice.other.click()
    window.session.start()
    assert not window.session.running(window.session.current)
    assert kept(window.session.current) == [None] * 4


def test_a_question_that_does_not_fit_waits_for_the_choice_and_is_sent_then(window: MainWindow) -> None:
    for text in ("huge one", "huge two"):
        ask(window, text)
        until(lambda: over(window))
    ask(window, "more than the context holds")
    until(window.notice.isVisible)
    assert "74,000 fit" in window.notice.sentence.text()
    assert window.composer.edit.toPlainText() == "more than the context holds"
    assert len(window.session.current.nodes) == 4
    until(lambda: window.session.counting.use.draft == 5)
    window.notice.button.click()
    assert window.composer.edit.toPlainText() == ""  # it was sent; this engine refuses it again whatever is before it
    until(lambda: window.composer.edit.toPlainText() != "")
    assert [memory is None for memory in kept(window.session.current)] == [True, False]
    assert sent(window.session.current)[0] == "huge two"
    until(window.notice.isVisible)
    assert "74,000 fit" in window.notice.sentence.text()
    assert not window.notice.button.isVisible()  # there is nothing older that could be left out


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_what_is_grey_can_still_be_read(theme: Theme) -> None:
    front, back = QColor(theme.text), QColor(theme.background)
    share = OPACITY / 255
    mixed = [round(b * share + f * (1 - share)) for f, b in zip(front.getRgb()[:3], back.getRgb()[:3], strict=True)]  # type: ignore[index]
    light, dark = sorted((luminance(QColor(*mixed).name()), luminance(theme.background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_continue_asks_again_how(window: MainWindow) -> None:
    filled(window)
    window.notice.hide()
    shown(window).foot.go_on.click()
    assert window.notice.button.text() == "Leave out the oldest"
    assert newest(window).ending == "context"
    window.session.new_conversation()
    assert not window.notice.isVisible()
    assert GOES_ON not in sent(window.session.current)


def test_a_summary_is_kept_for_a_conversation_that_is_not_shown_any_more(window: MainWindow) -> None:
    filled(window)
    conversation = window.session.current
    window.notice.other.click()
    window.session.new_conversation()
    assert not window.notice.isVisible()
    until(lambda: not window.session.running(conversation))
    assert kept(conversation) == [None, None, Memory(SUMMARY), None]
    assert not window.session.current.nodes
    window.session.open(conversation.key)
    assert newest(window).ending == "context"  # it goes on when the person wants it
    until(lambda: window.session.counting.use.used > 20_000)
    view = window.transcript.view_of(newest(window).key)
    assert isinstance(view, AnswerView)
    view.foot.go_on.click()
    until(lambda: over(window) and newest(window).ending == "end")

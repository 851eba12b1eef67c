"""The main job through the real widgets: ask, watch, stop, ask again, lose the engine and go on."""

from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QTextBrowser

from app.chat.conversation import Answer
from app.ui.answer import AnswerView
from app.ui.application import Face
from app.ui.code_block import CodeBlock
from app.ui.main_window import MainWindow
from app.ui.state import Answering, Dead, LoadingModel, NoModel, Ready
from tests.ui.conftest import FaceMaker, ask, files, until


def newest(window: MainWindow) -> Answer:
    answer = window.session.current.last_answer()
    assert answer is not None
    return answer


def shown(window: MainWindow) -> AnswerView:
    """The widget of the newest answer."""
    return window.transcript.findChildren(AnswerView)[-1]


def text_of(view: AnswerView) -> str:
    return "\n".join(browser.toPlainText() for browser in view.findChildren(QTextBrowser) if not browser.isHidden())


def over(window: MainWindow) -> bool:
    answer = window.session.current.last_answer()
    return answer is not None and answer.over


def test_a_question_is_answered_in_both_panes(window: MainWindow) -> None:
    QTest.keyClicks(window.composer.edit, "What is 37 + 48?")
    QTest.keyClick(window.composer.edit, Qt.Key.Key_Return)
    assert window.composer.edit.toPlainText() == ""
    until(lambda: over(window))
    assert "37 + 48 = 85." in text_of(shown(window))
    assert "half a second apart" in window.pane.text.view.text
    assert window.pane.figures.text().endswith("tokens")
    assert shown(window).foot.thought.text().startswith("Thought for")
    assert "61 tok/s" in shown(window).foot.figures.text()
    assert window.header.title.text() == "What is 37 + 48?"
    assert window.composer.send.text() == "Send"
    assert window.status.words() == ["21.6 of 24.0 GiB", "45.7K of 74K", "61 tok/s"]


def test_shift_enter_begins_a_line_and_the_field_grows(window: MainWindow) -> None:
    before = window.composer.edit.height()
    QTest.keyClicks(window.composer.edit, "one")
    QTest.keyClick(window.composer.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClicks(window.composer.edit, "two")
    assert window.composer.edit.toPlainText() == "one\ntwo"
    assert window.composer.edit.height() > before
    window.composer.set_text("line\n" * 200)
    assert window.composer.edit.height() <= 220
    assert not window.session.current.nodes


def test_without_thinking_there_is_no_thinking(window: MainWindow) -> None:
    window.composer.thinking.click()
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))
    assert newest(window).thinking == ""
    assert not window.pane.isVisible()
    assert window.header.preset.text() == "Direct, general"


def test_escape_stops_a_long_story_and_one_can_ask_again(window: MainWindow) -> None:
    ask(window, "a long story")
    until(lambda: newest(window).answer_tokens > 20)
    assert window.composer.send.text() == "Stop"
    QTest.keyClick(window, Qt.Key.Key_Escape)
    until(lambda: over(window))
    stopped = newest(window)
    assert stopped.ending == "stopped"
    assert 20 < stopped.answer_tokens < 2000
    assert shown(window).ending.text() == "Stopped."
    shown(window).foot.again.click()
    until(lambda: newest(window) is not stopped and newest(window).answer_tokens > 5)
    assert shown(window).ending.isHidden()
    QTest.keyClick(window, Qt.Key.Key_Escape)
    until(lambda: over(window))
    assert shown(window).foot.versions.words.text() == "2/2"
    shown(window).foot.versions.older.click()
    assert newest(window) is stopped


def test_a_story_of_two_thousand_tokens_is_shown_whole_and_the_end_stays_in_sight(window: MainWindow) -> None:
    ask(window, "a long story")
    until(lambda: over(window), patience_ms=20_000)
    answer = newest(window)
    assert answer.answer_tokens > 2000
    assert text_of(shown(window)).replace("\n", " ").count("The little lamp") == answer.text.count("The little lamp")
    bar = window.transcript.area.verticalScrollBar()
    until(lambda: bar.maximum() > 0 and bar.value() == bar.maximum())


def test_scrolling_up_stays_where_one_reads(window: MainWindow) -> None:
    ask(window, "a long story")
    bar = window.transcript.area.verticalScrollBar()
    until(lambda: bar.maximum() > 200)
    bar.setValue(10)
    count = newest(window).answer_tokens
    until(lambda: newest(window).answer_tokens > count + 50)
    assert bar.value() == 10
    window.transcript.to_end_button.click()
    assert bar.value() == bar.maximum()


def test_code_has_its_language_its_colours_and_a_copy_button(window: MainWindow) -> None:
    ask(window, "show code")
    until(lambda: over(window))
    block = window.transcript.findChildren(CodeBlock)[-1]
    assert block.text.startswith("import numpy as np")
    assert block.label.text() == "python"
    block.copy_button.click()
    assert QGuiApplication.clipboard().text() == block.text
    shown(window).foot.copy.click()
    assert QGuiApplication.clipboard().text() == newest(window).text


def test_one_can_write_while_the_model_loads_and_the_message_waits_its_turn(new_face: FaceMaker) -> None:
    face = new_face(start=False)
    face.window.show()
    ask(face.window, "What is 37 + 48?")
    assert newest(face.window).stage == "waiting"
    assert "Waits for the engine" in shown(face.window).progress.text()
    face.session.start()
    until(lambda: over(face.window))
    assert "85" in newest(face.window).text


def test_a_waiting_message_can_be_taken_back(new_face: FaceMaker) -> None:
    window = new_face("--loading").window
    until(lambda: isinstance(window.session.state, LoadingModel) and window.session.state.done)
    assert "5.5 GB of 17.8 GB" in window.sidebar.device.text()
    ask(window, "What is 37 + 48?")
    assert "Waits for the model" in shown(window).progress.text()
    window.composer.send.click()
    assert window.composer.edit.toPlainText() == "What is 37 + 48?"
    assert not window.session.current.nodes


def test_another_conversation_waits_for_the_one_that_is_answered(window: MainWindow) -> None:
    ask(window, "a long story")
    first = window.session.current
    until(lambda: isinstance(window.session.state, Answering))
    window.sidebar.new.click()
    ask(window, "What is 37 + 48?")
    assert newest(window).stage == "waiting"
    assert "Waits its turn" in shown(window).progress.text()
    assert window.sidebar.list.count() == 3
    window.session.open(first.key)
    window.session.stop()
    until(lambda: not window.session.running(first))
    window.session.open(next(s.key for s in window.session.library.summaries if s.key != first.key))
    until(lambda: over(window))
    assert "85" in newest(window).text


def test_a_crash_keeps_what_was_written_and_a_restart_goes_on(face: Face) -> None:
    window = face.window
    ask(window, "crash please")
    until(lambda: isinstance(face.session.state, Dead))
    answer = newest(window)
    assert answer.ending == "interrupted"
    assert answer.text.startswith("You said: crash")
    assert "engine stopped" in window.notice.sentence.text()
    assert window.notice.button.text() == "Restart engine"
    assert "Interrupted here" in shown(window).ending.text()
    window.composer.set_text("What is 37 + 48?")
    window.session.submit()
    assert window.composer.edit.toPlainText() == "What is 37 + 48?"
    window.notice.button.click()
    until(lambda: face.ready)
    assert window.notice.isHidden()
    window.session.submit()
    until(lambda: over(window) and newest(window) is not answer)
    assert "85" in newest(window).text


def test_a_hang_is_ended_and_said(new_face: FaceMaker) -> None:
    face = new_face(silence_ms=1500)
    until(lambda: face.ready)
    pid = face.engine.pid
    ask(face.window, "hang please")
    until(lambda: isinstance(face.session.state, Dead))
    assert "said nothing" in face.window.notice.sentence.text()
    assert newest(face.window).ending == "interrupted"
    until(lambda: not psutil.pid_exists(pid))


def test_what_does_not_fit_comes_back_as_a_draft(window: MainWindow, tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"x")
    window.session.draft.add_files([str(picture)])
    until(lambda: not window.session.draft.pending)
    ask(window, "more than the context holds")
    until(window.notice.isVisible)
    assert "74,000 fit" in window.notice.sentence.text()
    assert window.composer.edit.toPlainText() == "more than the context holds"
    assert [item.name for item in window.session.draft.items] == ["cat.png"]
    assert not window.session.current.nodes
    assert isinstance(window.session.state, Ready)


def test_a_failed_answer_keeps_its_text_and_offers_another(window: MainWindow) -> None:
    ask(window, "broken please")
    until(lambda: over(window))
    assert newest(window).text.startswith("You said: broken")
    assert shown(window).ending.text() == "The answer broke off: ask again."
    assert window.notice.button.text() == "Answer again"


@pytest.mark.parametrize("text", ["", "   \n "])
def test_nothing_is_not_sent(window: MainWindow, text: str) -> None:
    ask(window, text)
    assert "nothing to send" in window.notice.sentence.text()
    assert not window.session.current.nodes
    QTest.keyClicks(window.composer.edit, "a")
    assert window.notice.isHidden()


def test_five_megabytes_of_text_are_refused_and_the_draft_stays(window: MainWindow) -> None:
    window.composer.set_text("as it was")
    window.composer.insert("word " * 1_000_000)
    assert "5.0 MB" in window.notice.sentence.text()
    assert window.composer.edit.toPlainText() == "as it was"


def test_a_checkpoint_that_cannot_be_read_is_said_with_a_way_out(new_face: FaceMaker) -> None:
    window = new_face("--no-model").window
    until(lambda: isinstance(window.session.state, NoModel))
    assert "config.json is missing" in window.empty.words.text()
    assert window.empty.open_model.isVisible()
    ask(window, "hello")
    assert "config.json is missing" in window.notice.sentence.text()
    assert window.notice.button.text() == "Open model folder…"
    assert window.composer.edit.toPlainText() == "hello"


def test_the_draft_is_counted(window: MainWindow) -> None:
    window.composer.set_text("five words in this draft")
    until(lambda: window.composer.count.text() == "5 tokens in this draft")
    assert window.status.words()[1] == "0 + 5 of 74K"
    window.composer.set_text("")
    until(lambda: window.composer.count.text() == "")


def test_a_fault_of_the_window_is_one_sentence_and_it_goes_on(face: Face, capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError("a slot fell")
    face.report(RuntimeError, error, None)
    assert "RuntimeError" in face.window.notice.sentence.text()
    assert "a slot fell" in capsys.readouterr().err
    ask(face.window, "What is 37 + 48?")
    until(lambda: over(face.window))


def test_the_demo_model_is_called_so_and_can_do_what_is_suggested(new_face: FaceMaker) -> None:
    face = new_face("--demo")
    window = face.window
    until(lambda: face.ready)
    assert window.sidebar.model.text() == "Demo model"
    assert window.header.preset.text() == "Thinking, demo"
    window.empty.suggestions[0].click()
    until(lambda: over(window))
    assert "85" in newest(window).text


def test_a_model_can_be_changed(window: MainWindow, tmp_path: Path) -> None:
    ask(window, "a long story")
    until(lambda: newest(window).answer_tokens > 5)
    window.choose_model(str(tmp_path / "broken"))
    assert newest(window).ending == "interrupted"
    until(lambda: isinstance(window.session.state, NoModel))
    window.header.menu.demo.trigger()
    until(lambda: isinstance(window.session.state, Ready))
    assert window.settings.model == ""


def test_a_picture_alone_is_a_message(window: MainWindow, tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"x")
    window.on_media(files(picture))
    window.session.submit()  # while it is still being read: it is sent as soon as it is
    until(lambda: over(window))
    assert newest(window).text == "I see 1 of them: cat.png."


def test_a_slow_path_is_said_beside_the_model(new_face: FaceMaker, face: Face) -> None:
    slow = new_face("--slow").window.sidebar
    until(lambda: slow.remarks.text().startswith("Quantized weights"))
    assert slow.remarks.isVisible()
    until(lambda: face.ready)
    assert not face.window.sidebar.remarks.isVisible()

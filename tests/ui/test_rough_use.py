"""What an impatient person does to the window: too much at once, at the wrong moment, and what a file can be called."""

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QUrl
from PySide6.QtWidgets import QToolTip

from app.chat.conversation import Answer
from app.protocol import AnswerNow, EngineCommand, Measured
from app.settings import Settings, save, settings_file
from app.ui.application import Face
from app.ui.chips import Chip
from app.ui.link_dialog import LinkDialog
from app.ui.main_window import MainWindow
from app.ui.plain_tip import plain_tip
from app.ui.state import Answering, Dead
from tests.ui.conftest import FaceMaker, ask, drop, files, until


def newest(window: MainWindow) -> Answer:
    answer = window.session.current.last_answer()
    assert answer is not None
    return answer


def over(window: MainWindow) -> bool:
    return not window.session.running(window.session.current)


def pictures(folder: Path, count: int) -> list[Path]:
    made = [folder / f"picture-{number}.png" for number in range(count)]
    for file in made:
        file.write_bytes(b"x")
    return made


def chips(window: MainWindow) -> list[Chip]:
    return [chip for chip in window.composer.chips.findChildren(Chip) if not chip.isHidden()]


def test_a_restart_in_the_middle_of_an_answer_interrupts_it_and_goes_on(face: Face) -> None:
    window = face.window
    ask(window, "a long story")
    until(lambda: newest(window).answer_tokens > 5)
    window.header.menu.restart_requested.emit()
    assert newest(window).ending == "interrupted"
    until(lambda: face.ready)
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))
    assert "85" in newest(window).text


def test_another_model_is_not_made_to_wait_for_the_one_that_loads(new_face: FaceMaker, tmp_path: Path) -> None:
    face = new_face("--loading")
    until(lambda: face.engine.pid and face.window.sidebar.device.text().startswith("5.5 GB"))
    before = face.engine.pid
    face.window.choose_model(str(tmp_path / "other"))
    assert face.engine.pid != before


def test_what_is_refused_while_the_model_loads_is_said(new_face: FaceMaker, tmp_path: Path) -> None:
    window = new_face("--loading").window
    drop(window, files(tmp_path / "gone.png"))
    until(window.notice.isVisible)
    assert "gone.png" in window.notice.sentence.text()


def test_many_files_leave_room_for_the_message(window: MainWindow, tmp_path: Path) -> None:
    window.resize(560, 760)
    drop(window, files(*pictures(tmp_path, 30)))
    until(lambda: not window.session.draft.pending)
    until(lambda: len(chips(window)) == 30)
    assert window.composer.height() < window.height() / 2
    last = chips(window)[-1]
    until(lambda: window.composer.chips.viewport().rect().contains(last.mapTo(window.composer.chips, QPoint(0, 0))))
    kept = chips(window)[:7]
    window.session.draft.remove(window.session.draft.items[7].key)
    assert chips(window)[:7] == kept


@pytest.mark.parametrize("text", ["x" * 25_000, "word " * 25_000])
def test_text_without_breaks_that_would_freeze_the_window_is_refused(window: MainWindow, text: str) -> None:
    window.composer.set_text("as it was")
    window.composer.insert(text)
    assert "hardly a break" in window.notice.sentence.text()
    assert window.composer.edit.toPlainText() == "as it was"


def test_long_text_with_lines_is_taken(window: MainWindow) -> None:
    text = "a line of some words\n" * 8_000
    window.composer.insert(text)
    assert window.composer.edit.toPlainText() == text
    assert window.notice.isHidden()


def test_an_address_is_pasted_as_text(window: MainWindow) -> None:
    mime = QMimeData()
    mime.setText("https://example.org/page")
    mime.setUrls([QUrl("https://example.org/page")])
    window.composer.edit.insertFromMimeData(mime)
    assert window.composer.edit.toPlainText() == "https://example.org/page"


def test_a_suggestion_does_not_replace_what_was_written(window: MainWindow) -> None:
    window.composer.set_text("what I had begun")
    window.empty.suggestions[0].click()
    assert window.composer.edit.toPlainText().startswith("what I had begun\n\nWhat is")
    assert not window.session.current.nodes


def test_a_message_that_waits_for_its_files_does_not_go_to_another_conversation(
    window: MainWindow, tmp_path: Path
) -> None:
    ask(window, "hello")
    until(lambda: over(window))
    window.session.draft.add_files([str(file) for file in pictures(tmp_path, 1)])
    window.session.submit()
    window.sidebar.new.click()
    until(lambda: not window.session.draft.pending)
    assert not window.session.current.nodes
    assert window.session.draft.attached


def test_a_count_of_files_that_are_gone_is_not_shown(window: MainWindow, tmp_path: Path) -> None:
    draft = window.session.draft
    draft.add_files([str(file) for file in pictures(tmp_path, 2)])
    until(lambda: len(draft.attached) == 2)
    draft.remove(draft.items[0].key)
    draft.measured(Measured("", 0, 300, (100, 200), ((32, 32), (64, 64))))
    assert draft.attached[0].tokens == 0


def test_answer_again_is_offered_only_where_the_answer_is(face: Face) -> None:
    window = face.window
    ask(window, "broken please")
    until(lambda: over(window))
    assert window.notice.button.text() == "Answer again"
    window.sidebar.new.click()
    assert window.notice.isHidden()
    ask(window, "broken please")
    until(lambda: isinstance(face.session.state, Answering))
    window.session.open(next(s.key for s in window.session.library.summaries if s.key != window.session.current.key))
    until(window.notice.isVisible)
    assert window.notice.button.isHidden()


def test_the_narrow_line_offers_to_answer_now(new_face: FaceMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    face = new_face("--pace", "0.02")
    face.window.resize(720, 700)
    until(lambda: face.ready)
    ask(face.window, "What is 37 + 48?")
    until(face.window.thinking_line.now.isVisible)
    sent: list[EngineCommand] = []
    monkeypatch.setattr(face.engine, "send", sent.append)
    face.window.thinking_line.now.click()
    assert sent == [AnswerNow(newest(face.window).key)]


def test_a_dead_engine_is_called_so_in_an_empty_conversation(face: Face) -> None:
    ask(face.window, "crash please")
    until(lambda: isinstance(face.session.state, Dead))
    face.window.sidebar.new.click()
    assert "Restart" in face.window.empty.words.text()
    assert face.window.status.memory.isHidden()


def test_the_sidebar_is_as_wide_as_before_after_the_window_was_narrow(window: MainWindow) -> None:
    before = window.sidebar.width()
    for width in (730, 560, 1360):
        window.resize(width, 860)
    until(lambda: window.sidebar.width() == before)


def test_a_name_of_a_file_is_never_markup(window: MainWindow, tmp_path: Path) -> None:
    name = "<img src=x> & <b>.png"
    drop(window, files(tmp_path / name))
    until(lambda: not window.session.draft.pending)
    tips = [tip for chip in chips(window) for child in chip.children() if (tip := getattr(child, "toolTip", str)())]
    assert any(plain_tip(name) == tip for tip in tips)
    assert not any("<img" in tip for tip in tips)
    QToolTip.hideText()


def test_a_link_names_the_computer_that_it_leads_to(window: MainWindow) -> None:
    dialog = LinkDialog("https://example.org@elsewhere.example/" + "a" * 5_000, window)
    assert "page of elsewhere.example in" in dialog.text()
    assert dialog.address.toPlainText() == "https://example.org@elsewhere.example/" + "a" * 5_000
    assert dialog.sizeHint().height() < 500


def test_a_log_that_cannot_be_written_keeps_nothing_from_starting(new_face: FaceMaker, home: Path) -> None:
    (home / "log").mkdir(parents=True)
    (home / "log" / "engine.log").symlink_to(home / "nowhere" / "engine.log")
    face = new_face()
    until(lambda: face.ready)


def test_settings_that_make_no_sense_still_make_a_window(new_face: FaceMaker, home: Path) -> None:
    save(Settings(window_width=10**12, window_height=-5, sidebar_width=10**12, pane_width=-(10**12)))
    assert settings_file().is_relative_to(home)
    face = new_face()
    assert face.window.height() >= 480
    until(lambda: face.ready)
    ask(face.window, "What is 37 + 48?")
    until(lambda: over(face.window))


def test_nothing_is_squeezed_in_the_smallest_window(window: MainWindow, tmp_path: Path) -> None:
    window.resize(480, 480)
    drop(window, files(*pictures(tmp_path, 3)))
    until(lambda: len(window.session.draft.attached) == 3)
    window.notice.say("Something that takes two lines, or three, in a window as small as this.", "x", "Do it")
    edit, rows = window.composer.edit, window.composer.chips
    until(lambda: rows.height() > 0 and rows.geometry().bottom() < edit.geometry().top())
    for button in window.empty.suggestions:
        assert button.height() >= button.sizeHint().height()


@pytest.mark.parametrize("width", [480, 600, 730, 900, 1100, 1360])
def test_no_figure_of_the_status_line_is_cut(window: MainWindow, width: int) -> None:
    window.resize(width, 700)
    window.composer.set_text("five words in this draft")
    until(lambda: "+ 5" in window.status.words()[1])
    shown = [gauge.words for gauge in (window.status.memory, window.status.context)]
    until(lambda: all(words.width() >= words.sizeHint().width() for words in shown), "nothing is cut", 2_000)

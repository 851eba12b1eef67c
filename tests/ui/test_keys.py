"""Every command has its keys and does what it says; keys are the person's to choose; texts keep theirs."""

from collections.abc import Callable

import pytest
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QLineEdit, QWidget

from app.ui.code_block import CodeBlock
from app.ui.commands import COMMANDS, GROUPS, command
from app.ui.keys import bound, objection, rivals, shown
from app.ui.keys_dialog import KeysDialog
from app.ui.main_window import MainWindow
from app.ui.message_editor import MessageEditor
from tests.ui.conftest import ask, until
from tests.ui.test_window import newest, over
from tests.ui.test_window import shown as answer_view

pytestmark = pytest.mark.usefixtures("app")  # Qt asks the platform which keys edit text


def press(window: MainWindow, keys: str, on: QWidget | None = None) -> None:
    """Press a key combination, as Qt writes it, on what has the keyboard."""
    pressed = QKeySequence(keys)[0]  # type: ignore[index]
    target = on or QApplication.focusWidget() or window
    QTest.keyClick(target, pressed.key(), pressed.keyboardModifiers())


def answered(window: MainWindow, text: str = "show code") -> None:
    window.activateWindow()
    until(lambda: QApplication.activeWindow() is window)
    ask(window, text)
    until(lambda: over(window))


def test_the_table_is_whole_and_no_key_is_wanted_twice_or_only_erases() -> None:
    names = [each.name for each in COMMANDS]
    assert len(names) == len(set(names))
    assert {each.group for each in COMMANDS} == set(GROUPS)
    for each in COMMANDS:
        assert each.keys
        for keys in each.keys:
            assert objection(QKeySequence(keys), each.where) == "", keys
            assert rivals(each.name, keys, {}) == [], keys
    assert all(len(keys) == len(command(name).keys) for name, keys in bound({}).items())


@pytest.mark.parametrize("keys", ["Del", "Backspace", "Shift+Del", "A", "Space", "Tab", "Return", "Ctrl+C", ""])
def test_what_belongs_to_a_text_is_never_a_key_of_a_command(keys: str) -> None:
    for each in COMMANDS:
        assert objection(QKeySequence(keys), each.where)
        if keys:
            assert bound({each.name: (keys,)})[each.name] == bound({})[each.name]


def test_nonsense_and_two_commands_with_one_key_do_no_harm() -> None:
    odd = {"new": ("\x00", "Ctrl+K, Ctrl+L"), "nothing": ("Ctrl+J",), "search": ()}
    assert bound(odd)["new"] == bound({})["new"]
    assert bound(odd)["search"] == ()
    both = bound({"new": ("Ctrl+K",)})
    assert (both["new"], both["search"]) == ((QKeySequence("Ctrl+K"),), ())
    assert rivals("new", "Ctrl+K", {"new": ("Ctrl+K",)}) == ["Search all conversations"]


def test_a_key_of_the_window_is_one_in_the_messages_too() -> None:
    every = bound({"older": ("Ctrl+F",), "newer": ("Left",), "edit_last": ("Left",)})
    assert (every["find"], every["older"]) == ((QKeySequence("Ctrl+F"),), ())  # Qt would obey neither
    assert every["newer"] == every["edit_last"] == (QKeySequence("Left"),)
    assert rivals("older", "Ctrl+F", {"older": ("Ctrl+F",)}) == ["Find in the conversation"]
    assert rivals("find", "Ctrl+F", {"older": ("Ctrl+F",)}) == ["The version before"]
    assert rivals("edit_last", "Left", {}) == []


def test_every_key_does_what_its_command_says(window: MainWindow) -> None:
    answered(window, "What is 37 + 48?")
    first = window.session.current
    for keys in ("Ctrl+N", "Ctrl+Shift+O"):
        press(window, keys)
        assert not window.session.current.nodes
        window.session.open(first.key)
    press(window, "Ctrl+N")
    answered(window)
    second = window.session.current
    for keys, shown_now in (("Ctrl+Tab", first), ("Ctrl+Shift+Tab", second), ("Ctrl+Shift+Tab", first)):
        press(window, keys)
        assert window.session.current is shown_now
    press(window, "Ctrl+K")
    assert window.shelf.panel.isVisible()
    press(window, "Ctrl+N")
    assert window.session.current is first  # while one searches, keys are the search's
    press(window, "Esc")
    assert not window.shelf.panel.isVisible()
    press(window, "Ctrl+F")
    assert window.shell.find_bar.isVisible()
    press(window, "Esc")
    press(window, "Shift+Esc")
    assert window.composer.edit.hasFocus()
    press(window, "Ctrl+Tab")
    press(window, "Ctrl+Shift+C")
    assert QGuiApplication.clipboard().text() == newest(window).text
    press(window, "Ctrl+Shift+;")
    assert QGuiApplication.clipboard().text() == window.transcript.findChildren(CodeBlock)[-1].text
    press(window, "Ctrl+B")
    assert not window.sidebar.isVisible()
    press(window, "Ctrl+B")
    press(window, "Ctrl+B")
    press(window, "F2")
    assert window.sidebar.isVisible()
    written = QApplication.focusWidget()
    assert isinstance(written, QLineEdit)
    written.setText("Sums")
    press(window, "Return", written)
    until(lambda: window.session.current.name == "Sums")
    press(window, "Ctrl+L")
    assert window.shell.models_shown
    window.models.leave()


def test_the_keys_that_open_something(window: MainWindow) -> None:
    window.activateWindow()
    opened: tuple[tuple[str, Callable[[], QWidget | None]], ...] = (
        ("Ctrl+,", lambda: window.preferences.dialog),
        ("Ctrl+/", lambda: window.findChild(KeysDialog)),
        ("Ctrl+O", lambda: window.findChild(QFileDialog)),
    )
    for keys, find in opened:
        press(window, keys, window)
        dialog = find()
        assert dialog is not None, keys
        assert dialog.isVisible()
        dialog.close()
    asked: list[bool] = []
    window.quit_asked.disconnect()
    window.quit_asked.connect(lambda: asked.append(True))
    press(window, "Ctrl+Q", window)
    assert asked == [True]


def test_left_and_right_show_versions_only_where_one_reads(window: MainWindow) -> None:
    answered(window, "What is 37 + 48?")
    press(window, "Ctrl+R")
    until(lambda: newest(window).over)
    second = newest(window)
    press(window, "Left", window.composer.edit)
    assert newest(window) is second
    window.transcript.area.setFocus()
    press(window, "Left")
    first = newest(window)
    assert first is not second
    press(window, "Right")
    assert newest(window) is second
    answer_view(window).foot.edit.click()
    (editor,) = window.findChildren(MessageEditor)
    press(window, "Left", editor.edit)
    assert newest(window) is second
    press(window, "Esc", editor.edit)
    answer_view(window).foot.copy.setFocus()
    press(window, "Left")
    assert newest(window) is first


def test_up_in_an_empty_draft_edits_the_last_message_and_moves_in_one_that_is_not(window: MainWindow) -> None:
    press(window, "Up", window.composer.edit)
    assert window.findChildren(MessageEditor) == []  # there is nothing to edit yet
    answered(window, "What is 37 + 48?")
    window.composer.set_text("two\nlines")
    press(window, "Up", window.composer.edit)
    assert window.composer.edit.textCursor().blockNumber() == 0
    assert window.findChildren(MessageEditor) == []
    window.composer.set_text("")
    press(window, "Up", window.composer.edit)
    (editor,) = window.findChildren(MessageEditor)
    assert editor.edit.toPlainText() == "What is 37 + 48?"
    assert editor.edit.hasFocus()


def test_keys_that_were_chosen_count_at_once_and_are_told_everywhere(window: MainWindow) -> None:
    answered(window, "What is 37 + 48?")
    window.preferences.change(keys={"new": ("Ctrl+J",), "attach": (), "again": ("F5",)})
    press(window, "Ctrl+N")
    assert window.session.current.nodes
    press(window, "Ctrl+J")
    assert not window.session.current.nodes
    assert "Ctrl J" in [label.text() for label in window.sidebar.new.children() if hasattr(label, "text")]
    assert window.composer.attach.toolTip() == "Attach pictures or videos"
    window.deeds.open_keys()
    dialog = window.findChild(KeysDialog)
    assert dialog is not None
    assert dialog.lines["New conversation"] == shown("new", window.settings.keys) == "Ctrl+J"
    assert dialog.lines["Answer once more"] == "F5"
    assert dialog.lines["Attach pictures or videos"] == ""
    dialog.change.click()
    assert window.preferences.dialog is not None
    window.preferences.dialog.close()
    window.preferences.change(keys={})
    press(window, "Ctrl+J")
    assert window.composer.attach.toolTip() == "Attach pictures or videos (Ctrl+O)"


def test_a_text_field_keeps_its_own_keys(window: MainWindow) -> None:
    answered(window, "What is 37 + 48?")
    shown_before = window.session.current
    for field in (window.composer.edit, window.shell.find_bar.edit):
        window.shell.find_bar.open_bar()
        field.setFocus()
        QTest.keyClicks(field, "a word")
        for keys in ("Left", "Right", "Up", "Home", "End", "Backspace", "Del", "Ctrl+Left", "Ctrl+Right", "Ctrl+A"):
            press(window, keys, field)
        assert field.hasFocus()
        assert window.session.current is shown_before
        assert newest(window) is shown_before.last_answer()
        assert len(shown_before.nodes) == 2

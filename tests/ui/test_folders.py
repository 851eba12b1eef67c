"""Folders in the list of conversations: made, renamed, filled with the mouse and the keyboard, removed."""

from contextlib import closing

import pytest
from PySide6.QtCore import QCoreApplication, QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QMenu

from app.history.jobs import folder
from app.history.store import Store
from app.ui.application import Face
from app.ui.conversation_list import ConversationList
from app.ui.conversation_rows import DRAGGED, KEY
from app.ui.main_window import MainWindow
from tests.ui.conftest import FaceMaker, ask, until
from tests.ui.test_keys import press


@pytest.fixture
def listed(face: Face) -> ConversationList:
    """A list with three conversations, the third of which is shown."""
    for text in ("One", "Two", "Three"):
        face.session.new_conversation()
        ask(face.window, text)
        until(lambda: not face.session.running(face.session.current))
    assert face.window.sidebar.list.words() == ["Today", "Three", "Two", "One"]
    return face.window.sidebar.list


def row(listed: ConversationList, words: str) -> int:
    return listed.words().index(words)


def key(listed: ConversationList, words: str) -> str:
    return str(listed.model().index(row(listed, words), 0).data(KEY))


def actions(menu: QMenu | None) -> dict[str, QAction]:
    assert menu is not None
    below = [found for action in menu.actions() for found in ([action.menu()] if action.menu() else [])]
    return {action.text(): action for each in (menu, *below) for action in each.actions()}  # type: ignore[attr-defined]


def choose(listed: ConversationList, at: str, words: str) -> None:
    actions(listed.menu_for(row(listed, at)))[words].trigger()


def write_name(listed: ConversationList, name: str) -> None:
    until(lambda: listed.findChildren(QLineEdit, "rename"))
    (editor,) = listed.findChildren(QLineEdit, "rename")
    editor.setText(name)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    wanted = " ".join(name.split())
    until(lambda: wanted in listed.words() and not listed.findChildren(QLineEdit, "rename"))


def make(listed: ConversationList, at: str, name: str) -> None:
    choose(listed, at, "New folder…")
    write_name(listed, name)


def drag(listed: ConversationList, what: str, onto: QPoint) -> bool:
    """Drag a conversation of the list there and let it fall; whether it could."""
    mime = listed.model().mimeData([listed.model().index(row(listed, what), 0)])
    return fall(listed, mime, onto)


def fall(listed: ConversationList, mime: QMimeData, onto: QPoint) -> bool:
    action, button, keys = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(onto, action, mime, button, keys)
    QCoreApplication.sendEvent(listed.viewport(), enter)
    if enter.isAccepted():
        QCoreApplication.sendEvent(listed.viewport(), QDropEvent(QPointF(onto), action, mime, button, keys))
    return enter.isAccepted()


def place(listed: ConversationList, words: str) -> QPoint:
    return listed.visualRect(listed.model().index(row(listed, words), 0)).center()


def on_disk() -> dict[str, str]:
    with closing(Store(folder())) as store:
        return {summary.title: summary.folder for summary in store.summaries()}


def test_a_folder_is_made_named_filled_by_dragging_and_there_after_a_restart(
    listed: ConversationList, face: Face, new_face: FaceMaker
) -> None:
    choose(listed, "One", "New folder…")
    assert listed.words() == ["New folder", "One", "Today", "Three", "Two"]
    write_name(listed, "  Physics\t& more ")
    assert listed.words() == ["Physics & more", "One", "Today", "Three", "Two"]
    assert drag(listed, "Three", place(listed, "Physics & more"))
    assert listed.words() == ["Physics & more", "Three", "One", "Today", "Two"]
    assert drag(listed, "Two", place(listed, "One")), "onto one that lies in it"
    assert listed.words() == ["Physics & more", "Three", "Two", "One"]
    assert drag(listed, "One", QPoint(20, listed.viewport().height() - 4)), "beside all of them"
    assert on_disk() == {"One": "", "Two": "Physics & more", "Three": "Physics & more"}
    face.close()
    assert new_face().window.sidebar.list.words() == ["Physics & more", "Three", "Two", "Today", "One"]


def test_only_a_conversation_of_the_list_can_fall_there(listed: ConversationList) -> None:
    make(listed, "One", "Work")
    foreign, unknown = QMimeData(), QMimeData()
    foreign.setText("One")
    unknown.setData(DRAGGED, b"\xff no such key")
    before = listed.words()
    fall(listed, foreign, place(listed, "Work"))  # it is the window's
    fall(listed, unknown, place(listed, "Work"))
    assert listed.words() == before


def test_a_folder_that_is_removed_keeps_its_conversations(listed: ConversationList, window: MainWindow) -> None:
    make(listed, "One", "Work")
    choose(listed, "Three", "Work")
    window.session.open(key(listed, "One"))
    choose(listed, "Work", "Remove folder, keep its conversations")
    assert listed.words() == ["Today", "Three", "Two", "One"]
    assert set(on_disk().values()) == {""}
    assert window.session.current.choices.folder == ""


def test_the_keyboard_files_renames_folds_and_takes_out(listed: ConversationList, window: MainWindow) -> None:
    window.activateWindow()
    until(window.isActiveWindow)
    press(window, "Ctrl+Shift+M")
    menu = next(found for found in listed.findChildren(QMenu) if found.isVisible())
    assert [action.text() for action in menu.actions()] == ["New folder…"]
    QTest.keyClick(menu, Qt.Key.Key_Return)
    write_name(listed, "Work")
    assert listed.words() == ["Work", "Three", "Today", "Two", "One"]
    listed.set_row(0)
    assert window.session.current.title == "Three", "a folder is no conversation"
    QTest.keyClick(listed, Qt.Key.Key_Left)
    assert listed.words() == ["Work", "Today", "Two", "One"]
    assert listed.currentIndex().row() == 0, "the keyboard stays where it was"
    assert listed.currentIndex().data(Qt.ItemDataRole.AccessibleTextRole) == "Folder Work, 1 conversation, folded"
    QTest.keyClick(listed, Qt.Key.Key_Space)
    assert listed.words() == ["Work", "Three", "Today", "Two", "One"]
    QTest.keyClick(listed, Qt.Key.Key_F2)
    write_name(listed, "Leisure")
    assert listed.words()[0] == "Leisure"
    window.activateWindow()  # the offscreen screen gives a window nothing back when a menu closes
    until(window.isActiveWindow)
    press(window, "Ctrl+Shift+M", listed)
    until(lambda: any(found.isVisible() for found in listed.findChildren(QMenu)))
    shown = next(found for found in listed.findChildren(QMenu) if found.isVisible())
    actions(shown)["No folder"].trigger()
    shown.close()
    assert listed.words() == ["Today", "Three", "Two", "One"]


def test_a_folded_folder_opens_for_what_is_looked_for_in_it(listed: ConversationList, window: MainWindow) -> None:
    make(listed, "One", "Work")
    wanted = key(listed, "One")
    listed.fold("Work", True)
    assert "One" not in listed.words()
    window.session.open(wanted)
    assert listed.words()[:2] == ["Work", "One"]
    assert listed.currentIndex().data(KEY) == wanted
    QTest.mouseClick(listed.viewport(), Qt.MouseButton.LeftButton, pos=place(listed, "Work"))
    assert "One" not in listed.words()


def test_a_branch_lies_in_the_same_folder_and_the_trash_forgets_none(
    listed: ConversationList, window: MainWindow
) -> None:
    make(listed, "Three", "Work")
    window.revision.branch(window.session.current.path()[-1].key)
    assert listed.words() == ["Work", "Three", "Three", "Today", "Two", "One"]
    gone = window.session.current.key
    window.session.trash(gone)
    window.session.library.rename_folder("Work", "Other")
    window.session.library.restore(gone)
    assert listed.words() == ["Other", "Three", "Three", "Today", "Two", "One"]

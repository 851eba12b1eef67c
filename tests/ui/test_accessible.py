"""For everyone: what a screen reader is told of every part, that the keyboard alone reaches them all, and contrast."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAccessible, QAccessibleInterface
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
    QWidget,
)

from app.ui.about import AboutDialog
from app.ui.link_dialog import LinkDialog
from app.ui.main_window import MainWindow
from app.ui.markdown_view import MarkdownView
from app.ui.settings_dialog import SettingsDialog
from app.ui.spoken import speak
from app.ui.system_dialog import SystemDialog
from app.ui.theme import DARK, LIGHT, Theme
from tests.ui.conftest import ask, until
from tests.ui.test_window import over, shown

Role = QAccessible.Role
SAID = frozenset(
    {
        Role.Button,
        Role.ButtonMenu,
        Role.ButtonDropDown,
        Role.CheckBox,
        Role.RadioButton,
        Role.ComboBox,
        Role.EditableText,
        Role.SpinBox,
        Role.Slider,
        Role.List,
        Role.ListItem,
        Role.Tree,
        Role.Table,
        Role.MenuItem,
        Role.Dialog,
        Role.Window,
    }
)
"""Roles of what one does something with: nameless it would be nothing but a noise."""
INSIDE = ("qt_spinbox_lineedit", "qt_toolbar_ext_button", "_q_qlineeditclearaction")
"""Parts of Qt's own widgets, which are told and reached with the whole."""
PRESSED = (QAbstractButton, QLineEdit, QPlainTextEdit, QAbstractItemView, QAbstractSpinBox, QComboBox, QAbstractSlider)


def tree(widget: QWidget) -> Iterator[QAccessibleInterface]:
    """Everything that a screen reader is told of a widget and what is in it."""
    waiting = [QAccessible.queryAccessibleInterface(widget)]
    while waiting:
        each = waiting.pop()
        if each is None or not each.isValid():
            continue
        yield each
        waiting += [each.child(at) for at in range(each.childCount())]


def nameless(widget: QWidget) -> list[str]:
    """What has a role that asks for a name, is in sight, and has none."""
    found = []
    for each in tree(widget):
        part = each.object()
        inside = part is not None and part.objectName().startswith(INSIDE)
        if inside or each.state().invisible or each.role() not in SAID:
            continue
        if not each.text(QAccessible.Text.Name).strip():
            found.append(f"{each.role().name} {part}")
    return found


def unreached(window: QWidget) -> list[str]:
    """What can be pressed or written in, is in sight, and is never come to by Tab."""
    window.activateWindow()
    until(lambda: QApplication.activeWindow() is window, f"{window} has the keyboard")
    seen: set[QWidget] = set()
    for _ in range(400):
        focused = QApplication.focusWidget()
        if focused is not None and focused in seen and len(seen) > 1:
            break
        seen |= {focused} if focused is not None else set()
        QTest.keyClick(focused or window, Qt.Key.Key_Tab)
    wanted = [part for kind in PRESSED for part in window.findChildren(kind)]
    return [
        f"{part} {part.accessibleName()}"
        for part in wanted
        if part.isVisible()
        and part.isEnabled()
        and part.window() is window
        and not isinstance(part, QScrollBar)
        and not part.objectName().startswith(INSIDE)
        and not (isinstance(part, QPlainTextEdit) and part.isReadOnly())
        and part not in seen
    ]


def answered(window: MainWindow) -> None:
    ask(window, "show code")
    until(lambda: over(window))


@pytest.mark.parametrize("width", [1360, 560])
def test_every_part_of_the_window_is_named_and_reached_by_the_keyboard(
    window: MainWindow, width: int, tmp_path: Path
) -> None:
    window.resize(width, 900)
    answered(window)
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"x")
    window.session.draft.add_files([str(picture)])
    until(lambda: not window.session.draft.pending)
    window.shell.find_bar.open_bar()
    window.notice.say("A sentence.", "restart", "Restart engine")
    until(shown(window).foot.isVisible)
    assert nameless(window) == []
    assert unreached(window) == []
    shown(window).foot.edit.click()
    assert nameless(window) == []
    assert unreached(window) == []
    window.models.open()
    assert nameless(window) == []
    assert unreached(window) == []
    if width < 720:
        window.toggle_sidebar()
        assert nameless(window) == []
        focused = QApplication.focusWidget()
        assert focused is not None
        assert window.sidebar.isAncestorOf(focused)


class _Windows(QObject):
    """Hears of every window that appears."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
            self.seen.append(f"{watched} {watched.objectName()}")
        return False


def test_no_part_is_ever_a_window_of_its_own_and_takes_the_keyboard_away(window: MainWindow, app: QApplication) -> None:
    """A widget that is shown before it has its place flashes up and has the keyboard for a moment."""
    heard = _Windows()
    app.installEventFilter(heard)
    answered(window)
    window.preferences.change(theme="dark")
    window.preferences.change(font_size=17)
    window.models.open()
    window.begin_anew()
    app.removeEventFilter(heard)
    assert heard.seen == []


def test_roles_say_what_the_parts_are(window: MainWindow) -> None:
    answered(window)
    told = {(each.role(), each.text(QAccessible.Text.Name)) for each in tree(window) if not each.state().invisible}
    assert (Role.EditableText, "Message") in told
    assert (Role.Button, "Send") in told
    assert (Role.CheckBox, "Thinking") in told
    assert (Role.List, "Conversations") in told
    assert (Role.ListItem, "show code") in told
    names = [name for _role, name in told]
    assert any(name.startswith("Answer: ") for name in names)
    assert any(name.startswith("You: ") for name in names)


def test_what_appears_without_being_looked_at_is_spoken(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    speak(window, "Nobody listens, and nothing happens.")
    spoken: list[str] = []
    for module in ("display", "notice"):
        monkeypatch.setattr(f"app.ui.{module}.speak", lambda _widget, words: spoken.append(words))
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))
    assert spoken == ["The answer is done: 37 + 48 = 85."]
    window.composer.set_text("")
    window.session.submit()
    assert "nothing to send" in spoken[-1]


OPENED: dict[str, Callable[[MainWindow], object]] = {
    "settings": lambda window: window.preferences.open_settings(),
    "keys": lambda window: window.deeds.open_keys(),
    "memory": lambda window: window.model_choices.open_memory(),
    "trash": lambda window: window.shelf.open_trash(),
    "connections": lambda window: window.models.open_connections(),
    "about": lambda window: AboutDialog(window).open(),
    "link": lambda window: LinkDialog("https://example.org/a", window).open(),
    "system prompt": lambda window: SystemDialog("Be brief.", window).open(),
}


def _is_whole(dialog: QDialog) -> Callable[[], bool]:
    return lambda: not isinstance(dialog, SettingsDialog) or dialog.whole


def _none_open(window: MainWindow) -> Callable[[], bool]:
    return lambda: not any(each.isVisible() for each in window.findChildren(QDialog))


def test_every_dialog_is_named_and_reached_by_the_keyboard_and_left_with_escape(window: MainWindow) -> None:
    for name, open_it in OPENED.items():
        open_it(window)
        (dialog,) = [each for each in window.findChildren(QDialog) if each.isVisible()]
        until(_is_whole(dialog))
        assert (name, nameless(dialog)) == (name, [])
        assert (name, unreached(dialog)) == (name, [])
        QTest.keyClick(dialog, Qt.Key.Key_Escape)
        until(_none_open(window), f"{name} is closed")
    window.shelf.open_search()
    assert nameless(window) == []
    QTest.keyClick(window.shelf.panel.edit, Qt.Key.Key_Escape)


def test_links_of_an_answer_are_reached_and_opened_by_the_keyboard(app: QApplication) -> None:
    view = MarkdownView(LIGHT)
    view.set_text("No link.\n\n    code\n\nSee [one](https://example.org/1) and [two](https://example.org/2).", True)
    opened: list[str] = []
    view.link_activated.connect(opened.append)
    view.show()
    view.activateWindow()
    until(lambda: QApplication.activeWindow() is view)
    for _ in range(4):
        focused = QApplication.focusWidget()
        QTest.keyClick(focused or view, Qt.Key.Key_Tab)
        QTest.keyClick(QApplication.focusWidget() or view, Qt.Key.Key_Return)
    assert {"https://example.org/1", "https://example.org/2"} <= set(opened)
    view.close()
    view.deleteLater()


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(front: str, back: str) -> float:
    """How much two colours differ, as WCAG 2 defines it: from 1 to 21."""
    light, dark = sorted((_luminance(front), _luminance(back)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


GROUNDS = ("background", "sidebar", "card", "soft", "thinking", "code", "hover", "selection")
WORDS = {
    "text": (*GROUNDS, "warning_soft"),
    "muted": ("background", "sidebar", "card", "soft", "thinking", "code", "hover"),
    "accent": ("background", "sidebar", "card"),
    "on_accent": ("accent", "accent_hover"),
    "warning": ("background", "sidebar", "card", "warning_soft"),
    **dict.fromkeys(("keyword", "number", "string", "comment", "function"), ("code",)),
}
PARTS = {"accent": ("background", "sidebar", "card", "soft", "hover"), "bar_first": ("bar_track",)}
"""What is no text and has to be told from its ground: the mark of what has the keyboard, a bar's filling."""


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_words_and_marks_stand_out_from_what_is_behind_them(theme: Theme) -> None:
    """WCAG 2, level AA: 4.5 to 1 for words, 3 to 1 for marks. Every colour has its place here, or is but a line."""
    colours = asdict(theme)
    low = [
        (front, back, round(contrast(colours[front], colours[back]), 2))
        for least, pairs in ((4.5, WORDS), (3.0, PARTS))
        for front, backs in pairs.items()
        for back in backs
        if contrast(colours[front], colours[back]) < least
    ]
    assert low == []
    told = {*WORDS, *GROUNDS, *(back for backs in WORDS.values() for back in backs)}
    quiet = {"name", "line", "scroll", *(each.name for each in fields(Theme) if each.name.startswith("bar_"))}
    assert {each.name for each in fields(Theme)} - told - quiet == set()

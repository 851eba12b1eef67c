"""The keys of the window: each command of the table bound to what it does, with the keys that the person chose.

Knows which key combinations may be keys of a command, where they count, and the buttons and labels that tell them. Does
not know what a command does.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QAbstractButton, QLabel, QPlainTextEdit, QWidget

from app.ui.commands import COMMANDS, Where, command, keys_of

Chosen = Mapping[str, tuple[str, ...]]
_Standard = QKeySequence.StandardKey
EDITING = (
    _Standard.Copy,
    _Standard.Cut,
    _Standard.Paste,
    _Standard.Undo,
    _Standard.Redo,
    _Standard.SelectAll,
    _Standard.MoveToNextWord,
    _Standard.MoveToPreviousWord,
    _Standard.SelectNextWord,
    _Standard.SelectPreviousWord,
    _Standard.DeleteStartOfWord,
    _Standard.DeleteEndOfWord,
    _Standard.MoveToStartOfDocument,
    _Standard.MoveToEndOfDocument,
    _Standard.SelectStartOfDocument,
    _Standard.SelectEndOfDocument,
)
"""What one does to text; it is never taken away from a text field."""
STRONG = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier
MOVING = frozenset(
    {Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown}
)
TAKEN = frozenset({Qt.Key.Key_Tab, Qt.Key.Key_Backtab, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space})
ERASING = frozenset({Qt.Key.Key_Delete, Qt.Key.Key_Backspace})
_COMMAND, _WORDS = "command", "words of the command"
_present: dict[str, tuple[str, ...]] = {}
"""What was chosen last, for the parts of the window that are made later and tell keys. One window has a program."""


def objection(keys: QKeySequence, where: Where) -> str:  # noqa: PLR0911  (a table)
    """Why a combination cannot be the key of a command; empty if it can."""
    if keys.count() != 1:
        return "One combination of keys is wanted."
    pressed = keys[0]  # type: ignore[index]  # Qt's own operator, which the stubs leave out
    key, strong = pressed.key(), bool(pressed.keyboardModifiers() & STRONG)
    name = keys.toString(QKeySequence.SequenceFormat.NativeText)
    if key == Qt.Key.Key_unknown or not keys.toString():
        return "That is no key that can be used."
    if key in ERASING and not strong:
        return f"{name} only erases text."
    if any(keys in QKeySequence.keyBindings(standard) for standard in EDITING):
        return f"{name} is for editing text."
    if strong or key == Qt.Key.Key_Escape or Qt.Key.Key_F1 <= key <= Qt.Key.Key_F35:
        return ""
    if key in MOVING and where != "window":
        return ""
    if key in MOVING or key in TAKEN:
        return f"{name} alone moves or presses what has the keyboard; hold Ctrl or Alt as well."
    return f"{name} alone is for writing; hold Ctrl or Alt as well."


def bound(chosen: Chosen) -> dict[str, tuple[QKeySequence, ...]]:
    """The keys of every command; of commands that want the same key in the same place the first has it. Choices that
    make no sense are not counted."""
    taken: dict[str, set[Where]] = {}
    every: dict[str, tuple[QKeySequence, ...]] = {}
    for each in COMMANDS:
        wanted = [QKeySequence(keys) for keys in keys_of(each.name, chosen)]
        if any(objection(keys, each.where) for keys in wanted):
            wanted = [QKeySequence(keys) for keys in each.keys]
        free = [keys for keys in wanted if not _meets(each.where, taken.get(keys.toString(), set()))]
        for keys in free:
            taken.setdefault(keys.toString(), set()).add(each.where)
        every[each.name] = tuple(free)
    return every


def rivals(name: str, keys: str, chosen: Chosen) -> list[str]:
    """The words of the other commands that want these keys where this one does."""
    where, wanted = command(name).where, QKeySequence(keys)
    return [
        each.words
        for each in COMMANDS
        if each.name != name
        and _meets(where, {each.where})
        and any(QKeySequence(own) == wanted for own in keys_of(each.name, chosen))
    ]


def shown(name: str, chosen: Chosen) -> str:
    """The keys of a command as one reads them, empty if it has none."""
    native = QKeySequence.SequenceFormat.NativeText
    return " or ".join(keys.toString(native) for keys in bound(chosen)[name])


_Button = TypeVar("_Button", bound=QAbstractButton)


def told(button: _Button, words: str, name: str) -> _Button:
    """The button, with a tooltip that says what it does and the keys that do the same."""
    button.setProperty(_COMMAND, name)
    button.setProperty(_WORDS, words)
    _tell(button)
    return button


def spelt(label: QLabel, name: str) -> QLabel:
    """The label, saying the first key of a command."""
    label.setProperty(_COMMAND, name)
    _tell(label)
    return label


def _tell(widget: QWidget) -> None:
    name, words = widget.property(_COMMAND), widget.property(_WORDS)
    if not name:
        return
    keys = shown(str(name), _present)
    if isinstance(widget, QLabel):
        widget.setText(keys.split(" or ")[0].replace("+", " "))
    else:
        widget.setToolTip(f"{words} ({keys})" if keys else str(words))


class Keys(QObject):
    """Binds the commands of a window; `blocked` says when none but `stop` counts."""

    def __init__(
        self,
        window: QWidget,
        messages: QWidget,
        draft: QPlainTextEdit,
        deeds: Mapping[str, Callable[[], object]],
        blocked: Callable[[], bool],
    ) -> None:
        super().__init__(window)
        self._window, self._messages, self._draft = window, messages, draft
        self._deeds, self._blocked = deeds, blocked
        self._shortcuts: list[QShortcut] = []
        self._of_draft: dict[str, str] = {}
        draft.installEventFilter(self)

    def bind(self, chosen: Chosen) -> None:
        """Take these keys from now on."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts, self._of_draft = [], {}
        _present.clear()
        _present.update(chosen)
        for widget in self._window.findChildren(QWidget):
            _tell(widget)
        for name, every in bound(chosen).items():
            where = command(name).where
            for keys in every:
                if where == "empty draft":
                    self._of_draft[keys.toString()] = name
                else:
                    self._shortcuts.append(self._shortcut(name, keys, where))

    def _shortcut(self, name: str, keys: QKeySequence, where: Where) -> QShortcut:
        shortcut = QShortcut(keys, self._window if where == "window" else self._messages)
        if where == "messages":
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.setProperty(_COMMAND, name)
        shortcut.activated.connect(self._on_activated)
        return shortcut

    @Slot()
    def _on_activated(self) -> None:
        name = str(self.sender().property(_COMMAND))
        if name == "stop" or not self._blocked():
            self._deeds[name]()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Keys that count in the draft while it is empty; otherwise they are the text field's."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self._draft.document().isEmpty():
            name = self._of_draft.get(QKeySequence(event.keyCombination()).toString())
            if name:
                self._deeds[name]()
                return True
        return super().eventFilter(watched, event)


def _meets(where: Where, others: Collection[Where]) -> bool:
    """Whether one key could mean something here and in one of the other places: the window is around all of them, and
    Qt obeys neither of two that fit."""
    return bool(others) and (where == "window" or where in others or "window" in others)

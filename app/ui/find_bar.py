"""Find in the conversation: a line above it, one message after the other, every place in it marked.

Knows texts and marks in text widgets. Does not know where messages are built or what a conversation is.
"""

from PySide6.QtCore import QEvent, QPoint, Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent, QTextCharFormat, QTextCursor, QTextDocument
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QPlainTextEdit, QTextEdit, QWidget

from app.ui.icon_button import IconButton
from app.ui.theme import Theme

MOST_MARKS = 500


class FindBar(QFrame):
    """Emits `moved` with the key of the message to show, or an empty one when nothing is to be marked any more."""

    moved = Signal(str)
    asked = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("findBar")
        self._found: list[str] = []
        self._at = -1
        self.edit = _Line()
        self.edit.setObjectName("findEdit")
        self.edit.setAcceptDrops(False)  # the window takes drops, wherever they fall
        self.edit.setPlaceholderText("Find in this conversation")
        self.edit.setAccessibleName("Find in this conversation")
        self.edit.textChanged.connect(self.asked)
        self.edit.stepped.connect(self._step)
        self.edit.left.connect(self.close_bar)
        self.said = QLabel()
        self.said.setObjectName("figures")
        self.before = IconButton("up", "The message before (Shift+Enter)", theme)
        self.after = IconButton("down", "The next message (Enter)", theme)
        self.shut = IconButton("close", "Close (Esc)", theme)
        self.before.clicked.connect(self._on_before_clicked)
        self.after.clicked.connect(self._on_after_clicked)
        self.shut.clicked.connect(self.close_bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(22, 5, 14, 5)
        row.addWidget(self.edit, 1)
        for part in (self.said, self.before, self.after, self.shut):
            row.addWidget(part)
        self.hide()

    @property
    def words(self) -> str:
        """What is looked for."""
        return self.edit.text().strip()

    def open_bar(self) -> None:
        """Show it and write in it."""
        self.show()
        self.edit.setFocus()
        self.edit.selectAll()
        self.asked.emit(self.edit.text())

    def show_words(self, words: str, keys: list[str], at: str) -> None:
        """Show that words were found in these messages, and that one of them is looked at."""
        self.edit.blockSignals(True)
        self.edit.setText(words)
        self.edit.blockSignals(False)
        self.show()
        self.edit.setFocus()
        self.show_found(keys, at)

    def show_found(self, keys: list[str], at: str = "") -> None:
        """The messages in which the words are; the newest is looked at first."""
        self._found = keys
        self._at = keys.index(at) if at in keys else len(keys) - 1
        self._say()

    @Slot()
    def close_bar(self) -> None:
        """Hide it and mark nothing any more."""
        self.hide()
        self._found, self._at = [], -1
        self.moved.emit("")

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        for button in (self.before, self.after, self.shut):
            button.apply_theme(theme)

    @Slot(int)
    def _step(self, step: int) -> None:
        if self._found:
            self._at = (self._at + step) % len(self._found)
            self._say()

    def _say(self) -> None:
        many = len(self._found)
        where = f"{self._at + 1} of {many} message{'s' if many != 1 else ''}" if many else "not in this conversation"
        self.said.setText(where if self.words else "")
        for button in (self.before, self.after):
            button.setEnabled(many > 1)
        self.moved.emit(self._found[self._at] if many else "")

    @Slot()
    def _on_before_clicked(self) -> None:
        self._step(-1)

    @Slot()
    def _on_after_clicked(self) -> None:
        self._step(1)


class _Line(QLineEdit):
    """Enter and Shift+Enter step, Esc leaves."""

    stepped = Signal(int)
    left = Signal()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and _is_escape(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if _is_escape(event):
            self.left.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.stepped.emit(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        else:
            super().keyPressEvent(event)


def _is_escape(event: QKeyEvent) -> bool:
    return event.key() == Qt.Key.Key_Escape


def mark(view: QWidget, words: list[str], theme: Theme) -> int:
    """Mark words in everything that a widget shows; how far below its top the first one stands, 0 if there is none."""
    shape = QTextCharFormat()
    shape.setBackground(QColor(theme.selection))
    shape.setForeground(QColor(theme.text))  # also where words are muted
    first: int | None = None
    texts: list[QTextEdit | QPlainTextEdit] = [*view.findChildren(QTextEdit), *view.findChildren(QPlainTextEdit)]
    for text in texts:
        marks = []
        for cursor in _places(text.document(), words):
            selection = QTextEdit.ExtraSelection()
            selection.cursor, selection.format = cursor, shape
            marks.append(selection)
            begin = QTextCursor(cursor)
            begin.setPosition(cursor.selectionStart())
            y = text.viewport().mapTo(view, QPoint(0, text.cursorRect(begin).top())).y()
            first = y if first is None else min(first, y)
        text.setExtraSelections(marks)
    return first or 0


def _places(document: QTextDocument, words: list[str]) -> list[QTextCursor]:
    places: list[QTextCursor] = []
    for word in words:
        cursor = document.find(word)
        while not cursor.isNull() and len(places) < MOST_MARKS:
            places.append(cursor)
            cursor = document.find(word, cursor)
    return places

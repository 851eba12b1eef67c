"""A message that is being written anew in its place. Knows its text and keys, not what follows."""

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from app.ui import theme as look

TALLEST = 420


class MessageEditor(QFrame):
    """Emits `saved` with the new text, or `cancelled`. Ctrl+Enter saves, Esc cancels."""

    saved = Signal(str)
    cancelled = Signal()

    def __init__(self, text: str, save: str, remark: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("messageEditor")
        self.edit = _Text(text)
        self.edit.submitted.connect(self._on_saved)
        self.edit.left.connect(self.cancelled)
        said = QLabel(remark)
        said.setObjectName("figures")
        said.setFont(look.figure_font())
        said.setWordWrap(True)
        self.save = QPushButton(save)
        self.save.setObjectName("primary")
        self.save.setToolTip("Ctrl+Enter")
        self.save.clicked.connect(self._on_saved)
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("small")
        self.cancel.setToolTip("Esc")
        self.cancel.clicked.connect(self.cancelled)
        foot = QHBoxLayout()
        foot.addWidget(said, 1)
        foot.addWidget(self.cancel)
        foot.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 10, 10)
        layout.setSpacing(8)
        layout.addWidget(self.edit)
        layout.addLayout(foot)

    @Slot()
    def _on_saved(self) -> None:
        self.saved.emit(self.edit.toPlainText())


class _Text(QPlainTextEdit):
    """As high as its text, up to a limit."""

    submitted = Signal()
    left = Signal()

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFont(look.text_font())
        self.setAccessibleName("Message")
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)  # the window takes drops, wherever they fall
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().documentLayout().documentSizeChanged.connect(self._on_size_changed)
        self.setPlainText(text)
        self.moveCursor(self.textCursor().MoveOperation.End)
        self._on_size_changed()

    def event(self, event: QEvent) -> bool:
        """Esc is ours while one writes here, and not the window's."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and _is_escape(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if _is_escape(event):
            self.left.emit()
        elif (
            event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            and event.modifiers() & Qt.KeyboardModifier.ControlModifier
        ):
            self.submitted.emit()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _on_size_changed(self) -> None:
        lines = max(2, round(self.document().size().height()))
        self.setFixedHeight(min(TALLEST, lines * self.fontMetrics().lineSpacing() + 30))


def _is_escape(event: QKeyEvent) -> bool:
    return event.key() == Qt.Key.Key_Escape

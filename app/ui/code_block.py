"""A block of code: its language, a Copy button, coloured text. Knows no markdown and no conversation."""

from collections.abc import Iterable
from math import ceil

from PySide6.QtCore import QSizeF, Qt, QTimer, Slot
from PySide6.QtGui import QColor, QGuiApplication, QTextBlockFormat, QTextCharFormat, QTextCursor, QWheelEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QTextEdit, QVBoxLayout, QWidget

from app.ui import theme as look
from app.ui.elided import ElidedLabel
from app.ui.highlight import pieces
from app.ui.theme import Theme

COPIED_MS = 1500


class CodeBlock(QFrame):
    """Shows code that may still grow."""

    def __init__(self, theme: Theme, language: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("codeBlock")
        self._theme = theme
        self._language = language
        self._text = ""
        self.label = ElidedLabel(language or "text")
        self.label.setObjectName("codeLabel")
        self.copy_button = QPushButton("Copy")
        self.copy_button.setObjectName("codeCopy")
        self.copy_button.setAccessibleName("Copy this code")
        self.copy_button.clicked.connect(self._on_copy_clicked)
        self._copied = QTimer(self)
        self._copied.setSingleShot(True)
        self._copied.setInterval(COPIED_MS)
        self._copied.timeout.connect(self._on_copied_over)
        self._body = _CodeText(self)
        head = QHBoxLayout()
        head.setContentsMargins(12, 4, 6, 4)
        head.addWidget(self.label, 1)
        head.addWidget(self.copy_button)
        bar = QFrame()
        bar.setObjectName("codeHead")
        bar.setLayout(head)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(self._body)

    @property
    def text(self) -> str:
        """The code."""
        return self._text

    def set_text(self, text: str, complete: bool) -> None:
        """Show the code as far as it is known."""
        if complete or not text.startswith(self._text):
            self._body.show_all(self._language, text, self._theme)
        elif text != self._text:
            self._body.show_grown(self._language, text, self._theme)
        self._text = text

    def name(self, language: str) -> None:
        """Take over a language whose name has grown since the block began."""
        if language != self._language:
            self._language = language
            self.label.setText(language or "text")

    @Slot()
    def _on_copy_clicked(self) -> None:
        QGuiApplication.clipboard().setText(self._text)
        self.copy_button.setText("Copied")
        self._copied.start()

    @Slot()
    def _on_copied_over(self) -> None:
        self.copy_button.setText("Copy")


class _CodeText(QTextEdit):
    """The text itself: as high as it is long, scrolled sideways."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._written = self._position = 0  # whole lines that are shown: characters of the text, place in the document
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAcceptDrops(False)
        self.viewport().setAutoFillBackground(False)
        self.document().setDefaultFont(look.code_font())
        self.document().setDocumentMargin(12)
        self.document().documentLayout().documentSizeChanged.connect(self._on_document_size_changed)
        self.horizontalScrollBar().rangeChanged.connect(self._on_range_changed)

    def show_all(self, language: str, text: str, theme: Theme) -> None:
        """Show coloured text instead of what was there."""
        self.clear()
        lines = QTextBlockFormat()
        lines.setLineHeight(look.CODE_LINE, QTextBlockFormat.LineHeightTypes.MinimumHeight.value)
        QTextCursor(self.document()).setBlockFormat(lines)
        self._written, self._position = 0, 0
        self._write(pieces(language, text, theme))

    def show_grown(self, language: str, text: str, theme: Theme) -> None:
        """Show text that begins with what was there. Only new lines are coloured, each as if it stood alone; what is
        wrong with that, in a string of several lines, is put right when the text is complete."""
        if self._position == 0:
            self.show_all(language, "", theme)
        cursor = QTextCursor(self.document())
        cursor.setPosition(self._position)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        whole = text.rfind("\n") + 1
        self._write(pieces(language, text[self._written : whole], theme))
        self._written, self._position = whole, self.document().characterCount() - 1
        self._write(pieces(language, text[whole:], theme))

    def _write(self, coloured: Iterable[tuple[str, str]]) -> None:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        for piece, colour in coloured:
            cursor.insertText(piece, _style(colour))
        cursor.endEditBlock()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Scroll sideways here; leave the rest to the transcript."""
        if abs(event.angleDelta().x()) > abs(event.angleDelta().y()):
            super().wheelEvent(event)
        else:
            event.ignore()

    @Slot(QSizeF)
    def _on_document_size_changed(self, _size: QSizeF) -> None:
        self._fit()

    @Slot(int, int)
    def _on_range_changed(self, _minimum: int, _maximum: int) -> None:
        self._fit()

    def _fit(self) -> None:
        bar = self.horizontalScrollBar()
        extra = bar.sizeHint().height() if bar.maximum() > bar.minimum() else 0
        self.setFixedHeight(ceil(self.document().size().height()) + extra)


def _style(colour: str) -> QTextCharFormat:
    style = QTextCharFormat()
    style.setFont(look.code_font())
    style.setForeground(QColor(colour))
    return style

"""A block of code: its language, a Copy button, coloured text. Knows no markdown and no conversation.

A long one is several of these below each other, of which the first has the language and the button and only the first
and the last have round corners.
"""

from collections.abc import Callable, Iterable

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QColor, QGuiApplication, QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QTextEdit, QVBoxLayout, QWidget

from app.ui import theme as look
from app.ui.elided import ElidedLabel
from app.ui.highlight import pieces
from app.ui.prose import TextPiece
from app.ui.theme import Theme
from app.ui.visible_text import MARK, in_code

COPIED_MS = 1500
MARGIN = 12


class CodeBlock(QFrame):
    """Shows code that may still grow. `whole`: all of the code, of which this may be a part; `before`: what of it
    stands directly before this part."""

    def __init__(
        self,
        theme: Theme,
        language: str,
        parent: QWidget | None = None,
        *,
        whole: Callable[[], str] | None = None,
        before: str = "",
        first: bool = True,
        last: bool = True,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("codeBlock")
        self._theme = theme
        self._language = language
        self._text = ""
        self._whole = whole
        self._before = before
        self.label = ElidedLabel(in_code(language) or "text")
        self.label.setObjectName("codeLabel")
        self.copy_button = QPushButton("Copy")
        self.copy_button.setObjectName("codeCopy")
        self.copy_button.setAccessibleName("Copy this code")
        self.copy_button.clicked.connect(self._on_copy_clicked)
        self._copied = QTimer(self)
        self._copied.setSingleShot(True)
        self._copied.setInterval(COPIED_MS)
        self._copied.timeout.connect(self._on_copied_over)
        self.body = _CodeText(self)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(1, 1 if first else 0, 1, 1 if last else 0)
        self._layout.setSpacing(0)
        self._bar = QFrame(self)
        self._bar.setObjectName("codeHead")
        head = QHBoxLayout(self._bar)
        head.setContentsMargins(12, 4, 6, 4)
        head.addWidget(self.label, 1)
        head.addWidget(self.copy_button)
        self._bar.setVisible(first)
        self._layout.addWidget(self._bar)
        self._layout.addWidget(self.body)
        self._first = first
        self.set_last(last)

    @property
    def text(self) -> str:
        """The code as it is shown; all of it, if this is a part."""
        return in_code(self._whole() if self._whole is not None else self._text)

    def set_text(self, text: str, complete: bool) -> None:
        """Show the code as far as it is known."""
        if complete or not text.startswith(self._text):
            self.body.show_all(self._language, text, self._theme, self._before)
        elif text != self._text:
            self.body.show_grown(self._language, text, self._theme)
        self._text = text

    def set_last(self, last: bool) -> None:
        """Whether the code ends here, and not in another part below."""
        place = ("whole" if last else "first") if self._first else ("last" if last else "middle")
        self._layout.setContentsMargins(1, 1 if self._first else 0, 1, 1 if last else 0)
        self.body.set_edges(top=self._first, bottom=last)
        if self.property("place") != place:
            self.setProperty("place", place)
            self.style().unpolish(self)
            self.style().polish(self)

    def name(self, language: str) -> None:
        """Take over a language whose name has grown since the block began."""
        if language != self._language:
            self._language = language
            self.label.setText(in_code(language) or "text")

    @Slot()
    def _on_copy_clicked(self) -> None:
        QGuiApplication.clipboard().setText(self.text)
        self.copy_button.setText("Copied")
        self._copied.start()

    @Slot()
    def _on_copied_over(self) -> None:
        self.copy_button.setText("Copy")


class _CodeText(TextPiece):
    """The text itself: as high as it is long, scrolled sideways."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(look.code_font(), parent)
        self._written = self._position = 0  # whole lines that are shown: characters of the text, place in the document
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.setObjectName("codeText")
        self.horizontalScrollBar().rangeChanged.connect(self.fit)

    def set_edges(self, *, top: bool, bottom: bool) -> None:
        """Leave room above and below where the code begins and ends."""
        frame = self.document().rootFrame()
        edges = frame.frameFormat()
        edges.setMargin(0)
        edges.setLeftMargin(MARGIN)
        edges.setRightMargin(MARGIN)
        edges.setTopMargin(MARGIN if top else 0)
        edges.setBottomMargin(MARGIN if bottom else 0)
        frame.setFrameFormat(edges)

    def show_all(self, language: str, text: str, theme: Theme, before: str = "") -> None:
        """Show coloured text instead of what was there."""
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.removeSelectedText()
        lines = QTextBlockFormat()
        lines.setLineHeight(look.scaled(look.CODE_LINE), QTextBlockFormat.LineHeightTypes.MinimumHeight.value)
        cursor.setBlockFormat(lines)
        self._written, self._position = 0, 0
        self._write(cursor, pieces(language, in_code(text), theme, before), theme)
        cursor.endEditBlock()
        self.to_start()

    def show_grown(self, language: str, text: str, theme: Theme) -> None:
        """Show text that begins with what was there. Only new lines are coloured, each as if it stood alone; what is
        wrong with that, in a string of several lines, is put right when the text is complete."""
        if self._position == 0:
            self.show_all(language, "", theme)
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.setPosition(self._position)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        whole = text.rfind("\n") + 1
        self._write(cursor, pieces(language, in_code(text[self._written : whole]), theme), theme)
        self._written, self._position = whole, self.document().characterCount() - 1
        self._write(cursor, pieces(language, in_code(text[whole:]), theme), theme)
        cursor.endEditBlock()

    def _write(self, cursor: QTextCursor, coloured: Iterable[tuple[str, str]], theme: Theme) -> None:
        styles: dict[str, QTextCharFormat] = {}
        for piece, colour in coloured:
            place = 0
            for mark in MARK.finditer(piece):
                cursor.insertText(piece[place : mark.start()], _style(colour, styles))
                cursor.insertText(mark[0], _style(theme.warning, styles))
                place = mark.end()
            cursor.insertText(piece[place:], _style(colour, styles))


def _style(colour: str, styles: dict[str, QTextCharFormat]) -> QTextCharFormat:
    if colour not in styles:
        styles[colour] = QTextCharFormat()
        styles[colour].setFont(look.code_font())
        styles[colour].setForeground(QColor(colour))
    return styles[colour]

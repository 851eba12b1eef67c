"""Read-only pieces of formatted text, as high as their content. `Prose`: paragraphs, headings, lists, quotations.

Knows: its height, that what is copied is what is shown, and that whatever a document asks for is answered with nothing,
so that model text loads no file and opens no connection. Does not know: how tokens become formats (`prose_writer`),
where the text comes from.
"""

from collections.abc import Callable
from math import ceil
from typing import Any

from markdown_it.token import Token
from PySide6.QtCore import QByteArray, QMimeData, QSizeF, Qt, QUrl, Signal, Slot
from PySide6.QtGui import QFont, QTextCursor, QWheelEvent
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from app.ui.formula_object import prepare_for_formulas
from app.ui.prose_writer import LIST_INDENT, ProseWriter
from app.ui.shown_text import shown_text
from app.ui.theme import Theme


class TextPiece(QTextBrowser):
    """What all pieces have in common: no frame, no scrolling but sideways, nothing loaded, nothing but text copied."""

    link_activated = Signal(str)

    def __init__(self, font: QFont, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.all_selected: Callable[[], str] | None = None
        """What is selected in the whole text of which this is a piece; empty: only here."""
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setUndoRedoEnabled(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAcceptDrops(False)  # the window takes drops, wherever they fall
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        self.document().setDefaultFont(font)
        self.document().documentLayout().documentSizeChanged.connect(self._on_document_size_changed)
        self.anchorClicked.connect(self._on_anchor_clicked)
        self.setFixedHeight(0)

    def end(self) -> QTextCursor:
        """A cursor behind everything."""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        return cursor

    def to_start(self) -> None:
        """Put the caret, which nobody sees, before everything: Qt scrolls to where it is."""
        self.setTextCursor(QTextCursor(self.document()))

    def shown(self) -> str:
        """All of it as it is copied."""
        return shown_text(self.document())

    def selected(self) -> str:
        """What is selected of it."""
        cursor = self.textCursor()
        return shown_text(self.document(), cursor.selectionStart(), cursor.selectionEnd())

    def createMimeDataFromSelection(self) -> QMimeData:  # noqa: N802
        """What is seen, as plain text."""
        copied = QMimeData()
        copied.setText((self.all_selected() if self.all_selected is not None else "") or self.selected())
        return copied

    def loadResource(self, kind: int, name: QUrl | str) -> Any:  # noqa: N802, ARG002
        """Nothing: model text must not make the window open a file or a connection."""
        return QByteArray()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Scroll sideways here; leave the rest to the transcript."""
        bar = self.horizontalScrollBar()
        if bar.maximum() > bar.minimum() and abs(event.angleDelta().x()) > abs(event.angleDelta().y()):
            super().wheelEvent(event)
        else:
            event.ignore()

    def fit(self) -> None:
        """Be as high as the content."""
        bar = self.horizontalScrollBar()
        shown = self.horizontalScrollBarPolicy() != Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        extra = bar.sizeHint().height() if shown and bar.maximum() > bar.minimum() else 0
        self.setFixedHeight(ceil(self.document().size().height()) + extra)

    @Slot(QSizeF)
    def _on_document_size_changed(self, _size: QSizeF) -> None:
        self.fit()

    @Slot(QUrl)
    def _on_anchor_clicked(self, url: QUrl) -> None:
        self.link_activated.emit(url.toString(QUrl.ComponentFormattingOption.FullyEncoded))


class Prose(TextPiece):
    """Shows markdown tokens. `quiet` makes it small and muted, for thinking."""

    def __init__(self, theme: Theme, quiet: bool = False, parent: QWidget | None = None) -> None:
        self._writer = ProseWriter(theme, quiet)
        super().__init__(self._writer.font, parent)
        self._fresh = True
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setIndentWidth(LIST_INDENT)
        prepare_for_formulas(self.document(), self)

    @property
    def waiting(self) -> set[tuple[str, bool]]:
        """Formulas that are shown as their source because they are not drawn yet."""
        return self._writer.waiting

    def add(self, tokens: tuple[Token, ...], dot: bool = False, goes_on: bool = False) -> None:
        """Write one more top-level block: `dot` ends it with that of a streaming answer, `goes_on` if its list does."""
        if not tokens:
            return
        cursor = self.end()
        cursor.beginEditBlock()
        self._writer.write(cursor, tokens, self._fresh, goes_on)
        self._fresh = False
        if any(child.type == "link_open" for token in tokens for child in token.children or ()):
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # Tab goes from link to link
        if dot:
            self._writer.write_dot(cursor)
        cursor.endEditBlock()

    def replace(self, tokens: tuple[Token, ...], dot: bool = False, goes_on: bool = False) -> None:
        """Show one top-level block instead of all that was there."""
        self.clear()
        self._fresh = True
        self._writer.waiting.clear()
        self.add(tokens, dot, goes_on)

    def add_plain(self, text: str) -> None:
        """Write text as it is, line for line."""
        cursor = self.end()
        cursor.beginEditBlock()
        self._writer.write_plain(cursor, text)
        cursor.endEditBlock()

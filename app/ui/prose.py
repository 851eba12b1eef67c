"""A read-only piece of formatted text, as high as its content: paragraphs, headings, lists, quotations, or one table.

Knows: its height, and that whatever a document asks for is answered with nothing, so that model text loads no file and
opens no connection. Does not know: how tokens become formats (`prose_writer`), where the text comes from.
"""

from math import ceil
from typing import Any

from markdown_it.token import Token
from PySide6.QtCore import QByteArray, QSizeF, Qt, QUrl, Signal, Slot
from PySide6.QtGui import QTextCursor, QWheelEvent
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from app.ui.prose_writer import LIST_INDENT, ProseWriter
from app.ui.theme import Theme


class Prose(QTextBrowser):
    """Shows markdown tokens. `quiet` makes it small and muted, for thinking."""

    link_activated = Signal(str)

    def __init__(self, theme: Theme, quiet: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._writer = ProseWriter(theme, quiet)
        self._fresh = True
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setUndoRedoEnabled(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAcceptDrops(False)  # the window takes drops, wherever they fall
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        self.document().setIndentWidth(LIST_INDENT)
        self.document().setDefaultFont(self._writer.font)
        self.document().documentLayout().documentSizeChanged.connect(self._on_document_size_changed)
        self.anchorClicked.connect(self._on_anchor_clicked)
        self.setFixedHeight(0)

    def add(self, tokens: tuple[Token, ...], dot: bool = False, goes_on: bool = False) -> None:
        """Write one more top-level block: `dot` ends it with that of a streaming answer, `goes_on` if its list does."""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        self._writer.write(cursor, tokens, self._fresh, goes_on)
        self._fresh = False
        if dot:
            self._writer.write_dot(cursor)

    def replace(self, tokens: tuple[Token, ...], dot: bool = False) -> None:
        """Show one top-level block instead of all that was there."""
        self.clear()
        self._fresh = True
        self.add(tokens, dot)

    def add_plain(self, text: str) -> None:
        """Write text as it is, line for line."""
        cursor = QTextCursor(self.document())
        self._writer.write_plain(cursor, text)

    def loadResource(self, kind: int, name: QUrl | str) -> Any:  # noqa: N802, ARG002
        """Nothing: model text must not make the window open a file or a connection."""
        return QByteArray()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave scrolling to the transcript."""
        event.ignore()

    @Slot(QSizeF)
    def _on_document_size_changed(self, size: QSizeF) -> None:
        self.setFixedHeight(ceil(size.height()))

    @Slot(QUrl)
    def _on_anchor_clicked(self, url: QUrl) -> None:
        self.link_activated.emit(url.toString())

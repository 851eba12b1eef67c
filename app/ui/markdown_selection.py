"""Selecting across the pieces of a text, as if it were one: from paragraph through code to table.

Knows: the pieces of a view in their order, and which of them the mouse went through. Does not know what they show. What
is selected is copied as it is seen.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QMouseEvent, QTextCursor
from PySide6.QtWidgets import QWidget
from shiboken6 import isValid

from app.ui.markdown_blocks import CodeText, TableBlock
from app.ui.prose import TextPiece

if TYPE_CHECKING:
    from app.ui.markdown_segment import Segment
    from app.ui.markdown_view import MarkdownView


class MarkdownSelection(QObject):
    """Watches the pieces of a view."""

    def __init__(self, view: "MarkdownView") -> None:
        super().__init__(view)
        self._view = view
        self._from: Segment | None = None
        self._to: Segment | None = None

    @property
    def active(self) -> bool:
        """Whether something is selected, so that its pieces must stay."""
        pieces = [segment.piece for segment in (self._from, self._to) if segment is not None and isValid(segment)]
        return any(piece is not None and piece.textCursor().hasSelection() for piece in pieces)

    def watch(self, piece: TextPiece) -> None:
        """Let a piece take part."""
        piece.all_selected = self.text
        piece.installEventFilter(self)
        piece.viewport().installEventFilter(self)

    def select_all(self) -> None:
        """Select the whole text."""
        segments = self._view.segments
        if segments:
            self._from, self._to = segments[0], segments[-1]
            for segment in segments:
                segment.build()
                if segment.piece is not None:
                    segment.piece.selectAll()

    def text(self) -> str:
        """What is selected, if it goes through several pieces; otherwise nothing."""
        if self._from is None or self._to is None or self._from is self._to:
            return ""
        first, last = self._ends()
        words: list[str] = []
        for at, segment in enumerate(self._view.segments[first : last + 1]):
            piece = segment.piece
            inside = 0 < at < last - first
            if at:
                words.append(_between(segment))
            words.append(segment.shown() if piece is None or inside else piece.selected())
        return "".join(words)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Look at what mouse and keys do in a piece."""
        if isinstance(event, QMouseEvent):
            segment = self._segment_of(watched)
            if segment is not None and event.type() == QEvent.Type.MouseButtonPress:
                return self._pressed(segment, event)
            if event.type() == QEvent.Type.MouseMove and event.buttons() & Qt.MouseButton.LeftButton:
                return self._dragged(event.globalPosition().toPoint())
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return False
        if event.matches(QKeySequence.StandardKey.SelectAll):
            self.select_all()
            return True
        if event.matches(QKeySequence.StandardKey.Copy) and self.text():
            QGuiApplication.clipboard().setText(self.text())  # the piece with the focus may have nothing of it
            return True
        return False

    def _pressed(self, segment: "Segment", event: QMouseEvent) -> bool:
        if event.button() != Qt.MouseButton.LeftButton:
            return False
        self._clear(segment)
        self._from, self._to = segment, segment
        return False

    def _dragged(self, place: QPoint) -> bool:
        """Select from where the mouse was pressed to where it is, whether that is in the same piece or not."""
        under = self._under(place)
        if self._from is None or under is None or (under is self._from and self._to is self._from):
            return False
        self._to = under
        if under is self._from:
            self._clear(under)
            return False
        first, last = self._ends()
        downwards = under is self._view.segments[last]
        for at, segment in enumerate(self._view.segments):
            piece = segment.piece
            if piece is None:
                continue
            if not first <= at <= last:
                _select(piece, 0, 0)
            elif segment is self._from:
                anchor = piece.textCursor().anchor()
                _select(piece, anchor, _length(piece) if downwards else 0)
            elif segment is under:
                at_mouse = piece.cursorForPosition(piece.viewport().mapFromGlobal(place)).position()
                _select(piece, 0 if downwards else _length(piece), at_mouse)
            else:
                _select(piece, 0, _length(piece))
        return True

    def _ends(self) -> tuple[int, int]:
        segments = self._view.segments
        ends = [segments.index(end) if end in segments else 0 for end in (self._from, self._to) if end is not None]
        return min(ends), max(ends)

    def _under(self, place: QPoint) -> "Segment | None":
        y = self._view.mapFromGlobal(place).y()
        segments = self._view.segments
        return next((s for s in segments if y < s.bottom), segments[-1] if segments else None)

    def _clear(self, but: "Segment") -> None:
        for segment in self._view.segments:
            if segment is not but and segment.piece is not None and segment.piece.textCursor().hasSelection():
                _select(segment.piece, 0, 0)

    def _segment_of(self, watched: QObject) -> "Segment | None":
        return next(
            (
                segment
                for segment in self._view.segments
                if segment.piece is not None and isinstance(watched, QWidget) and watched is segment.piece.viewport()
            ),
            None,
        )


def _between(segment: "Segment") -> str:
    """What parts a piece from the one before it."""
    block = segment.blocks[0]
    return "\n" if isinstance(block, CodeText | TableBlock) and not block.first else "\n\n"


def _length(piece: TextPiece) -> int:
    return piece.document().characterCount() - 1


def _select(piece: TextPiece, anchor: int, position: int) -> None:
    cursor = QTextCursor(piece.document())
    cursor.setPosition(anchor)
    cursor.setPosition(position, QTextCursor.MoveMode.KeepAnchor)
    piece.setTextCursor(cursor)

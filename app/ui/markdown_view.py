"""A text in markdown that may still grow, as a column of pieces of which only those near the view are built.

Knows: which piece a block goes to, and what is near. While text streams only the open blocks are parsed and laid out
again; what is complete stays as it is. Does not know: where the text comes from.
"""

import time
from bisect import bisect_left
from operator import attrgetter

from PySide6.QtCore import QPoint, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.ui.formulas import formulas
from app.ui.markdown_blocks import Block, CodeText, MarkdownStream, ProseBlock, TableBlock
from app.ui.markdown_segment import Code, Segment, Style
from app.ui.markdown_selection import MarkdownSelection
from app.ui.table_text import Columns, measure
from app.ui.theme import Theme
from app.ui.visible_text import in_code

AT_ONCE = 3_000
"""Characters of a finished text, or of what has arrived since the last time, that are built without asking whether they
are near."""
AHEAD, BEHIND = 1_200, 4_000
"""Pixels beyond the view that are built, and beyond which pieces are taken down again."""
CHAPTER = 40
"""Pieces in one layout: Qt asks all of a layout whenever one of them grows."""
TURN_S = 0.010
"""What may be spent in one turn of the event loop on what is not in sight."""


_TOP, _BOTTOM = attrgetter("top"), attrgetter("bottom")


class MarkdownView(QWidget):
    """Shows markdown. `quiet` makes it small and muted, for thinking."""

    link_activated = Signal(str)

    def __init__(self, theme: Theme, quiet: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._complete = False
        self._stream = MarkdownStream()
        self._style = Style(theme, quiet, self._stream.tokens)
        self._segments: list[Segment] = []
        self._open: list[Segment] = []
        self._built: list[Segment] = []
        self._behind = False
        self._names = 0
        self._at_once = AT_ONCE
        self._columns, self._code = Columns(), Code()
        self._area: QScrollArea | None = None
        self.selection = MarkdownSelection(self)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self._layout = _column(self)
        self._chapters: list[QWidget] = []
        self._rows: QVBoxLayout | None = None  # of the last chapter
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._on_soon)
        formulas().drawn.connect(self._on_formulas_drawn)

    @property
    def text(self) -> str:
        """The markdown as it was given."""
        return self._text

    @property
    def segments(self) -> list[Segment]:
        """The pieces, from above to below."""
        return [*self._segments, *self._open]

    @property
    def whole(self) -> bool:
        """Whether there is nothing left to be read or built."""
        return not self._behind and not self._soon.isActive()

    def last_code(self) -> str:
        """The last code block as it is shown; empty if there is none."""
        found = next((piece.code for piece in reversed(self.segments) if isinstance(piece.blocks[0], CodeText)), None)
        return in_code(found.text()) if found is not None else ""

    def set_text(self, text: str, complete: bool) -> None:
        """Show a text; quick if it begins with the one that is shown."""
        text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
        if text == self._text and complete == self._complete:
            return
        if self._complete or not text.startswith(self._text):
            self._reset()
        self._text, self._complete = text, complete
        self._grow()

    def undress(self) -> None:
        """Take everything down, because it is about to be drawn in other colours: Qt would dress it once more."""
        for segment in self._built:
            segment.drop(at_once=True)
        self._built.clear()

    def apply_theme(self, theme: Theme) -> None:
        """Draw everything again in other colours: what is in sight now, the rest when its turn comes."""
        self._style.theme = theme
        self._draw_again(list(self._built))

    # ---- growing ---------------------------------------------------------------------------------------------------

    def _reset(self) -> None:
        for segment in self.segments:
            self._remove(segment)
        for chapter in self._chapters:
            self._layout.removeWidget(chapter)
            chapter.deleteLater()
        self._segments, self._open, self._built, self._chapters, self._rows = [], [], [], [], None
        self._stream = MarkdownStream()
        self._style.tokens = self._stream.tokens
        self._behind, self._at_once, self._names = False, AT_ONCE, 0
        self._columns, self._code = Columns(), Code()
        self._text, self._complete = "", False

    def _grow(self) -> None:
        drawn = bool(self._segments)
        if not self._complete:
            self._at_once = AT_ONCE
        cut = self._stream.grown(self._text, self._complete)
        for block in cut.closed:
            self._close(block)
        self._behind = cut.behind
        self._show_open(cut.open)
        if self._complete and not cut.behind and self._stream.names != self._names:
            self._names = self._stream.names
            if drawn:  # perhaps before a name that it uses was explained
                self._draw_again(list(self._built))
        if cut.behind or cut.closed:
            self._look()

    def _close(self, block: Block) -> None:
        before = self._open.pop(0) if self._open else None
        last = self._segments[-1] if self._segments else None
        if before is not None and not (_is_same(before.blocks[0], block) and before.conclude(block)):
            self._remove(before)
            before = None
        if before is not None:
            self._segments.append(before)
        elif isinstance(block, ProseBlock) and last is not None and last.takes():
            last.add(block)
        else:
            self._show_open([])  # what is still open stands below
            segment = self._fresh(block)
            self._segments.append(segment)
            self._at_once -= len(block.text if isinstance(block, CodeText) else block.source)
            if self._at_once > 0 or len(self._segments) == 1:
                segment.build()
        if isinstance(block, CodeText):
            self._code.pieces.append(block)
        elif isinstance(block, TableBlock) and block.first:
            measure(self._stream.tokens(block), self._columns)
            self._columns.fixed = True

    def _show_open(self, blocks: list[Block], *, anew: bool = False) -> None:
        for at, block in enumerate(blocks):
            if at < len(self._open) and not _is_same(self._open[at].blocks[0], block):
                for segment in self._open[at:]:
                    self._remove(segment)
                del self._open[at:]
            if at == len(self._open):
                self._open.append(self._fresh(block))
            self._open[at].show_open(block, dot=block is blocks[-1], anew=anew)
        for segment in self._open[len(blocks) :]:
            self._remove(segment)
        del self._open[len(blocks) :]

    def _fresh(self, block: Block) -> Segment:
        """A new piece below those that are there."""
        if isinstance(block, TableBlock) and block.first:
            self._columns = Columns()
        if isinstance(block, CodeText) and block.first:
            self._code = Code()
        above = self.segments[-1].blocks[-1] if self.segments else None
        segment = Segment(self._style, block, above, self._columns, self._code)
        segment.built.connect(self._on_built)
        segment.link_activated.connect(self.link_activated)
        if self._rows is None or self._rows.count() >= CHAPTER:
            chapter = QWidget()
            self._rows = _column(chapter)
            self._layout.addWidget(chapter)
            self._chapters.append(chapter)
            chapter.show()
        self._rows.addWidget(segment)
        segment.show()
        return segment

    def _remove(self, segment: Segment) -> None:
        segment.drop()
        segment.hide()
        chapter = segment.parentWidget()
        rows = chapter.layout() if chapter is not None else None
        if rows is not None:
            rows.removeWidget(segment)
        segment.deleteLater()
        if segment in self._built:
            self._built.remove(segment)

    def _draw_again(self, pieces: list[Segment]) -> None:
        for segment in pieces:
            if segment not in self._open:
                segment.drop()
                self._built.remove(segment)
        for segment in self._open:
            segment.drop()
        self._show_open([segment.blocks[0] for segment in self._open], anew=True)
        self._build_in_sight()
        self._look()

    # ---- what is near ----------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Follow the area that it is scrolled in."""
        super().showEvent(event)
        self._follow()
        self._look()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """What is not built will take other room."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            for segment in self._segments:
                segment.guess(self.width())
            self._look()

    def _follow(self) -> None:
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if parent is not None and parent is not self._area:
            self._area = parent
            parent.verticalScrollBar().valueChanged.connect(self._on_moved)
            parent.verticalScrollBar().rangeChanged.connect(self._look)

    def _sight(self) -> tuple[int, int] | None:
        """Where the view begins and ends, in own pixels; None if it cannot be scrolled."""
        self._follow()
        if self._area is None or not self._area.isAncestorOf(self):
            return None
        top = self.mapFrom(self._area.viewport(), QPoint()).y()
        return top, top + self._area.viewport().height()

    def _between(self, top: int, bottom: int) -> list[Segment]:
        first = bisect_left(self._segments, top, key=_BOTTOM)
        last = bisect_left(self._segments, bottom, key=_TOP)
        return self._segments[first:last]

    def _build_in_sight(self) -> None:
        sight = self._sight()
        if sight is not None and self.isVisible():
            for segment in self._between(*sight):
                segment.build()

    @Slot()
    def _look(self) -> None:
        if self._area is None and self._sight() is None:
            self._on_soon()  # nothing will ever move
        elif not self._soon.isActive():
            self._soon.start(0)

    @Slot()
    def _on_moved(self) -> None:
        self._build_in_sight()
        self._look()

    @Slot()
    def _on_soon(self) -> None:
        """Read and build a little more of what is near, take down what is far away."""
        sight = self._sight()
        until = time.perf_counter() + TURN_S
        if self._behind:
            self._grow()
        if sight is None:
            for segment in self._segments:
                segment.build()
            return
        if not self.isVisible():
            return
        top, bottom = sight
        near = [segment for segment in self._between(top - AHEAD, bottom + AHEAD) if segment.content is None]
        near.sort(key=lambda segment: max(top - segment.bottom, segment.top - bottom))
        while near and time.perf_counter() < until:
            near.pop(0).build()
        if not self.selection.active:
            for segment in list(self._built):
                far = segment.bottom < top - BEHIND or segment.top > bottom + BEHIND
                if far and segment not in self._open:
                    segment.drop()
                    self._built.remove(segment)
        if near or self._behind:
            self._soon.start(0)

    @Slot(object)
    def _on_built(self, segment: Segment) -> None:
        self._built.append(segment)
        if segment.piece is not None:
            self.selection.watch(segment.piece)

    @Slot()
    def _on_formulas_drawn(self) -> None:
        outdated = [segment for segment in self._built if segment.outdated]
        for segment in outdated:
            if segment not in self._open:
                segment.drop()
                self._built.remove(segment)
                segment.build()
        if any(segment in self._open for segment in outdated):
            self._show_open([segment.blocks[0] for segment in self._open], anew=True)


def _column(widget: QWidget) -> QVBoxLayout:
    """A layout without any room of its own."""
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    return layout


def _is_same(old: Block, new: Block) -> bool:
    """Whether a piece that shows one can show the other."""
    if isinstance(old, CodeText) and isinstance(new, CodeText):
        return old.first == new.first and old.depth == new.depth
    if isinstance(old, TableBlock) and isinstance(new, TableBlock):
        return old.first == new.first
    return type(old) is type(new)

"""One piece of a text in markdown: paragraphs, rows of a table or lines of code, built only while they are near.

Knows what it holds and how high it was; until it is built, how high it will be about. Does not know what is near.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from markdown_it.token import Token
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget
from shiboken6 import delete

from app.ui import theme as look
from app.ui.code_block import CodeBlock
from app.ui.formulas import formulas
from app.ui.markdown_blocks import Block, CodeText, ProseBlock, TableBlock
from app.ui.prose import Prose, TextPiece
from app.ui.prose_writer import LIST_INDENT
from app.ui.sticky_scroll import ANCHOR
from app.ui.table_text import Columns, TableText
from app.ui.theme import Theme

MOST_BLOCKS, MOST_CHARACTERS = 40, 5_000
"""Of paragraphs in one piece; laying out these takes some 15 ms."""
GAP, GAP_BEFORE, GAP_BEHIND = 10, 4, 14
"""Pixels: below a paragraph, before code and tables besides that, and behind those."""
LETTER, WIDTH = 7.2, 600
"""Pixels that a letter takes, and a line before it is known, for a guess."""
UNLIMITED = 16_777_215
"""The height that Qt gives widgets that may be as high as they like."""


@dataclass(slots=True)
class Style:
    """What all pieces of a text are drawn with; `tokens` reads a block."""

    theme: Theme
    quiet: bool
    tokens: Callable[[ProseBlock | TableBlock], tuple[Token, ...]]


@dataclass(slots=True)
class Code:
    """All of a code block, gathered from its pieces; the last may still grow."""

    pieces: list[CodeText] = field(default_factory=list)
    growing: CodeText | None = None

    def text(self) -> str:
        """The code."""
        pieces = [*self.pieces, *([self.growing] if self.growing is not None else [])]
        ends = [*("" if piece.joined else "\n" for piece in pieces[:-1]), ""]
        return "".join(piece.text + end for piece, end in zip(pieces, ends, strict=True))


class Segment(QWidget):
    """Holds blocks of one kind. `columns` and `code` are shared by the pieces of one table or code block."""

    link_activated = Signal(str)
    built = Signal(object)

    def __init__(self, style: Style, block: Block, above: Block | None, columns: Columns, code: Code) -> None:
        super().__init__()
        self.setObjectName(ANCHOR)
        self.blocks: list[Block] = [block]
        self.columns, self.code = columns, code
        self.content: Prose | TableText | CodeBlock | None = None
        self._style = style
        self._before = code.pieces[-1].text + "\n" if code.pieces and isinstance(block, CodeText) else ""
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(_indent(block), _gap(above, block), 0, 0)
        self._layout.setSpacing(0)
        self.guess(WIDTH)

    @property
    def top(self) -> int:
        """Where it begins in the whole text, in pixels."""
        chapter = self.parentWidget()
        return self.y() + (chapter.y() if chapter is not None else 0)

    @property
    def bottom(self) -> int:
        """Where it ends."""
        return self.top + self.height()

    @property
    def piece(self) -> TextPiece | None:
        """What shows the text, None while it is not built."""
        return self.content.body if isinstance(self.content, CodeBlock) else self.content

    @property
    def outdated(self) -> bool:
        """Whether formulas that were not drawn when it was built are known now."""
        waiting = self.content.waiting if isinstance(self.content, Prose | TableText) else set()
        return any(not formulas().waits_for(latex, display=display) for latex, display in waiting)

    def takes(self) -> bool:
        """Whether one more paragraph belongs into this piece."""
        held = [other for other in self.blocks if isinstance(other, ProseBlock)]
        small = len(held) < MOST_BLOCKS and sum(len(other.source) for other in held) < MOST_CHARACTERS
        return bool(held) and small

    def add(self, block: ProseBlock) -> None:
        """Take one more paragraph."""
        self.blocks.append(block)
        if isinstance(self.content, Prose):
            self.content.add(self._style.tokens(block), goes_on=block.goes_on)
        else:
            self.guess(self.width())

    def show_open(self, block: Block, *, dot: bool, anew: bool) -> None:
        """Show a block that may still change instead of what it was before; `anew` even if it is the same."""
        if block == self.blocks[0] and self.content is not None and not anew:
            return
        self.blocks = [block]
        if isinstance(block, CodeText):
            self.code.growing = block
        self._make()
        match block:
            case CodeText() if isinstance(self.content, CodeBlock):
                self.content.name(block.language)
                self.content.set_text(block.text, complete=False)
            case TableBlock() if isinstance(self.content, TableText):
                self.content.show_rows(self._style.tokens(block))
            case ProseBlock() if isinstance(self.content, Prose):
                self.content.replace(self._style.tokens(block), dot, block.goes_on)

    def conclude(self, block: Block) -> bool:
        """Show the last form of what was open; whether it is of the same kind."""
        self.code.growing = None
        if isinstance(block, CodeText) and isinstance(self.content, CodeBlock):
            self.content.name(block.language)
            self.content.set_text(block.text, complete=True)
            self.content.set_last(block.last)
        elif isinstance(block, TableBlock) and isinstance(self.content, TableText):
            self.content.show_rows(self._style.tokens(block))
        else:
            return False
        self.blocks = [block]
        return True

    def guess(self, width: int) -> None:
        """Take about the room that it will take."""
        if self.content is None:
            self.setFixedHeight(self._layout.contentsMargins().top() + _height(self.blocks, width, self._style.quiet))

    def build(self) -> None:
        """Show what it holds."""
        if self.content is not None:
            return
        self._make()
        for block in self.blocks:
            match block:
                case CodeText() if isinstance(self.content, CodeBlock):
                    self.content.set_text(block.text, complete=True)
                case TableBlock() if isinstance(self.content, TableText):
                    self.content.show_rows(self._style.tokens(block))
                case ProseBlock() if isinstance(self.content, Prose):
                    self.content.add(self._style.tokens(block), goes_on=block.goes_on)

    def drop(self, *, at_once: bool = False) -> None:
        """Take down what is shown, and keep the room for it; `at_once`: none of its own events is being handled."""
        content, self.content = self.content, None
        if content is not None:
            self.setFixedHeight(self.height())
            self._layout.removeWidget(content)
            content.hide()
            if at_once:
                delete(content)
            else:
                content.deleteLater()

    def shown(self) -> str:
        """All of it as it is copied, whether it is built or not."""
        built = self.content is not None
        self.build()
        words = self.piece.shown() if self.piece is not None else ""
        if not built:
            self.drop()
        return words

    def _make(self) -> None:
        """Make the widget of its kind, still empty, if there is none."""
        if self.content is not None:
            return
        theme, first = self._style.theme, self.blocks[0]
        match first:
            case CodeText(language=language):
                self.content = CodeBlock(
                    theme, language, whole=self.code.text, before=self._before, first=first.first, last=first.last
                )
            case TableBlock():
                self.content = TableText(theme, self.columns, quiet=self._style.quiet, first=first.first)
            case ProseBlock():
                self.content = Prose(theme, self._style.quiet)
        self._layout.addWidget(self.content)
        self.setMinimumHeight(0)
        self.setMaximumHeight(UNLIMITED)
        self.content.show()  # the layout would do so later, and one paint would be without it
        if isinstance(self.content, Prose | TableText):
            self.content.link_activated.connect(self.link_activated)
        self.built.emit(self)


def _indent(block: Block) -> int:
    return LIST_INDENT * block.depth if isinstance(block, CodeText) else 0


def _gap(above: Block | None, block: Block) -> int:
    """Pixels between two pieces."""
    if above is None or (isinstance(block, CodeText | TableBlock) and not block.first):
        return 0
    if isinstance(above, ProseBlock):
        return 0 if isinstance(block, ProseBlock) else GAP_BEFORE
    return GAP_BEHIND


def _height(blocks: list[Block], width: int, quiet: bool) -> int:
    """About how high blocks will be at a width."""
    line = look.scaled(look.QUIET_LINE if quiet else look.TEXT_LINE)
    across = max(20, int(width / look.scaled(LETTER * 10) * 10))
    height = 0
    for block in blocks:
        match block:
            case CodeText():
                height += (block.text.count("\n") + 1) * look.scaled(look.CODE_LINE) + (56 if block.first else 0)
            case TableBlock():
                height += max(1, block.source.count("\n") - 1) * (line + 11)
            case ProseBlock():
                height += (1 + len(block.source) // across) * line + GAP
    return height

"""A text in markdown that may still grow, as a column of pieces: prose, tables, code blocks.

Knows: which piece a block goes to. While text streams only the open block is parsed and laid out again; what is
complete stays as it is. Does not know: where the text comes from.
"""

from typing import assert_never

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from app.ui.code_block import CodeBlock
from app.ui.markdown_blocks import Block, CodeText, MarkdownStream, ProseBlock, TableBlock
from app.ui.prose import Prose
from app.ui.theme import Theme


class MarkdownView(QWidget):
    """Shows markdown. `quiet` makes it small and muted, for thinking."""

    link_activated = Signal(str)

    def __init__(self, theme: Theme, quiet: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._quiet = quiet
        self._text = ""
        self._complete = False
        self._stream = MarkdownStream()
        self._growing: Prose | None = None  # completed paragraphs are added to it, so that one can select across them
        self._open: Prose | CodeBlock | None = None
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(10)

    @property
    def text(self) -> str:
        """The markdown as it was given."""
        return self._text

    def set_text(self, text: str, complete: bool) -> None:
        """Show a text; quick if it begins with the one that is shown."""
        if self._complete or not text.startswith(self._text):
            if text == self._text and complete:
                return
            self._reset()
        self._text, self._complete = text, complete
        closed, still_open = self._stream.grown(text, complete)
        for block in closed:
            self._close(block)
        if still_open is not None:
            self._show_open(still_open)
        else:
            self._drop_open()

    def apply_theme(self, theme: Theme) -> None:
        """Draw everything again in other colours."""
        text, complete = self._text, self._complete
        self._theme = theme
        self._reset()
        self.set_text(text, complete)

    def _reset(self) -> None:
        while (item := self._layout.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._stream = MarkdownStream()
        self._text, self._complete = "", False
        self._growing = self._open = None

    def _close(self, block: Block) -> None:
        match block:
            case ProseBlock():
                self._drop_open()
                if self._growing is None:
                    self._growing = self._prose()
                    self._put(self._growing)
                self._growing.add(block.tokens, goes_on=block.goes_on)
            case TableBlock():
                self._drop_open()
                table = self._prose()
                self._put(table)
                table.add(block.tokens)
                self._growing = None
            case CodeText():
                code = self._open if isinstance(self._open, CodeBlock) else None
                if code is None:
                    self._drop_open()
                    code = CodeBlock(self._theme, block.language)
                    self._put(code)
                code.name(block.language)
                code.set_text(block.text, complete=True)
                self._growing, self._open = None, None
            case _:
                assert_never(block)

    def _show_open(self, block: Block) -> None:
        match block:
            case CodeText():
                if not isinstance(self._open, CodeBlock):
                    self._drop_open()
                    self._open = CodeBlock(self._theme, block.language)
                    self._put(self._open)
                self._open.name(block.language)
                self._open.set_text(block.text, complete=False)
            case ProseBlock() | TableBlock():
                if not isinstance(self._open, Prose):
                    self._drop_open()
                    self._open = self._prose()
                    self._put(self._open)
                self._open.replace(block.tokens, dot=isinstance(block, ProseBlock))
            case _:
                assert_never(block)

    def _drop_open(self) -> None:
        if self._open is not None:
            self._layout.removeWidget(self._open)
            self._open.hide()
            self._open.deleteLater()
            self._open = None

    def _put(self, widget: QWidget) -> None:
        self._layout.addWidget(widget)
        widget.show()  # the layout would do so later, and one paint would be without it

    def _prose(self) -> Prose:
        prose = Prose(self._theme, self._quiet)
        prose.link_activated.connect(self.link_activated)
        return prose

"""A table, or some rows of one: columns of fixed width, scrolled sideways where there is no room for them.

Knows how wide columns have to be to be read. Does not know the rows before and after its own; that all parts of a table
have the same columns is what they share: `Columns`.
"""

from dataclasses import dataclass, field
from itertools import zip_longest

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QResizeEvent,
    QTextBlockFormat,
    QTextCursor,
    QTextFrameFormat,
    QTextLength,
    QTextTable,
    QTextTableCell,
    QTextTableCellFormat,
    QTextTableFormat,
)
from PySide6.QtWidgets import QTextEdit, QWidget

from app.ui import theme as look
from app.ui.formula_object import prepare_for_formulas
from app.ui.prose import TextPiece
from app.ui.prose_writer import ProseWriter
from app.ui.shown_text import FILLER
from app.ui.theme import Theme
from app.ui.visible_text import in_prose

WIDEST, READABLE = 340, 128
"""Pixels that a column wants at most, and down to which it is narrowed before the table scrolls."""
PADDING = 18


@dataclass(slots=True)
class Columns:
    """How wide the columns of a table want to be, in pixels where text has its usual size; `fixed`: more rows do not
    change it."""

    wanted: list[float] = field(default_factory=list)
    fixed: bool = False

    def see(self, row: list[Token], metrics: QFontMetricsF) -> None:
        """Take a row into account."""
        widths = [min(look.nominal(metrics.horizontalAdvance(_words(cell)[:200])) + 4, WIDEST) for cell in row]
        self.wanted = [max(a, b) for a, b in zip_longest(self.wanted, widths, fillvalue=0.0)]

    def within(self, room: float) -> list[float]:
        """The widths for so much room: less than wanted as long as they can be read."""
        padded = [float(look.scaled(width)) + PADDING for width in self.wanted]
        least = [min(width, look.scaled(READABLE) + PADDING) for width in padded]
        spare, wish = room - sum(least), sum(padded) - sum(least)
        if wish <= 0 or spare >= wish:
            return padded
        share = max(0.0, spare) / wish
        return [low + (high - low) * share for low, high in zip(least, padded, strict=True)]


class TableText(TextPiece):
    """Shows the rows of a table's tokens; `first`: its head too."""

    def __init__(
        self, theme: Theme, columns: Columns, *, quiet: bool, first: bool, parent: QWidget | None = None
    ) -> None:
        self._writer = ProseWriter(theme, quiet)
        super().__init__(self._writer.font, parent)
        self._columns = columns
        self._first = first
        self._table: QTextTable | None = None
        self._written: list[list[str]] = []
        self._widths: list[float] = []
        self.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        prepare_for_formulas(self.document(), self)
        self.horizontalScrollBar().rangeChanged.connect(self.fit)

    @property
    def waiting(self) -> set[tuple[str, bool]]:
        """Formulas that are shown as their source because they are not drawn yet."""
        return self._writer.waiting

    def show_rows(self, tokens: tuple[Token, ...]) -> None:
        """Show a table that begins with the rows that are shown: what is the same is left alone."""
        rows = _rows(tokens)
        if not self._first:
            rows = rows[1:]
        if not rows:
            return
        measure(tokens, self._columns)
        fresh = self._table is None
        cursor = self.end()
        cursor.beginEditBlock()
        if self._table is None:
            self._table = self._fresh_table(cursor, len(rows), len(rows[0]))
        elif self._table.rows() < len(rows):
            self._table.appendRows(len(rows) - self._table.rows())
        for at, row in enumerate(rows):
            sources = [cell.content for cell, _ in row]
            before = self._written[at] if at < len(self._written) else None
            if sources != before:
                self._write_row(self._table, at, row, before)
        self._written = [[cell.content for cell, _ in row] for row in rows]
        self._arrange()
        cursor.endEditBlock()
        if fresh:
            self.to_start()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Use the room there is."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._arrange()

    def _arrange(self) -> None:
        if self._table is None:
            return
        widths = [float(round(width)) for width in self._columns.within(self.viewport().width())]
        if widths != self._widths and widths:
            self._widths = widths
            style = self._table.format()
            style.setColumnWidthConstraints([QTextLength(QTextLength.Type.FixedLength, width) for width in widths])
            style.setWidth(QTextLength(QTextLength.Type.FixedLength, sum(widths)))
            self._table.setFormat(style)
            self.setLineWrapColumnOrWidth(max(1, round(sum(widths))))

    def _fresh_table(self, cursor: QTextCursor, rows: int, columns: int) -> QTextTable:
        _shrink(cursor)
        style = QTextTableFormat()
        style.setBorder(0)
        style.setCellSpacing(0)
        style.setCellPadding(0)
        style.setBorderCollapse(True)
        table = cursor.insertTable(rows, columns, style)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        _shrink(cursor)
        return table

    def _write_row(self, table: QTextTable, at: int, row: list[tuple[Token, Token]], before: list[str] | None) -> None:
        for column, (token, opening) in enumerate(row[: table.columns()]):
            if before is not None and column < len(before) and before[column] == token.content:
                continue
            cell = table.cellAt(at, column)
            cursor = cell.firstCursorPosition()
            if before is not None:
                cursor.setPosition(cell.lastPosition(), QTextCursor.MoveMode.KeepAnchor)
                cursor.removeSelectedText()
            cursor.setBlockFormat(self._cell_paragraph(opening))
            base = self._writer.plain()
            if opening.type == "th_open":
                base.setFont(look.text_font(self._writer.size - 1, QFont.Weight.Medium))
                base.setForeground(QColor(self._writer.theme.muted))
            self._writer.inline(cursor, token.children or [], base)
            if before is None:
                self._frame(cell)

    def _cell_paragraph(self, opening: Token) -> QTextBlockFormat:
        block = self._writer.block_format(bottom=0)
        style = str(opening.attrs.get("style", ""))
        if "right" in style:
            block.setAlignment(Qt.AlignmentFlag.AlignRight)
        elif "center" in style:
            block.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        return block

    def _frame(self, cell: QTextTableCell) -> None:
        frame = QTextTableCellFormat()
        frame.setBottomBorder(1)
        frame.setBottomBorderBrush(QColor(self._writer.theme.line))
        frame.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        frame.setTopPadding(5)
        frame.setBottomPadding(5)
        frame.setRightPadding(PADDING)
        cell.setFormat(frame)


def measure(tokens: tuple[Token, ...], columns: Columns) -> None:
    """Take the rows of a table into account."""
    if not columns.fixed:
        metrics = QFontMetricsF(look.text_font())
        for row in _rows(tokens):
            columns.see([cell for cell, _ in row], metrics)


def _rows(tokens: tuple[Token, ...]) -> list[list[tuple[Token, Token]]]:
    """The cells of each row, each with the token that opens it."""
    rows: list[list[tuple[Token, Token]]] = []
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append((token, tokens[at - 1]))
    return rows


def _words(cell: Token) -> str:
    return in_prose("".join(child.content for child in cell.children or []))


def _shrink(cursor: QTextCursor) -> None:
    """Qt keeps an empty line before and after a table: make it as good as invisible."""
    block = QTextBlockFormat()
    block.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
    block.setProperty(FILLER, True)
    cursor.setBlockFormat(block)
    tiny = cursor.blockCharFormat()
    tiny.setFontPointSize(1)
    cursor.setBlockCharFormat(tiny)

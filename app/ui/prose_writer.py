"""Markdown tokens, written into a QTextDocument with formats of our own: no HTML, no picture, no style of the text's.

Knows: tokens and formats. Does not know: widgets. Pictures become words; only web addresses become links.
"""

from typing import Any
from urllib.parse import urlsplit

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextFrameFormat,
    QTextLength,
    QTextList,
    QTextListFormat,
    QTextTableFormat,
)

from app.ui import theme as look
from app.ui.plain_tip import plain_tip
from app.ui.theme import Theme

PARAGRAPH_GAP = 10
LIST_INDENT = 26
HEADING_SIZES = {"h1": 20, "h2": 17, "h3": 15}
STEADY_DOT = " ●"


def safe_link(address: Any) -> str:
    """The address if it is a web page's, otherwise nothing."""
    try:
        parts = urlsplit(str(address))
    except ValueError:
        return ""
    return str(address) if parts.scheme in ("http", "https") and parts.hostname else ""


class _OpenList:
    """A list that is being written: its format, and the list itself from its first item on."""

    def __init__(self, listed: QTextListFormat) -> None:
        self._format = listed
        self._list: QTextList | None = None

    def take(self, cursor: QTextCursor) -> None:
        """Make the cursor's paragraph the next item."""
        if self._format.style() != QTextListFormat.Style.ListDecimal:
            # Qt leaves one space of the paragraph's own font between a bullet and the text; that of code is a wide one.
            wide = cursor.blockCharFormat()
            wide.setFont(look.code_font(look.TEXT_SIZE))
            cursor.setBlockCharFormat(wide)
        if self._list is None:
            self._list = cursor.createList(self._format)
        else:
            self._list.add(cursor.block())


class ProseWriter:
    """Walks tokens and writes them with a cursor. Holds only formats between two calls. `quiet`: small and muted."""

    def __init__(self, theme: Theme, quiet: bool) -> None:
        self.theme = theme
        self.size = look.QUIET_SIZE if quiet else look.TEXT_SIZE
        self.line = look.QUIET_LINE if quiet else look.TEXT_LINE
        self.font = look.text_font(self.size)
        self.colour = QColor(theme.muted if quiet else theme.text)

    def write(self, cursor: QTextCursor, tokens: tuple[Token, ...], first: bool, goes_on: bool = False) -> None:
        """Write a top-level block; `first`: the document is still empty, `goes_on`: more of its list will follow."""
        if tokens[0].type == "table_open":
            self._table(cursor, tokens)
        else:
            self._blocks(cursor, tokens, first)
            if tokens[-1].type.endswith("_list_close") and not goes_on:
                cursor.mergeBlockFormat(self._block_end())

    def write_plain(self, cursor: QTextCursor, text: str) -> None:
        """Write text without reading any markdown in it."""
        cursor.setBlockFormat(self._block_format(bottom=0))
        cursor.insertText(text, self._plain())

    def write_dot(self, cursor: QTextCursor) -> None:
        """The cursor of a streaming answer."""
        dot = self._plain()
        dot.setForeground(QColor(self.theme.accent))
        dot.setFontPointSize(6)
        cursor.insertText(STEADY_DOT, dot)

    def _plain(self) -> QTextCharFormat:
        plain = QTextCharFormat()
        plain.setFont(self.font)
        plain.setForeground(self.colour)
        return plain

    def _block_format(self, depth: int = 0, bottom: int = PARAGRAPH_GAP) -> QTextBlockFormat:
        block = QTextBlockFormat()
        block.setLineHeight(self.line, QTextBlockFormat.LineHeightTypes.MinimumHeight.value)
        block.setBottomMargin(bottom)
        block.setLeftMargin(18 * depth)
        return block

    def _block_end(self) -> QTextBlockFormat:
        end = QTextBlockFormat()
        end.setBottomMargin(PARAGRAPH_GAP)
        return end

    def _blocks(self, cursor: QTextCursor, tokens: tuple[Token, ...], first: bool) -> None:  # noqa: C901  (a table)
        lists: list[_OpenList] = []
        quotes = 0
        heading = ""
        bullet = False

        for token in tokens:
            match token.type:
                case "bullet_list_open" | "ordered_list_open":
                    lists.append(_OpenList(self._list(token, len(lists))))
                case "bullet_list_close" | "ordered_list_close":
                    lists.pop()
                    bullet = False
                case "list_item_open":
                    bullet = True
                case "blockquote_open":
                    quotes += 1
                case "blockquote_close":
                    quotes -= 1
                case "heading_open":
                    heading = token.tag
                case "heading_close":
                    heading = ""
                case "inline" | "fence" | "code_block" | "math_block" | "math_block_label" | "hr":
                    depth = quotes + (len(lists) if lists and not bullet else 0)
                    block = self._block_format(depth, 4 if lists else PARAGRAPH_GAP)
                    if heading and not first:
                        block.setTopMargin(8)
                    first = self._begin(cursor, block, first)
                    if bullet and lists:
                        lists[-1].take(cursor)
                        bullet = False
                    self._content(cursor, token, heading, quoted=quotes > 0)
                case _:
                    pass

    def _begin(self, cursor: QTextCursor, block: QTextBlockFormat, first: bool) -> bool:
        if first:
            cursor.setBlockFormat(block)
            cursor.setBlockCharFormat(self._plain())
        else:
            cursor.insertBlock(block, self._plain())
        return False

    def _content(self, cursor: QTextCursor, token: Token, heading: str, *, quoted: bool) -> None:
        if token.type == "inline":
            base = self._heading(heading) if heading else self._plain()
            if quoted:
                base.setForeground(QColor(self.theme.muted))
            self._inline(cursor, token.children or [], base)
        elif token.type == "hr":
            rule = self._plain()
            rule.setForeground(QColor(self.theme.line))
            cursor.insertText("─" * 24, rule)
        else:
            cursor.insertText(token.content.strip("\n").replace("\n", "\u2028"), self._code())

    def _heading(self, tag: str) -> QTextCharFormat:
        heading = self._plain()
        size = HEADING_SIZES.get(tag, self.size)
        heading.setFont(look.text_font(min(size, self.size + 6), QFont.Weight.DemiBold))
        heading.setForeground(self.colour)
        return heading

    def _code(self) -> QTextCharFormat:
        code = QTextCharFormat()
        code.setFont(look.code_font(self.size - 1.4))
        code.setForeground(self.colour)
        code.setBackground(QColor(self.theme.code))
        return code

    def _list(self, token: Token, depth: int) -> QTextListFormat:
        listed = QTextListFormat()
        listed.setIndent(1 + depth)
        if token.type == "ordered_list_open":
            listed.setStyle(QTextListFormat.Style.ListDecimal)
            start = token.attrs.get("start", 1)
            listed.setStart(int(start) if isinstance(start, int) else 1)
        else:
            styles = (QTextListFormat.Style.ListDisc, QTextListFormat.Style.ListCircle)
            listed.setStyle(styles[depth % 2])
        return listed

    def _inline(self, cursor: QTextCursor, tokens: list[Token], base: QTextCharFormat) -> None:
        formats = [base]
        for token in tokens:
            now = formats[-1]
            match token.type:
                case "text" | "text_special":
                    cursor.insertText(token.content, now)
                case "softbreak" | "hardbreak":
                    cursor.insertText("\u2028", now)
                case "code_inline" | "math_inline" | "math_inline_double":
                    cursor.insertText(token.content, self._code())
                case "image":
                    words = QTextCharFormat(now)
                    words.setForeground(QColor(self.theme.muted))
                    cursor.insertText(f"[picture: {token.content or 'without a name'}]", words)
                case "strong_open" | "em_open" | "s_open" | "link_open":
                    formats.append(self._nested(now, token))
                case "strong_close" | "em_close" | "s_close" | "link_close":
                    formats.pop()
                case _:
                    cursor.insertText(token.content, now)

    def _nested(self, now: QTextCharFormat, token: Token) -> QTextCharFormat:
        nested = QTextCharFormat(now)
        if token.type == "strong_open":
            nested.setFontWeight(QFont.Weight.DemiBold)
        elif token.type == "em_open":
            nested.setFontItalic(True)
        elif token.type == "s_open":
            nested.setFontStrikeOut(True)
        else:
            address = safe_link(token.attrs.get("href", ""))
            if address:
                nested.setAnchor(True)
                nested.setAnchorHref(address)
                nested.setToolTip(plain_tip(address))
                nested.setForeground(QColor(self.theme.accent))
                nested.setFontUnderline(True)
        return nested

    def _table(self, cursor: QTextCursor, tokens: tuple[Token, ...]) -> None:
        cells = [(token, tokens[at - 1]) for at, token in enumerate(tokens) if token.type == "inline"]
        rows = sum(token.type == "tr_open" for token in tokens)
        columns = len(cells) // max(1, rows)
        self._shrink(cursor)
        table = cursor.insertTable(rows, columns, self._table_format(columns))
        for at, (token, opening) in enumerate(cells):
            cell = table.cellAt(at // columns, at % columns)
            inside = cell.firstCursorPosition()
            block = self._block_format(bottom=0)
            if "right" in str(opening.attrs.get("style", "")):
                block.setAlignment(Qt.AlignmentFlag.AlignRight)
            elif "center" in str(opening.attrs.get("style", "")):
                block.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            inside.setBlockFormat(block)
            base = self._plain()
            if opening.type == "th_open":
                base.setFont(look.text_font(self.size - 1, QFont.Weight.Medium))
                base.setForeground(QColor(self.theme.muted))
            self._inline(inside, token.children or [], base)
            frame = cell.format().toTableCellFormat()
            frame.setBottomBorder(1)
            frame.setBottomBorderBrush(QColor(self.theme.line))
            frame.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
            frame.setPadding(0)
            frame.setTopPadding(5)
            frame.setBottomPadding(5)
            frame.setRightPadding(18)
            cell.setFormat(frame)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        self._shrink(cursor)

    def _table_format(self, columns: int) -> QTextTableFormat:
        table = QTextTableFormat()
        table.setBorder(0)
        table.setCellSpacing(0)
        table.setCellPadding(0)
        table.setHeaderRowCount(1)
        table.setBorderCollapse(True)
        table.setColumnWidthConstraints([QTextLength(QTextLength.Type.VariableLength, 0)] * columns)
        return table

    def _shrink(self, cursor: QTextCursor) -> None:
        """Qt keeps an empty line before and after a table: make it as good as invisible."""
        block = QTextBlockFormat()
        block.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        cursor.setBlockFormat(block)
        tiny = QTextCharFormat()
        tiny.setFontPointSize(1)
        cursor.setBlockCharFormat(tiny)

"""Markdown tokens, written into a QTextDocument with formats of our own: no HTML, no picture, no style of the text's.

Knows: tokens and formats. Does not know: widgets. Pictures become words; only web addresses become links.
"""

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextList,
    QTextListFormat,
)

from app.ui import theme as look
from app.ui.formula_object import OBJECT, formula_format
from app.ui.formulas import formulas
from app.ui.markdown_rules import UNFINISHED
from app.ui.plain_tip import plain_tip
from app.ui.safe_link import safe_link, shown_address
from app.ui.shown_text import JOINED
from app.ui.theme import Theme
from app.ui.visible_text import in_code, in_prose

PARAGRAPH_GAP, ITEM_GAP = 10, 4
LIST_INDENT, QUOTE_INDENT = 26, 18
HEADING_SIZES = {"h1": 20, "h2": 17, "h3": 15}
STEADY_DOT = " ●"
TASKS = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}


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
    """Walks tokens and writes them with a cursor. Holds only formats between two calls, and in `waiting` the formulas
    that are not drawn yet and were written as their source. `quiet`: small and muted."""

    def __init__(self, theme: Theme, quiet: bool) -> None:
        self.theme = theme
        self.size = look.QUIET_SIZE if quiet else look.TEXT_SIZE
        self.line = look.scaled(look.QUIET_LINE if quiet else look.TEXT_LINE)
        self.font = look.text_font(self.size)
        self.colour = QColor(theme.muted if quiet else theme.text)
        self.waiting: set[tuple[str, bool]] = set()

    def write(self, cursor: QTextCursor, tokens: tuple[Token, ...], first: bool, goes_on: bool = False) -> None:
        """Write a top-level block; `first`: the document is still empty, `goes_on`: more of its list or paragraph
        will follow."""
        self._blocks(cursor, tokens, first)
        if goes_on and tokens[-1].type == "paragraph_close":
            joined = QTextBlockFormat()
            joined.setBottomMargin(0)
            joined.setProperty(JOINED, True)
            cursor.mergeBlockFormat(joined)
        elif not goes_on and tokens[0].type.endswith("_list_open"):
            cursor.mergeBlockFormat(self._block_end())

    def write_plain(self, cursor: QTextCursor, text: str) -> None:
        """Write text without reading any markdown in it."""
        cursor.setBlockFormat(self.block_format(bottom=0))
        cursor.insertText(in_prose(text), self.plain())

    def write_dot(self, cursor: QTextCursor) -> None:
        """The cursor of a streaming answer."""
        dot = self.plain()
        dot.setForeground(QColor(self.theme.accent))
        dot.setFontPointSize(6)
        cursor.insertText(STEADY_DOT, dot)

    def plain(self) -> QTextCharFormat:
        """The format of words."""
        plain = QTextCharFormat()
        plain.setFont(self.font)
        plain.setForeground(self.colour)
        return plain

    def block_format(self, bottom: int = PARAGRAPH_GAP) -> QTextBlockFormat:
        """The format of a paragraph with so much room below."""
        block = QTextBlockFormat()
        block.setLineHeight(self.line, QTextBlockFormat.LineHeightTypes.MinimumHeight.value)
        block.setBottomMargin(bottom)
        return block

    def _block_end(self) -> QTextBlockFormat:
        end = QTextBlockFormat()
        end.setBottomMargin(PARAGRAPH_GAP)
        return end

    def _blocks(self, cursor: QTextCursor, tokens: tuple[Token, ...], first: bool) -> None:  # noqa: C901, PLR0912  (a table)
        lists: list[_OpenList] = []
        quotes = 0
        heading = note = ""
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
                case "note_open":
                    note = token.info
                case "inline" | "fence" | "code_block" | "math_block" | "hr":
                    block = self.block_format(ITEM_GAP if lists or note else PARAGRAPH_GAP)
                    block.setLeftMargin(QUOTE_INDENT * quotes + (0 if bullet else LIST_INDENT * len(lists)))
                    if heading and not first:
                        block.setTopMargin(8)
                    first = self._begin(cursor, block, first)
                    if bullet and lists:
                        lists[-1].take(cursor)
                    self._content(cursor, token, heading, note, quoted=quotes > 0, item=bullet)
                    bullet, note = False, ""
                case _:
                    pass

    def _begin(self, cursor: QTextCursor, block: QTextBlockFormat, first: bool) -> bool:
        if first:
            cursor.setBlockFormat(block)
            cursor.setBlockCharFormat(self.plain())
        else:
            cursor.insertBlock(block, self.plain())
        return False

    def _content(self, cursor: QTextCursor, token: Token, heading: str, note: str, *, quoted: bool, item: bool) -> None:
        if token.type == "inline":
            base = self._heading(heading) if heading else self.plain()
            if quoted or note:
                base.setForeground(QColor(self.theme.muted))
            if note:
                self._note(cursor, note, base)
                cursor.insertText(" ", base)
            children = token.children or []
            task = TASKS.get(children[0].content[:4]) if item and children and children[0].type == "text" else None
            if task:
                cursor.insertText(task, base)
                children = [children[0].copy(content=children[0].content[4:]), *children[1:]]
            self.inline(cursor, children, base)
        elif token.type == "hr":
            rule = self.plain()
            rule.setForeground(QColor(self.theme.line))
            cursor.insertText("─" * 24, rule)
        elif token.type == "math_block" and token.info != UNFINISHED:
            middle = QTextBlockFormat()
            middle.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            cursor.mergeBlockFormat(middle)
            self._formula(cursor, token.content, self.plain(), display=True)
        else:
            text = token.content.strip("\n") if token.type != "math_block" else f"{token.markup}\n{token.content}"
            cursor.insertText(in_code(text).replace("\n", "\u2028"), self._code())

    def _heading(self, tag: str) -> QTextCharFormat:
        heading = self.plain()
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

    def _note(self, cursor: QTextCursor, label: str, base: QTextCharFormat) -> None:
        raised = QTextCharFormat(base)
        raised.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignSuperScript)
        raised.setForeground(QColor(self.theme.accent))
        cursor.insertText(f"[{in_prose(label)}]", raised)

    def _formula(self, cursor: QTextCursor, latex: str, base: QTextCharFormat, *, display: bool) -> None:
        outline = formulas().outline(latex, display=display)
        if outline is not None:
            style = formula_format(latex, outline, look.scaled(self.size), base, display=display)
            cursor.insertText(OBJECT, style)
            return
        if formulas().waits_for(latex, display=display):
            self.waiting.add((latex, display))
        cursor.insertText(in_code(latex).replace("\n", "\u2028"), self._code())

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

    def inline(self, cursor: QTextCursor, tokens: list[Token], base: QTextCharFormat) -> None:
        """Write what stands in a line."""
        formats = [base]
        for token in tokens:
            now = formats[-1]
            match token.type:
                case "text" | "text_special":
                    text = in_code(token.content) if now.isAnchor() else in_prose(token.content)
                    cursor.insertText(text, now)
                case "softbreak" | "hardbreak":
                    cursor.insertText("\u2028", now)
                case "code_inline":
                    cursor.insertText(in_code(token.content), self._code())
                case "math_inline" | "math_display":
                    self._formula(cursor, token.content, now, display=token.type == "math_display")
                case "note":
                    self._note(cursor, token.content, now)
                case "image":
                    words = QTextCharFormat(now)
                    words.setForeground(QColor(self.theme.muted))
                    cursor.insertText(f"[picture: {in_prose(token.content) or 'without a name'}]", words)
                case "strong_open" | "em_open" | "s_open" | "link_open":
                    formats.append(self._nested(now, token))
                case "strong_close" | "em_close" | "s_close" | "link_close":
                    formats.pop()
                case _:
                    cursor.insertText(in_prose(token.content), now)

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
                nested.setToolTip(plain_tip(shown_address(address)))
                nested.setForeground(QColor(self.theme.accent))
                nested.setFontUnderline(True)
        return nested

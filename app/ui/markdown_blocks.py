"""Markdown text, cut into blocks while it grows: what is complete is cut once, only what is still open again.

Knows: markdown-it and where blocks end. Does not know: Qt, colours, what a block looks like. HTML is text here; nothing
is ever loaded because of what the text says. However long the text is, a call reads a few thousand characters of it,
and where it is cut depends on the text alone and not on how it arrived.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.ui.markdown_rules import NOTES, UNFINISHED, add_rules

WINDOW = 8_000
"""Characters that are read at once; a block that is longer is cut there."""
READ_A_CALL = 4_000
LONGEST_PARAGRAPH, LONGEST_RUN = 4_000, 2_000
"""Characters of a paragraph that are laid out together, and of a run without a space in a longer one."""
LONGEST_MARKS = 40
"""Characters of an item or a quotation in which nothing stands."""
CODE_LINES, TABLE_ROWS = 100, 20
"""Lines and rows in one piece of a code block and of a table."""


@dataclass(frozen=True, slots=True)
class ProseBlock:
    """A paragraph, heading, quotation, rule, formula, note or item of a list.

    `number` is the item's own, `goes_on`: the next block is more of the same list or paragraph. `part`: of what stands
    between the code blocks inside it, this one is meant.
    """

    source: str
    number: int | None = None
    goes_on: bool = False
    part: int = 0


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table, or some rows of it below the same head; `first`: the head is shown."""

    source: str
    first: bool = True


@dataclass(frozen=True, slots=True)
class CodeText:
    """Code, or some lines of it, the language that the text names for it, perhaps empty, and how deep in lists it is.

    `joined`: the next piece goes on in the same line.
    """

    language: str
    text: str
    first: bool = True
    last: bool = True
    depth: int = 0
    joined: bool = False


Block = ProseBlock | TableBlock | CodeText


@dataclass(frozen=True, slots=True)
class Cut:
    """Blocks that were completed, those that may still change, and whether there is more to be read."""

    closed: list[Block] = field(default_factory=list)
    open: list[Block] = field(default_factory=list)
    behind: bool = False


@dataclass(slots=True)
class _Fence:
    """A code block that is being read: its language, the mark that it began with, and how far that was indented."""

    language: str
    mark: str
    indent: int
    first: bool = True

    def end(self, text: str) -> re.Match[str] | None:
        """The line that ends it."""
        return re.search(rf"^ {{0,3}}{re.escape(self.mark)}{re.escape(self.mark[0])}*[ \t]*$", text, re.MULTILINE)

    def code(self, text: str, *, last: bool, joined: bool = False) -> CodeText:
        """A piece of it."""
        if self.indent:
            text = re.sub(rf"^ {{1,{self.indent}}}", "", text, flags=re.MULTILINE)
        return CodeText(self.language, text.removesuffix("\n"), self.first, last, 0, joined)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False})
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    add_rules(parser)
    return parser


class MarkdownStream:
    """Cuts one growing text. Each call of `grown` is given the whole text, which must begin with the one before."""

    def __init__(self) -> None:
        self._parser = _parser()
        self._env: dict[str, Any] = {}
        self._at = 0
        self._fence: _Fence | None = None
        self._head = ""  # of the table that is being read
        self._number: int | None = None  # of the next item of the list that is being read
        self._known = (0, 0)  # where reading began last, and the lines there in which nothing was certain

    @property
    def names(self) -> int:
        """How many notes and link addresses were defined so far: text before the definitions may be shown otherwise."""
        words = [name for name in self._env.get(NOTES, ()) if not name.isdigit()]
        return len(words) + len(self._env.get("references", ()))

    def grown(self, text: str, complete: bool) -> Cut:
        """What is new of the text; `complete`: it will not grow any more."""
        closed: list[Block] = []
        began = self._at
        while self._at < len(text):
            before = self._at, self._fence
            window = text[self._at : self._at + WINDOW]
            final = complete and self._at + len(window) == len(text)
            closed += self._read(window, final)
            if (self._at, self._fence) == before:
                break
            if self._at - began > READ_A_CALL and self._at < len(text):
                return Cut(closed, behind=True)
        if not complete:
            return Cut(closed, self._still_open(text[self._at : self._at + WINDOW]))
        if self._fence is not None:
            closed.append(self._fence.code("", last=True))
            self._fence = None
        return Cut(closed)

    def tokens(self, block: ProseBlock | TableBlock) -> tuple[Token, ...]:
        """A block as tokens."""
        tokens = self._parser.parse(block.source, self._env)
        if isinstance(block, TableBlock):
            return tuple(tokens)
        if block.number is not None and tokens and tokens[0].type == "ordered_list_open":
            tokens[0] = tokens[0].copy(attrs={"start": block.number})
        prose = [part for part in _parts(tokens) if not isinstance(part, _Nested)]
        return tuple(prose[block.part]) if block.part < len(prose) else ()

    def _structure(self, source: str) -> list[Token]:
        """The blocks of a text, without what is in their lines."""
        tokens: list[Token] = []
        self._parser.block.parse(source, self._parser, self._env, tokens)
        return tokens

    # ---- what is certain -------------------------------------------------------------------------------------------

    def _read(self, window: str, final: bool) -> list[Block]:
        """Take what is certain from the window, which begins where the next block does, and go behind it."""
        full = len(window) == WINDOW and not final
        if not final and (not full or "\n" in window):
            window = window[: window.rfind("\n") + 1]  # a line that still grows can become anything
        if not window or (not final and (self._at, len(window)) == self._known):
            return []
        self._known = self._at, len(window)
        if self._fence is not None:
            return self._read_code(self._fence, window, final, full)
        at, head, source = self._at, len(self._head), self._head + window
        closed: list[Block] = []
        groups = list(_groups(self._structure(source), source))
        certain = len(groups) if final else len(groups) - 1
        if (
            not final
            and len(groups) > 1
            and groups[-1][0][0].type == "math_block"
            and groups[-1][0][0].info == UNFINISHED
        ):
            certain -= 1  # without an end it is no formula, but more of the paragraph before
        for at_group, (group, begin, end) in enumerate(groups):
            grows = at_group >= certain
            taken = self._take(group, source[begin:end], closed, grows=grows, full=full and begin == 0)
            if grows or taken < end - begin or self._fence is not None:
                self._at = at + max(0, begin + taken - head)
                return closed
            self._head, self._number = "", None
        self._at += len(window)
        return closed

    def _take(self, group: list[Token], text: str, closed: list[Block], *, grows: bool, full: bool) -> int:
        """Add what is certain of a group to `closed`; how many characters of it are done. `full`: there is nothing else
        in the window, so that it has to be cut somewhere."""
        kind = group[0].type
        if kind == "fence":
            return self._begin_code(group[0], text)
        if kind == "table_open":
            return self._take_rows(text, closed, grows=grows, full=full)
        if kind.endswith("_list_open"):
            taken = self._take_items(group, text, closed, grows=grows)
            if taken or not grows:
                return taken
        if kind in ("paragraph_open", "heading_open") and len(text) > LONGEST_PARAGRAPH:
            space = max(text.rfind(mark, LONGEST_RUN, LONGEST_PARAGRAPH) for mark in " \n")
            taken = space + 1 if space > 0 else LONGEST_RUN
            closed.append(ProseBlock(text[:taken], goes_on=True))
            return taken
        if grows and not full:
            return 0
        closed += self._pieces(text)
        return len(text)

    def _take_rows(self, text: str, closed: list[Block], *, grows: bool, full: bool) -> int:
        lines = text.splitlines(keepends=True)
        head, rows = "".join(lines[:2]), lines[2:]
        count = TABLE_ROWS if len(rows) > TABLE_ROWS else len(rows) - 1 if grows and full and len(rows) > 1 else 0
        if grows and not count:
            return 0
        closed.append(TableBlock(head + "".join(rows[:count] if count else rows), first=not self._head))
        if not count:
            return len(text)
        self._head = head
        return len(head) + sum(map(len, rows[:count]))

    def _take_items(self, group: list[Token], text: str, closed: list[Block], *, grows: bool) -> int:
        """A list item by item: what follows an item's first line never changes those before it but for their being
        loose, which we do not show."""
        items = _items(group, text, self._number)
        done = items[:-1] if grows else items
        for at, (source, number) in enumerate(done, 1):
            closed += self._pieces(source, number, goes_on=at < len(items))
        if grows:
            self._number = items[-1][1]
        return sum(len(source) for source, _ in done)

    def _pieces(self, text: str, number: int | None = None, *, goes_on: bool = False) -> list[Block]:
        """A block as prose and the code blocks within it."""
        pieces: list[Block] = []
        prose = 0
        for part in _parts(self._structure(text)):
            if isinstance(part, _Nested):
                pieces.append(CodeText(_language(part.token), part.token.content.removesuffix("\n"), depth=part.depth))
            else:
                pieces.append(ProseBlock(text, number, goes_on, prose))
                prose += 1
        if not pieces and len(text) > LONGEST_MARKS:
            return [CodeText("", text.removesuffix("\n"))]  # nested so deep that the parser gives up
        return pieces

    # ---- code ------------------------------------------------------------------------------------------------------

    def _begin_code(self, token: Token, text: str) -> int:
        self._fence = _Fence(_language(token), token.markup, len(text) - len(text.lstrip(" ")))
        return len(text.split("\n", 1)[0]) + 1

    def _read_code(self, fence: _Fence, window: str, final: bool, full: bool) -> list[Block]:
        end = fence.end(window)
        body = window if end is None else window[: end.start()]
        piece = _some_lines(body, full=full and end is None)
        if piece:
            self._at += len(piece)
            block = fence.code(piece, last=False, joined=not piece.endswith("\n"))
            fence.first = False
            return [block]
        if end is None and not final:
            return []
        self._at += len(window) if end is None else min(len(window), end.end() + 1)
        self._fence = None
        return [fence.code(body, last=True)]

    # ---- what may still change -------------------------------------------------------------------------------------

    def _still_open(self, rest: str) -> list[Block]:
        if self._fence is not None:
            lines, _, last = rest.rpartition("\n")
            ends = bool(last.strip()) and self._fence.mark.startswith(last.strip())
            return [self._fence.code(lines if ends else rest, last=False)]
        source = self._head + rest
        blocks: list[Block] = []
        for group, begin, end in _groups(self._structure(source), source):
            text = source[begin:end]
            if group[0].type == "table_open":
                blocks.append(TableBlock(text, first=not self._head))
            elif group[0].type.endswith("_list_open"):
                for item, number in _items(group, text, self._number if begin == 0 else None):
                    blocks += self._pieces(item, number, goes_on=True)
            elif group[0].type == "fence":
                blocks.append(CodeText(_language(group[0]), group[0].content.removesuffix("\n"), last=False))
            else:
                blocks += self._pieces(text)
        return blocks


@dataclass(frozen=True, slots=True)
class _Nested:
    """A code block inside of something, and how deep."""

    token: Token
    depth: int


def _parts(tokens: Iterable[Token]) -> Iterator[list[Token] | _Nested]:
    """A block in parts: what is written, and the code between. After code its lists go on, without a new item."""
    part: list[Token] = []
    around: list[Token] = []
    for token in tokens:
        if token.type in ("fence", "code_block"):
            if any(other.type in _WRITTEN for other in part):
                yield part
            yield _Nested(token, len(around))
            part = list(around)
            continue
        part.append(token)
        if token.type in ("bullet_list_open", "ordered_list_open", "blockquote_open"):
            around.append(token)
        elif token.type in ("bullet_list_close", "ordered_list_close", "blockquote_close"):
            around.pop()
        elif token.type == "list_item_open" and around[-1].type == "ordered_list_open":
            around[-1] = around[-1].copy(attrs={"start": int(around[-1].attrs.get("start", 1)) + 1})
    if any(other.type in _WRITTEN for other in part):
        yield part


_WRITTEN = ("inline", "math_block", "hr")


def _groups(tokens: list[Token], source: str) -> Iterator[tuple[list[Token], int, int]]:
    """The top-level blocks with the places where they begin and end."""
    starts = [0, *accumulate(len(line) + 1 for line in source.split("\n"))]
    group: list[Token] = []
    depth = 0
    for token in tokens:
        group.append(token)
        depth += token.nesting
        if depth == 0:
            first, after = group[0].map or [0, 0]
            yield group, starts[first], min(starts[after], len(source))
            group = []


def _items(group: list[Token], text: str, number: int | None) -> list[tuple[str, int | None]]:
    """The items of a list, each with its number if they are numbered; `number`: that of the first, if it is known."""
    starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    top = (group[0].map or [0])[0]
    opens = [token for token in group if token.type == "list_item_open" and token.level == 1]
    places = [starts[(token.map or [top])[0] - top] for token in opens] + [len(text)]
    places[0] = 0
    if group[0].type == "ordered_list_open":
        first = int(group[0].attrs.get("start", 1)) if number is None else number
        return [(text[a:b], first + at) for at, (a, b) in enumerate(pairwise(places))]
    return [(text[a:b], None) for a, b in pairwise(places)]


def _some_lines(body: str, full: bool) -> str:
    """The first lines of code, if there are more than belong into one piece; `full`: they have to be cut anyway."""
    place = -1
    for _ in range(CODE_LINES):
        place = body.find("\n", place + 1)
        if place < 0:
            break
    if place >= 0 and place + 1 < len(body):
        return body[: place + 1]
    return (body[: body.rfind("\n") + 1] or body) if full else ""


def _language(fence: Token) -> str:
    words = fence.info.split()
    return words[0] if words else ""

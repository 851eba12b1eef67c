"""Markdown text, cut into blocks while it grows: what is complete is parsed once, only the last block is parsed again.

Knows: markdown-it and where blocks end. Does not know: Qt, colours, what a block looks like. HTML is text here; nothing
is ever loaded because of what the text says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin


@dataclass(frozen=True, slots=True)
class ProseBlock:
    """A paragraph, heading, list, quotation, rule or formula. `goes_on`: the next block is more of the same list."""

    tokens: tuple[Token, ...]
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class CodeText:
    """A code block and the language that the text names for it, perhaps empty."""

    language: str
    text: str


Block = ProseBlock | TableBlock | CodeText


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False})
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    return parser.use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True)


class MarkdownStream:
    """Cuts one growing text. Each call of `grown` is given the whole text, which must begin with the one before."""

    def __init__(self) -> None:
        self._parser = _parser()
        self._env: dict[str, Any] = {}
        self._closed = 0

    def grown(self, text: str, complete: bool) -> tuple[list[Block], Block | None]:
        """The blocks that have been completed since the last call, and the one that may still change."""
        rest = text[self._closed :]
        groups = list(_top_level(self._parser.parse(rest, self._env)))
        if complete:
            self._closed = len(text)
            return [_block(group) for group in groups], None
        if not groups:
            return [], None
        done, last = _without_last_item(groups[-1])
        self._closed += _offset(rest, (last[0].map or [0])[0])
        blocks = [_block(group) for group in groups[:-1]]
        if done:
            blocks.append(ProseBlock(done, goes_on=True))
        return blocks, _block(last)


def _top_level(tokens: list[Token]) -> Iterator[tuple[Token, ...]]:
    group: list[Token] = []
    depth = 0
    for token in tokens:
        group.append(token)
        depth += token.nesting
        if depth == 0:
            yield tuple(group)
            group = []


def _without_last_item(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """A growing list as the items that cannot change any more, and a list of the last one. Else nothing and the block.

    What follows an item's first line never changes the items before it but for their being loose, which we do not show.
    """
    if not tokens[0].type.endswith("_list_open"):
        return (), tokens
    starts = [at for at, token in enumerate(tokens) if token.type == "list_item_open" and token.level == 1]
    if len(starts) < 2:
        return (), tokens
    opening, last = tokens[0], starts[-1]
    number = tokens[last].info
    attributes = {"start": int(number)} if opening.type == "ordered_list_open" and number.isdigit() else {}
    reopened = opening.copy(attrs=attributes, map=tokens[last].map)
    return (*tokens[:last], tokens[-1]), (reopened, *tokens[last:])


def _block(tokens: tuple[Token, ...]) -> Block:
    first = tokens[0]
    if first.type in ("fence", "code_block"):
        words = first.info.split()
        return CodeText(words[0] if words else "", first.content.removesuffix("\n"))
    if first.type == "table_open":
        return TableBlock(tokens)
    return ProseBlock(tokens)


def _offset(text: str, line: int) -> int:
    """Where a line of the text begins."""
    position = 0
    for _ in range(line):
        position = text.index("\n", position) + 1
    return position

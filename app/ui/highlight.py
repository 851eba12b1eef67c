"""Code and the colours of its parts. Knows Pygments and the theme; no widget, no file: a language is only a name."""

from collections.abc import Iterator

from pygments.lexer import Lexer  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.lexers.special import TextLexer  # type: ignore[import-untyped]
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

from app.ui.theme import Theme

LONGEST_LINE = 1_000
"""Characters: code with longer lines was not written to be read, and colouring it would be felt."""


def pieces(language: str, text: str, theme: Theme, before: str = "") -> Iterator[tuple[str, str]]:
    """The text in pieces: each with its colour. `before` is code that stands before it and is only read, so that a
    string or a comment that began there is known."""
    if not text:
        return
    if any(len(line) > LONGEST_LINE for line in text.split("\n")):
        yield text, theme.text
        return
    left = len(before)
    for kind, piece in _lexer(language).get_tokens(before + text):
        shown = piece[min(left, len(piece)) :]
        left -= len(piece) - len(shown)
        if shown:
            yield shown, _colour(kind, theme)


def _lexer(language: str) -> Lexer:
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False, ensurenl=False)


def _colour(kind: _TokenType, theme: Theme) -> str:
    for family, colour in (
        (Comment, theme.comment),
        (Keyword, theme.keyword),
        (Operator.Word, theme.keyword),
        (Number, theme.number),
        (String, theme.string),
        (Name.Function, theme.function),
        (Name.Class, theme.function),
        (Name.Decorator, theme.function),
        (Name.Tag, theme.keyword),
        (Name.Attribute, theme.function),
    ):
        if kind in family:
            return colour
    return theme.text

"""Code and the colours of its parts. Knows Pygments and the theme; no widget, no file: a language is only a name."""

from collections.abc import Iterator

from pygments.lexer import Lexer  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.lexers.special import TextLexer  # type: ignore[import-untyped]
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

from app.ui.theme import Theme

LONGEST = 100_000
"""Characters that are still coloured; more would be felt while scrolling."""


def pieces(language: str, text: str, theme: Theme) -> Iterator[tuple[str, str]]:
    """The text in pieces: each with its colour."""
    if len(text) > LONGEST:
        yield text, theme.text
        return
    for kind, piece in _lexer(language).get_tokens(text):
        yield piece, _colour(kind, theme)


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

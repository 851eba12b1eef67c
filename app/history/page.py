"""Conversations as one page of HTML that needs nothing but itself: pictures inside, no script, nothing fetched.

Knows: that no text of a conversation becomes markup, that pictures are told by their first bytes, and what a browser
shows. Does not know: who asks, where conversations are kept. Formulas stay as they were written.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from app.chat.conversation import Answer, Attached, Conversation, Question

LARGEST_PICTURE = 32 * 2**20
"""Bytes of a picture that goes into the page; a larger one is named."""
_MARKS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))
_TURNING = {ord(sign): f"⟨U+{ord(sign):04X}⟩" for sign in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
header p, .role, .note { color: #70757d; font-size: .85rem; }
article { margin: 3rem 0; }
.question { background: #8080801f; border-radius: 12px; padding: .6rem 1rem; margin: 1.5rem 0; }
.question .said { white-space: pre-wrap; overflow-wrap: anywhere; }
img { max-width: 100%; max-height: 30rem; border-radius: 8px; display: block; margin: .4rem 0; }
pre { background: #8080801f; border-radius: 8px; padding: .8rem; overflow-x: auto; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
table { border-collapse: collapse; } th, td { border: 1px solid #80808066; padding: .25rem .6rem; text-align: left; }
blockquote { border-left: 3px solid #80808066; margin-left: 0; padding-left: 1rem; }
details { color: #70757d; margin: .6rem 0; }
@media print {
 pre { white-space: pre-wrap; }
 article + article { break-before: page; }
}
"""


_MATHS = re.compile(
    r"\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]|\$\$.{1,2000}?\$\$|\$(?=\S)[^$\n]{1,500}?(?<=\S)\$", re.DOTALL
)


class _Renderer(RendererHTML):
    """Draws what CommonMark has, but for pictures, which would be fetched, and addresses that are no web page's."""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:  # noqa: ARG002
        """The words of a picture in a text, and its address to be read."""
        return escape(f"[{tokens[idx].content}]({tokens[idx].attrGet('src') or ''})")

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:  # noqa: ARG002
        """A link, if it leads to a web page; it is told nothing of where it was followed."""
        address = str(tokens[idx].attrGet("href") or "")
        if not _is_web(address):
            return "<a>"
        return f'<a href="{escape(address)}" rel="noopener noreferrer nofollow">'


def page(title: str, conversations: Iterator[tuple[Conversation, str]], folder: "Files") -> Iterator[str]:
    """The page piece by piece, so that it is never in memory as a whole; each conversation comes with its day."""
    yield (
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset='utf-8'>\n"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        "<meta name='referrer' content='no-referrer'>\n<meta name='viewport' content='width=device-width'>\n"
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    for conversation, day in conversations:
        yield f"<article>\n<header><h1 dir='auto'>{_text(conversation.title)}</h1><p>{_text(day)}</p></header>\n"
        for node in conversation.path():
            if isinstance(node, Question):
                yield from _question(node, folder)
            else:
                yield _answer(node)
        yield "</article>\n"
    yield "</body>\n</html>\n"


class Files:
    """The kept copies of attached files."""

    def __init__(self, places: dict[str, Path]) -> None:
        self._places = places

    def picture(self, item: Attached) -> str:
        """A picture as an address that holds all of it; empty if it is none that browsers show, too large or gone."""
        place = self._places.get(item.media.digest)
        try:
            if place is None or item.media.kind != "image" or place.stat().st_size > LARGEST_PICTURE:
                return ""
            content = place.read_bytes()
        except OSError:
            return ""
        kind = next((kind for mark, kind in _MARKS if content.startswith(mark)), "")
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            kind = "webp"
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}" if kind else ""


def html_of(text: str) -> str:
    """An answer's Markdown as HTML; whatever else it holds is text."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 40}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.inline.ruler.before("escape", "maths", _maths)
    rendered: Any = parser.render(text.translate(_TURNING))
    return str(rendered)


def _maths(state: StateInline, silent: bool) -> bool:
    """A formula is text to its end: nothing in it is emphasis, and its backslashes stay."""
    found = _MATHS.match(state.src, state.pos) if state.src[state.pos] in "\\$" else None
    if found is None:
        return False
    if not silent:
        state.push("text", "", 0).content = found[0]
    state.pos = found.end()
    return True


def _question(question: Question, folder: Files) -> Iterator[str]:
    yield "<section class='question'>\n<div class='role'>You</div>\n"
    for item in question.attached:
        address, name = folder.picture(item), _text(item.media.name)
        yield f"<img alt='{name}' src='{address}'>\n" if address else f"<p class='note'>{name}</p>\n"
    yield f"<div class='said' dir='auto'>{_text(question.text)}</div>\n</section>\n"


def _answer(answer: Answer) -> str:
    thinking = answer.thinking.strip()
    thought = f"<details><summary>Thinking</summary>{html_of(thinking)}</details>\n" if thinking else ""
    cut_off = answer.ending if answer.ending in ("interrupted", "stopped", "failed") else ""
    note = f"<p class='note'>({cut_off})</p>\n" if cut_off else ""
    return f"<section class='answer' dir='auto'>\n{thought}{html_of(answer.text)}{note}</section>\n"


def _text(text: str) -> str:
    return escape(text.translate(_TURNING))


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)

"""From token ids to text on a channel: two generators, each ignorant of the other and of where its input comes from.

Knows: bytes, characters and the marks around the thinking. Does not know: models, messages, time.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.engine.tokenizer import Vocabulary
from app.protocol import Channel

_OPEN, _CLOSE = "<think>", "</think>"
_BLANK_LINES = re.compile(r"(?:[ \t\r]*\n)+")


class Piece(NamedTuple):
    """Text that may be shown, perhaps none, and how many tokens were taken for it."""

    channel: Channel
    text: str
    tokens: int


def readable(ids: Iterable[int], vocabulary: Vocabulary) -> Iterator[str]:
    """For every token the characters that are complete with it, perhaps none.

    A character whose bytes are spread over several tokens comes with the last of them; one that is never completed does
    not come at all. Bytes that cannot be part of any character become U+FFFD. Special tokens show nothing.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in ids:
        yield "" if token in vocabulary.hidden else decoder.decode(vocabulary.bytes_of(token))


def split_channels(texts: Iterable[str], *, thinking: bool) -> Iterator[Piece]:
    """One piece for the text of every token, two at the mark; then perhaps one more with what was held back.

    The stream begins inside the thinking if `thinking`; otherwise an opening mark right at its beginning starts it.
    Only the first closing mark counts. The marks and blank lines around them are not shown; held back is only what may
    still turn out to be one of these.
    """
    channel: Channel = "thinking" if thinking else "answer"
    may_open = not thinking
    fresh = True  # nothing was shown on this channel yet
    held = ""
    for text in texts:
        held += text
        tokens = 1
        if fresh and may_open and held.lstrip().startswith(_OPEN):
            channel, may_open, held = "thinking", False, held.lstrip()[len(_OPEN) :]
        if channel == "thinking" and _CLOSE in held:
            before, held = held.split(_CLOSE, 1)
            yield Piece("thinking", _begun(before, fresh).rstrip(), tokens)
            channel, may_open, fresh, tokens = "answer", False, True, 0
        held = _begun(held, fresh)
        shown = _settled(held, channel, fresh, may_open)
        yield Piece(channel, shown, tokens)
        held = held[len(shown) :]
        fresh = fresh and not shown
    rest = held.rstrip() if channel == "thinking" or fresh else held
    if rest:
        yield Piece(channel, rest, 0)


def _begun(text: str, fresh: bool) -> str:
    """Without the blank lines that it begins with, if it is the beginning."""
    blank = _BLANK_LINES.match(text) if fresh else None
    return text[blank.end() :] if blank else text


def _settled(held: str, channel: Channel, fresh: bool, may_open: bool) -> str:
    """The part of what is held that no later text can take back."""
    if fresh and not held.strip():
        return ""
    if channel == "answer":
        return "" if fresh and may_open and _OPEN.startswith(held.lstrip()) else held
    for length in range(min(len(_CLOSE) - 1, len(held)), 0, -1):
        if held.endswith(_CLOSE[:length]):
            held = held[:-length]
            break
    return held.rstrip()

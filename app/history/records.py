"""Questions and answers as rows, and back. Knows what of a node is kept; does not know statements.

Nothing that is read is trusted: a row of the wrong kinds raises `ValueError`, and pixels are looked for by name in the
cache folder alone.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from app import paths
from app.chat.conversation import Answer, Attached, Choices, Ending, Memory, Node, Question
from app.protocol import FinishReason, Thumbnail, Timings, Usage, from_plain, to_plain

_ENDINGS = (*get_args(FinishReason), "interrupted", "failed", "edited")
PIXELS = "media"
"""The folder below the cache folder that the decoder writes to."""


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What is kept of an answer beside its texts. `thought` are the seconds of thinking, None if there were none."""

    wants_thinking: bool
    ending: str = ""
    failure: str = ""
    thinking_tokens: int = 0
    answer_tokens: int = 0
    thought: float | None = None
    usage: Usage | None = None
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of messages, without its number."""

    key: str
    conversation: str
    parent: str | None
    kind: str
    shown: int
    done: int
    text: str
    thinking: str
    record: str
    made_at: float

    def __post_init__(self) -> None:
        """Refuse kinds of value that this table never holds."""
        texts = (self.key, self.conversation, self.kind, self.text, self.thinking, self.record)
        if set(map(type, texts)) != {str} or not isinstance(self.parent, str | None):
            raise ValueError("a text is none")
        if not isinstance(self.made_at, float | int) or {type(self.shown), type(self.done)} != {int}:
            raise ValueError("a number is none")
        if self.kind not in ("question", "answer") or (self.kind == "answer" and self.parent is None):
            raise ValueError("neither a question nor an answer")


def row_of(node: Node, conversation: str, *, shown: bool) -> Row:
    """A node as it is now."""
    if isinstance(node, Question):
        memory = memory_text(node)
        return Row(node.key, conversation, node.parent, "question", int(shown), 1, node.text, "", memory, node.made_at)
    record = text_of(_answer_record(node))
    over = int(node.over)
    return Row(
        node.key, conversation, node.parent, "answer", int(shown), over, node.text, node.thinking, record, node.made_at
    )


def node_of(row: Row, attached: tuple[Attached, ...]) -> Node:
    """The node that a row holds. Raises `ValueError`. An answer that was never finished is interrupted."""
    if row.kind == "question":
        memory = from_plain(Memory, json.loads(row.record)) if row.record else None
        return Question(row.key, row.parent, row.text, attached, float(row.made_at), memory)
    record = from_plain(AnswerRecord, json.loads(row.record))
    ending: Ending | None = record.ending if record.ending in _ENDINGS else "interrupted"  # type: ignore[assignment]
    return Answer(
        row.key,
        row.parent or "",
        record.wants_thinking,
        thinking=row.thinking,
        text=row.text,
        stage="over",
        ending=ending,
        failure=record.failure,
        thinking_tokens=record.thinking_tokens,
        answer_tokens=record.answer_tokens,
        thinking_from=None if record.thought is None else 0.0,
        thinking_until=record.thought,
        usage=record.usage,
        timings=record.timings,
        made_at=float(row.made_at),
    )


def memory_text(question: Question) -> str:
    """What is kept beside the text of a question: what the model is given in place of all before it."""
    return "" if question.memory is None else text_of(question.memory)


def text_of(value: AnswerRecord | Choices | Attached | Memory) -> str:
    """A value as the text that is kept of it."""
    return json.dumps(to_plain(value), ensure_ascii=False, separators=(",", ":"))


def choices_of(text: str) -> Choices:
    """The choices that were kept. Raises `ValueError`."""
    return from_plain(Choices, json.loads(text))


def attachment_text(attached: Attached) -> str:
    """An attachment as it is kept: its pixels by name only, because the cache folder may move."""
    media = replace(attached.media, pixels=Path(attached.media.pixels).name)
    previews = tuple(replace(preview, pixels=Path(preview.pixels).name) for preview in attached.previews)
    return text_of(replace(attached, media=media, previews=previews))


def attachment_of(text: str) -> Attached:
    """The attachment that was kept, with its pixels where the decoder writes them. Raises `ValueError`."""
    attached = from_plain(Attached, json.loads(text))
    folder = paths.cache_dir() / PIXELS
    media = replace(attached.media, pixels=str(folder / Path(attached.media.pixels).name))
    previews = tuple(
        Thumbnail(str(folder / Path(preview.pixels).name), preview.width, preview.height, preview.second)
        for preview in attached.previews
    )
    return replace(attached, media=media, previews=previews)


def interrupted(row: Row, deltas: list[tuple[Any, ...]]) -> Row:
    """The row of an answer that was never finished, with the deltas (channel, text, tokens, thought) of it."""
    begun = from_plain(AnswerRecord, json.loads(row.record))
    texts = {"thinking": row.thinking, "answer": row.text}
    tokens = {"thinking": begun.thinking_tokens, "answer": begun.answer_tokens}
    thought = begun.thought or 0.0
    for channel, text, count, seconds in deltas:
        if channel in texts and isinstance(text, str) and isinstance(count, int):
            texts[channel] += text
            tokens[channel] = count
            thought = float(seconds) if isinstance(seconds, float | int) else thought
    ended = replace(
        begun,
        ending="interrupted",
        thinking_tokens=tokens["thinking"],
        answer_tokens=tokens["answer"],
        thought=thought if texts["thinking"] else None,
    )
    return replace(row, done=1, text=texts["answer"], thinking=texts["thinking"], record=text_of(ended))


def _answer_record(answer: Answer) -> AnswerRecord:
    return AnswerRecord(
        answer.wants_thinking,
        answer.ending or "",
        answer.failure,
        answer.thinking_tokens,
        answer.answer_tokens,
        answer.thought_for(answer.thinking_until or 0.0) if answer.thinking_until is not None else None,
        answer.usage,
        answer.timings,
    )

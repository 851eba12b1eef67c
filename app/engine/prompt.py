"""From a conversation to the tokens that the model reads: template, vocabulary and media put together.

Knows: messages, where pictures and clips stand among the tokens, how much room there is. Does not know: tensors of the
model, generation, streams. Used by the worker and, for counting, by the reader thread; nothing here touches CUDA.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from app.engine.config import ModelConfig
from app.engine.pixels import PreparedMedia
from app.engine.rope import VisionSpan, prompt_positions
from app.engine.template import ChatTemplate, TemplateRefusal
from app.engine.tokenizer import Vocabulary
from app.protocol import ChatMessage, Measure, Measured, Media, Text

_OPEN, _CLOSE = "<think>", "</think>"
_LONG = 2**17
_SLICE = 2**14
_TURN = "<|im_start|>"
_NEXT = "a", "b"
"""Two questions that could come next; what the prompts of both begin with, any next prompt begins with."""
_CLEARLY = 1.2
"""Cut into slices a text has a few tokens more; a fifth more than the context is beyond doubt."""

PrepareMedia = Callable[[Media], PreparedMedia]


class PromptError(Exception):
    """A conversation that cannot be answered as it is; one sentence with a way out."""


class TooLongError(PromptError):
    """A conversation that does not fit into the context."""


@dataclass(frozen=True, slots=True)
class MediaSpan:
    """A run of `count` vision tokens from index `start` on: rows `offset`… of the embeddings of media item `item`."""

    start: int
    count: int
    item: int
    offset: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads. `positions` [3, tokens]; `media` in order of appearance; `thinks` says that the answer
    begins inside the thinking. `turns` are the indices right behind the token that opens each turn, the answer's
    included, `joints` those and the ends of pictures and frame pairs: places that other prompts can share, because the
    text before and after them is encoded apart. At `opening` the thinking of the answer begins or is passed over, which
    later prompts leave out."""

    ids: tuple[int, ...]
    media: tuple[PreparedMedia, ...]
    spans: tuple[MediaSpan, ...]
    positions: Tensor
    rope_delta: int
    thinks: bool
    turns: tuple[int, ...] = ()
    joints: tuple[int, ...] = ()
    opening: int = 0


class Composer:
    """Makes prompts for one model. `prepare` checks a media item and its file, `measure` only needs its size; both are
    None for a model that does not see."""

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        prepare: PrepareMedia | None = None,
        measure: PrepareMedia | None = None,
    ) -> None:
        """Read vocabulary and template. Raises `CheckpointError`."""
        self.vocabulary = Vocabulary(folder)
        self._template = ChatTemplate(folder)
        self._config = config
        self._prepare = prepare
        self._measure = measure

    def compose(self, messages: Sequence[ChatMessage], *, thinking: bool, capacity: int) -> Prompt:
        """The prompt of a conversation that ends with a question, or with an answer that is to go on where it ends,
        which it does without more thinking.

        Raises `PromptError` for a conversation without one, `TooLongError` if no token of an answer fits behind it, and
        `MediaError` for a picture or clip that the model cannot take.
        """
        messages, begun = going_on(messages)
        if not messages or messages[-1].role != "user" or _is_empty(messages[-1]):
            raise PromptError("There is nothing to answer; write a question or attach a picture.")
        media = self._all_media(messages, self._prepare)
        far = self._far_too_long(messages, capacity)
        if far:
            raise _too_long(f"about {far:,}", capacity)
        rendered = self._render(messages, thinking=thinking and not begun, answer_next=True)
        rendered += self.vocabulary.quoted(begun)
        layout = self._laid_out(rendered, media)
        if len(layout.ids) >= capacity:
            raise _too_long(f"{len(layout.ids):,}", capacity)
        return self._prompt(layout, media, len(layout.ids), thinks=not begun and rendered.rstrip().endswith(_OPEN))

    def settled(self, messages: Sequence[ChatMessage], *, capacity: int) -> Prompt | None:
        """What every prompt begins with that goes on after these messages, the last of which is an answer; None if that
        does not fit. Templates write an answer otherwise once another question follows, so it is found by asking two.

        Raises `PromptError` or `MediaError`.
        """
        media = self._all_media(messages, self._prepare)
        asked = [[*messages, ChatMessage("user", (Text(text),))] for text in _NEXT]
        layouts = [self._laid_out(self._render(m, thinking=True, answer_next=True), media) for m in asked]
        one, other = (layout.ids for layout in layouts)
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        end = max((turn for turn in layouts[0].turns if turn <= same), default=0)
        return self._prompt(layouts[0], media, end, thinks=False) if 0 < end < capacity else None

    def _prompt(self, layout: "_Layout", media: tuple[PreparedMedia, ...], end: int, *, thinks: bool) -> Prompt:
        """The first `end` tokens of a layout; no picture reaches beyond them."""
        merge = self._config.vision.merge if self._config.vision else 1
        positions, delta = prompt_positions(end, [grid for grid in layout.grids if grid.start < end], merge)
        return Prompt(
            ids=tuple(layout.ids[:end]),
            media=media,
            spans=tuple(span for span in layout.spans if span.start < end),
            positions=positions,
            rope_delta=delta,
            thinks=thinks,
            turns=tuple(turn for turn in layout.turns if turn <= end),
            joints=tuple(sorted({joint for joint in (*layout.turns, *layout.blocks) if joint <= end})),
            opening=min(end, max([layout.opening, *layout.turns])),
        )

    def measure(self, command: Measure, capacity: int) -> Measured:
        """Count a conversation and the draft after it; what is far beyond `capacity` is estimated.

        Raises `PromptError` or `MediaError`.
        """
        before = list(command.messages)
        drafted = [] if command.draft is None else [command.draft]
        asked = any(message.role == "user" for message in before)
        so_far, each = self._count(before, command, capacity, answer_next=False) if asked else (0, ())
        total = self._count([*before, *drafted], command, capacity, answer_next=True)[0] if drafted else so_far
        media = self._all_media(drafted, self._measure)
        return Measured(
            request=command.request,
            conversation_tokens=so_far,
            draft_tokens=max(0, total - so_far),
            media_tokens=tuple(item.tokens for item in media),
            media_sizes=tuple(item.size_seen for item in media),
            message_tokens=each,
        )

    def leading_out(self, sentence: str) -> tuple[int, ...]:
        """The tokens that end the thinking with a sentence, as the model itself would have ended it."""
        ids: list[int] = []
        for piece in self.vocabulary.pieces(f"{self.vocabulary.quoted(sentence)}\n{_CLOSE}\n\n"):
            ids += self.vocabulary.encode(piece) if isinstance(piece, str) else [piece]
        return tuple(ids)

    def _count(
        self, messages: list[ChatMessage], command: Measure, capacity: int, *, answer_next: bool
    ) -> tuple[int, tuple[int, ...]]:
        """Tokens in all, and of each message if that can be told."""
        media = self._all_media(messages, self._measure)
        far = self._far_too_long(messages, capacity)
        if far:
            return far, ()
        rendered = self._render(messages, thinking=command.thinking, answer_next=answer_next)
        layout = self._laid_out(rendered, media)
        begins = [*(turn - 1 for turn in layout.turns), len(layout.ids)]
        each = tuple(end - begin for begin, end in pairwise(begins))
        return len(layout.ids), each if len(each) == len(messages) else ()

    def _far_too_long(self, messages: Sequence[ChatMessage], capacity: int) -> int:
        """About how many tokens the texts have, if that is far more than `capacity`, and otherwise 0.

        To encode megabytes only to refuse them would take many seconds; a slice after the other takes as long as it
        takes to fill the context once.
        """
        texts = [part.text for message in messages for part in message.parts if isinstance(part, Text)]
        characters = sum(map(len, texts))
        if characters < _LONG:
            return 0
        tokens = read = 0
        for text in texts:
            for begin in range(0, len(text), _SLICE):
                piece = self.vocabulary.quoted(text[begin : begin + _SLICE])
                tokens += len(self.vocabulary.encode(piece))
                read += len(piece)
                if tokens > capacity * _CLEARLY:
                    return tokens * characters // max(1, min(read, characters))
        return 0

    def _all_media(self, messages: Sequence[ChatMessage], prepare: PrepareMedia | None) -> tuple[PreparedMedia, ...]:
        media = [part for message in messages for part in message.parts if isinstance(part, Media)]
        if media and prepare is None:
            raise PromptError(
                f"{self._config.name} cannot see pictures or videos; remove {media[0].name}, or load a model that can."
            )
        return tuple(prepare(item) for item in media) if prepare else ()

    def _render(self, messages: Sequence[ChatMessage], *, thinking: bool, answer_next: bool) -> str:
        plain = [{"role": message.role, "content": self._content(message)} for message in messages]
        try:
            return self._template.render(plain, thinking=thinking, answer_next=answer_next)
        except TemplateRefusal as refusal:
            raise PromptError(
                f"The model's chat template refuses this conversation ({refusal}); start a new conversation."
            ) from refusal

    def _content(self, message: ChatMessage) -> str | list[dict[str, Any]]:
        """A message as templates want it. Neighbouring texts are joined before quoting, for together they could spell
        a control token that neither holds."""
        parts: list[str | Media] = []
        for part in message.parts:
            text = part.text if isinstance(part, Text) else None
            if text is not None and parts and isinstance(parts[-1], str):
                parts[-1] += text
            else:
                parts.append(part if text is None and isinstance(part, Media) else text or "")
        if message.role == "assistant":
            parts = [_without_thinking(part) if isinstance(part, str) else part for part in parts]
        quoted = self.vocabulary.quoted
        if all(isinstance(part, str) for part in parts):
            return "".join(quoted(part) for part in parts if isinstance(part, str))
        return [
            {"type": "text", "text": quoted(part)} if isinstance(part, str) else {"type": part.kind} for part in parts
        ]

    def _laid_out(self, rendered: str, media: Sequence[PreparedMedia]) -> "_Layout":
        """Tokens of a rendering, every placeholder replaced by what stands for the next media item.

        As transformers' `Qwen3VLProcessor` does, only the placeholder itself is replaced; a clip becomes, for every
        frame pair, its time as text and a vision block of its own, between the marks that the template wrote.
        """
        layout = _Layout(self.vocabulary)
        waiting = iter(enumerate(media))
        for piece in self.vocabulary.pieces(rendered):
            if isinstance(piece, str):
                layout.text += piece
            elif self._config.vision is None or piece not in {self._config.image_id, self._config.video_id}:
                layout.control(piece)
            else:
                index, item = next(waiting, (0, None))
                if item is None or (item.kind == "image") != (piece == self._config.image_id):
                    raise PromptError("The model's chat template loses a picture; remove it, or load another model.")
                layout.media(piece, index, item, self._marks() if item.kind == "video" else None)
        if next(waiting, None) is not None:
            raise PromptError("The model's chat template loses a picture; remove it, or load another model.")
        layout.flush()
        return layout

    def _marks(self) -> tuple[int, int]:
        return self._config.vision_start_id, self._config.vision_end_id


class _Layout:
    """Tokens as they are laid out one after another. Text is gathered and encoded whole, because a time that follows a
    sentence is encoded together with it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.text = ""
        self.ids: list[int] = []
        self.spans: list[MediaSpan] = []
        self.grids: list[VisionSpan] = []
        self.turns: list[int] = []
        self.blocks: list[int] = []
        self.opening = 0
        self._turn = vocabulary.control.get(_TURN)

    def control(self, token: int) -> None:
        self.flush()
        if self.turns and self.opening <= self.turns[-1]:
            self.opening = len(self.ids)
        self.ids.append(token)
        if token == self._turn:
            self.turns.append(len(self.ids))
        elif self.spans and self.spans[-1].start + self.spans[-1].count == len(self.ids) - 1:
            self.blocks.append(len(self.ids))

    def media(self, pad: int, index: int, item: PreparedMedia, marks: tuple[int, int] | None) -> None:
        """`item`'s chunks, each a run of `pad`; with `marks` each preceded by its time and put between them."""
        offset = 0
        _, height, width = item.grid_thw
        for time, tokens in item.chunks:
            self.text += time or ""
            self.flush()
            self.ids += [marks[0]] if marks else []
            self.spans.append(MediaSpan(len(self.ids), tokens, index, offset))
            self.grids.append(VisionSpan(len(self.ids), height, width))
            self.ids += [pad] * tokens
            self.ids += [marks[1]] if marks else []
            self.blocks.append(len(self.ids))
            offset += tokens

    def flush(self) -> None:
        if self.text:
            self.ids += self._vocabulary.encode(self.text)
        self.text = ""


def _too_long(tokens: str, capacity: int) -> TooLongError:
    return TooLongError(
        f"This conversation takes {tokens} tokens and the context holds {capacity:,}; shorten it, "
        "remove an attachment, or start a new conversation."
    )


def going_on(messages: Sequence[ChatMessage]) -> tuple[Sequence[ChatMessage], str]:
    """A conversation without the answer at its end that is to go on, and what is there of that answer."""
    if not messages or messages[-1].role != "assistant":
        return messages, ""
    return messages[:-1], "".join(part.text for part in messages[-1].parts if isinstance(part, Text))


def _is_empty(message: ChatMessage) -> bool:
    return all(isinstance(part, Text) and not part.text.strip() for part in message.parts)


def _without_thinking(text: str) -> str:
    """An earlier answer without a think block at its beginning, as it may come from a file."""
    opening = text.lstrip()
    if opening.startswith(_OPEN) and _CLOSE in opening:
        return opening.split(_CLOSE, 1)[1].lstrip("\n")
    return text


def overlapping(spans: Sequence[MediaSpan], begin: int, end: int) -> Iterator[tuple[MediaSpan, int, int]]:
    """The spans that reach into tokens `begin`…`end`, each with the part of it, as indices of tokens."""
    for span in spans:
        first, last = max(span.start, begin), min(span.start + span.count, end)
        if first < last:
            yield span, first, last

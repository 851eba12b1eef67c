"""Conversations as token ids: the chat template's format, written directly because training needs it fast.

A test compares it with the template and the processors. A token is learned (its label is its id) where the model
speaks; earlier answers are learned too, without thinking, as they stand in the prompt.
"""

from dataclasses import dataclass

from tokenizers import Tokenizer

from demo_model import vocabulary
from demo_model.conversations import Conversation

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What stands for one picture or video: tokens a picture, or tokens a pair of frames with their times."""

    tokens: int
    stamps: tuple[float, ...] = ()


@dataclass(slots=True)
class Encoded:
    """Ids with labels, what each media token is (1 picture, 2 video), and where the last answer begins."""

    ids: list[int]
    labels: list[int]
    kinds: list[int]
    task: str
    answer_from: int


class Encoder:
    """Turns conversations into ids with one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._image, self._video = (vocabulary.token_id(tokenizer, t) for t in ("<|image_pad|>", "<|video_pad|>"))

    def ids(self, text: str) -> list[int]:
        """The ids of a text in which special tokens count as such."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def encode(self, conversation: Conversation, placeholders: list[Placeholder]) -> Encoded:
        """The whole conversation with the last answer, thinking or direct."""
        out = Encoded([], [], [], conversation.turns[-1].task, 0)
        text = f"<|im_start|>system\n{conversation.system}<|im_end|>\n" if conversation.system is not None else ""
        waiting = list(placeholders)
        for turn in conversation.turns:
            last = turn is conversation.turns[-1]
            text += "<|im_start|>user\n"
            if turn.media:
                self._add(out, text + "<|vision_start|>", learned=False)
                self._add_media(out, waiting.pop(0))
                text = "<|vision_end|>"
            text += f"{turn.user.strip()}<|im_end|>\n<|im_start|>assistant\n"
            if last:
                text += "<think>\n\n</think>\n\n" if conversation.direct else "<think>\n"
            self._add(out, text, learned=False)
            out.answer_from = len(out.ids)
            thinking = f"{turn.thinking}\n</think>\n\n" if last and not conversation.direct else ""
            self._add(out, f"{thinking}{turn.spoken(direct=conversation.direct)}<|im_end|>", learned=True)
            text = "\n"
        return out

    def _add(self, out: Encoded, text: str, *, learned: bool) -> None:
        ids = self.ids(text)
        out.ids += ids
        out.labels += ids if learned else [IGNORED] * len(ids)
        out.kinds += [0] * len(ids)

    def _add_media(self, out: Encoded, media: Placeholder) -> None:
        if not media.stamps:
            self._pads(out, self._image, 1, media.tokens)
        for stamp in media.stamps:
            self._add(out, f"<{stamp:.1f} seconds><|vision_start|>", learned=False)
            self._pads(out, self._video, 2, media.tokens)
            self._add(out, "<|vision_end|>", learned=False)

    @staticmethod
    def _pads(out: Encoded, pad: int, kind: int, count: int) -> None:
        out.ids += [pad] * count
        out.labels += [IGNORED] * count
        out.kinds += [kind] * count

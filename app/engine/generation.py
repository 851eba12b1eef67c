"""Answers one prompt: reads it in chunks, then chooses token after token until there is a reason to end.

Knows: a model, its state, the order of things, what time it is. Does not know: messages from outside, templates, how
text is made of tokens. Everything is pulled: whoever wants the next token asks for it, and between two of them the
person's wishes are looked at.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.engine.cache import State
from app.engine.load import LoadedModel
from app.engine.prompt import Prompt, overlapping
from app.engine.rope import text_positions
from app.engine.sampling import Sampler
from app.engine.sizes import CHUNK
from app.protocol import FinishReason

_CPU_CHUNK = 512
_LEAST_CHUNK = 16
_CPU_BYTES = 2**34
"""Weights times tokens that even a slow CPU reads within about half a second."""
_TOO_LONG = 0.45
_SHORT = 0.18
"""Seconds for a chunk: what takes longer makes a person who wants to stop wait, what takes less could be larger. They
lie further apart than a chunk's half, so that the size comes to rest."""


def _nothing() -> None:
    """Nobody wants to do anything."""


def _as_chosen(_token: int) -> Sequence[int]:
    """Nobody wants another token."""
    return ()


class Stopped(Exception):  # noqa: N818 - what the person wanted is no error
    """The person ended it while the prompt was being read."""


@dataclass(frozen=True, slots=True)
class Between:
    """What happens between two steps. `stopped` says whether to end, `read(done)` hears how many tokens of the prompt
    are read, `tick()` is called often, so that somebody can report, and `instead_of(token)` gives tokens to put into
    the answer in the place of the one that was chosen, mostly none. `marked()` is called at every place where the
    reading was to pause."""

    stopped: Callable[[], bool]
    read: Callable[[int], None]
    tick: Callable[[], None]
    instead_of: Callable[[int], Sequence[int]] = _as_chosen
    marked: Callable[[], None] = _nothing

    def check(self) -> None:
        """Report, and raise `Stopped` if the person wants the end."""
        self.tick()
        if self.stopped():
            raise Stopped


class Pace:
    """How fast a model reads: learned from the chunks that it has read, used to choose the next one's size and to say
    how long the rest will take. A token costs the more, the more stand before it, because it attends to all of them."""

    def __init__(self, chunk: int) -> None:
        """`chunk` is the largest size, and the one to begin with."""
        self.chunk = self._largest = chunk
        self.rate = 0.0
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None

    def begin(self) -> None:
        """Another prompt begins: what is said about it follows from its own chunks."""
        self._first = self._last = None
        self.rate = 0.0

    def read(self, begin: int, end: int, seconds: float) -> None:
        """Tokens `begin`…`end` took so long."""
        count = end - begin
        if seconds > _TOO_LONG and count > _LEAST_CHUNK:
            self.chunk = max(_LEAST_CHUNK, min(self.chunk, 1 << (count - 1).bit_length()) // 2)
        elif seconds < _SHORT and count == self.chunk:
            self.chunk = min(self._largest, 2 * self.chunk)
        if seconds > 0 and (self._last is None or count >= self.chunk // 2):
            self.rate = count / seconds
            self._last = ((begin + end) / 2, seconds / count)
            self._first = self._first or self._last

    def seconds_left(self, begin: int, end: int) -> float | None:
        """About how long tokens `begin`…`end` will take; None while nothing is known."""
        if self._first is None or self._last is None:
            return None
        (before, cheap), (at, cost) = self._first, self._last
        rise = max(0.0, (cost - cheap) / (at - before)) if at > before else 0.0
        return (end - begin) * (cost + rise * max(0.0, (begin + end) / 2 - at))


def read_prompt(
    model: LoadedModel,
    state: State,
    prompt: Prompt,
    between: Between,
    *,
    pace: Pace | None = None,
    marks: Sequence[int] = (),
) -> Tensor:
    """Read what of a prompt is not in the state yet, whose tokens must begin the prompt; the logits after it.

    The reading pauses at each of the `marks`, indices in order. Raises `Stopped`, `MediaError`; the state then stands
    behind the last chunk. A picture or clip is encoded when the first of its tokens is reached and let go after the
    last.
    """
    pace = pace or Pace(chunk_tokens(model))
    pace.begin()
    encoded: tuple[int, Tensor | None] = (-1, None)
    seen: Tensor | None = None
    logits: Tensor | None = None
    begin, ends = state.length, [mark for mark in marks if state.length < mark < len(prompt.ids)] + [len(prompt.ids)]
    while begin < len(prompt.ids):
        between.check()
        end = min(begin + pace.chunk, ends[0])
        embeddings = model.embed(torch.tensor(prompt.ids[begin:end]))
        for span, first, last in overlapping(prompt.spans, begin, end):
            if encoded[0] != span.item:
                encoded, seen = (-1, None), None  # while the tower looks at the next one, its memory is not there twice
                encoded = (span.item, _encoded(model, prompt, span.item, between))
            seen = encoded[1]
            if seen is not None:
                row = span.offset + first - span.start
                with torch.inference_mode():
                    embeddings[first - begin : last - begin] = seen[row : row + last - first].to(embeddings.dtype)
        since = time.monotonic()
        logits = model.forward(embeddings, prompt.positions[:, begin:end], state)
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)  # or chunks pile up on the device, which no one can stop any more
        pace.read(begin, end, time.monotonic() - since)
        begin = end
        if begin == ends[0]:
            ends.pop(0)
            if ends:
                between.marked()
        between.read(end)
    state.rope_delta = prompt.rope_delta
    if logits is None:
        raise ValueError("a prompt without tokens that are still to be read")
    return logits


def chunk_tokens(model: LoadedModel) -> int:
    """Tokens of the prompt that are read at once at most: enough to keep the device busy, few enough to report and stop
    soon."""
    if model.device.type == "cuda":
        return CHUNK
    affordable = _CPU_BYTES // max(1, model.weight_bytes)
    return max(_LEAST_CHUNK, min(_CPU_CHUNK, 1 << affordable.bit_length() - 1 if affordable else 0))


def _encoded(model: LoadedModel, prompt: Prompt, item: int, between: Between) -> Tensor:
    if model.vision is None:
        raise ValueError("a picture for a model that does not see")
    return model.vision.encode(prompt.media[item], between.check)


class Answer:
    """The tokens of one answer, from the logits after the prompt on. `ids()` is iterated once; then `reason` holds."""

    def __init__(self, model: LoadedModel, state: State, sampler: Sampler, max_tokens: int, between: Between) -> None:
        self.reason: FinishReason = "stopped"
        self.count = 0
        self._model = model
        self._state = state
        self._sampler = sampler
        self._max_tokens = max_tokens
        self._between = between
        self._started = time.monotonic()
        self._first = 0.0
        self._last = 0.0

    def ids(self, logits: Tensor) -> Iterator[int]:
        """Yield token after token; end tokens are not part of it."""
        while True:
            self._between.tick()
            if self._between.stopped():
                self.reason = "stopped"
                return
            chosen = self._sampler.choose(logits)
            tokens = tuple(self._between.instead_of(chosen)) or (chosen,)
            if tokens[0] in self._model.config.eos_ids:
                self.reason = "end"
                return
            for token in tokens:
                self._note(token)
                yield token
                if self.count >= self._max_tokens:
                    self.reason = "length"
                    return
            if self._state.length + len(tokens) > self._state.capacity:
                self.reason = "context"
                return
            logits = self._read(tokens)

    def first_token_seconds(self, since: float) -> float:
        """Seconds from `since`, a `time.monotonic()`, to the first token; to the end of it all if there was none."""
        return (self._first or time.monotonic()) - since

    def tokens_a_second(self) -> float:
        """Tokens a second after the first one; 0 while there are fewer than two."""
        spent = self._last - self._first
        return (self.count - 1) / spent if self.count > 1 and spent > 0 else 0.0

    def _note(self, token: int) -> None:
        self._last = time.monotonic()
        self._first = self._first or self._last
        self._sampler.note(token)
        self.count += 1

    def _read(self, tokens: tuple[int, ...]) -> Tensor:
        begin = self._state.length
        positions = text_positions(begin, begin + len(tokens), self._state.rope_delta)
        return self._model.forward(self._model.embed(torch.tensor(tokens)), positions, self._state)

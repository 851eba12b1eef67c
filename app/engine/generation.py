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
from app.protocol import FinishReason

_CPU_CHUNK = 512
_GPU_CHUNK = 2048
_LEAST_CHUNK = 16
_CPU_BYTES = 2**35
"""Weights times tokens that even a slow CPU reads within about a second."""


class Stopped(Exception):  # noqa: N818 - what the person wanted is no error
    """The person ended it while the prompt was being read."""


@dataclass(frozen=True, slots=True)
class Between:
    """What happens between two steps. `stopped` says whether to end, `read(done)` hears how many tokens of the prompt
    are read, `tick()` is called often, so that somebody can report, and `forced()` gives tokens to put into the answer
    instead of choosing one, mostly none."""

    stopped: Callable[[], bool]
    read: Callable[[int], None]
    tick: Callable[[], None]
    forced: Callable[[], Sequence[int]]

    def check(self) -> None:
        """Report, and raise `Stopped` if the person wants the end."""
        self.tick()
        if self.stopped():
            raise Stopped


def read_prompt(model: LoadedModel, state: State, prompt: Prompt, between: Between) -> Tensor:
    """Read a whole prompt into an empty state; the logits after it. Raises `Stopped`, `MediaError`.

    A picture or clip is encoded when the first of its tokens is reached and let go after the last.
    """
    chunk = chunk_tokens(model)
    ids = torch.tensor(prompt.ids)
    encoded: tuple[int, Tensor | None] = (-1, None)
    logits: Tensor | None = None
    for begin in range(0, len(prompt.ids), chunk):
        between.check()
        end = min(begin + chunk, len(prompt.ids))
        embeddings = model.embed(ids[begin:end])
        for span, first, last in overlapping(prompt.spans, begin, end):
            if encoded[0] != span.item:
                encoded = (span.item, _encoded(model, prompt, span.item, between))
            seen = encoded[1]
            if seen is not None:
                row = span.offset + first - span.start
                with torch.inference_mode():
                    embeddings[first - begin : last - begin] = seen[row : row + last - first].to(embeddings.dtype)
        logits = model.forward(embeddings, prompt.positions[:, begin:end], state)
        between.read(end)
    state.rope_delta = prompt.rope_delta
    if logits is None:
        raise ValueError("a prompt without tokens")
    return logits


def chunk_tokens(model: LoadedModel) -> int:
    """Tokens of the prompt that are read at once: enough to keep the device busy, few enough to report and stop soon.

    It follows from the model alone and not from how fast things go: another split rounds otherwise, and a seed would
    not give the same text again.
    """
    if model.device.type == "cuda":
        return _GPU_CHUNK
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
            tokens = tuple(self._between.forced()) or (self._sampler.choose(logits),)
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

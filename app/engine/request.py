"""One request from its prompt to its last message: what the person hears while an answer is made.

Knows: the messages of an answer, channels, what leads out of the thinking. Does not know: how a model is loaded, what
else the engine does.
"""

import time
from collections.abc import Callable
from functools import partial

from app.engine.generation import Answer, Between, Pace, Stopped, read_prompt
from app.engine.leading_out import LeadingOut
from app.engine.load import LoadedModel
from app.engine.prompt import Composer
from app.engine.sampling import Sampler
from app.engine.sessions import Sessions
from app.engine.sessions_keys import Keys
from app.engine.text import Piece, readable, split_channels
from app.engine.wire import Interrupts
from app.protocol import Channel, Delta, EngineEvent, Finished, Generate, Prefill, Timings, Usage

LEADING_OUT = "\n\nThat is enough thinking; I answer now with what I have."
"""What ends the thinking when the person wants the answer now, or it has taken all that it may. It is shown, for the
model reads it too."""
_DELTA_SECONDS = 1 / 60


class Deltas:
    """Gathers pieces into `Delta` messages: the first at once, then at most about sixty a second, never two channels in
    one. `answer` is what was said on that channel."""

    def __init__(self, request: str, send: Callable[[EngineEvent], None]) -> None:
        self.answer = ""
        self.tokens: dict[Channel, int] = {"thinking": 0, "answer": 0}
        self._request = request
        self._send = send
        self._channel: Channel = "thinking"
        self._text = ""
        self._sent = 0.0

    def add(self, piece: Piece) -> None:
        """Take a piece and send what is due."""
        if piece.channel != self._channel:
            self.flush()
            self._channel = piece.channel
        self._text += piece.text
        self.tokens[piece.channel] += piece.tokens
        if time.monotonic() - self._sent >= _DELTA_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what is gathered."""
        if self._text:
            self.answer += self._text if self._channel == "answer" else ""
            self._send(Delta(self._request, self._channel, self._text, self.tokens[self._channel]))
            self._sent = time.monotonic()
        self._text = ""


class Request:
    """Answers one `Generate`. `load_seconds` were spent for it before; `tick` is called often, to report."""

    def __init__(
        self,
        command: Generate,
        load_seconds: float,
        interrupts: Interrupts,
        send: Callable[[EngineEvent], None],
        tick: Callable[[], None],
    ) -> None:
        self._command = command
        self._load_seconds = load_seconds
        self._interrupts = interrupts
        self._send = send
        self._tick = tick

    def answer(
        self,
        model: LoadedModel,
        composer: Composer,
        sessions: Sessions,
        pace: Pace,
        recall: Callable[[Keys, Callable[[], None]], None] | None = None,
    ) -> str:
        """Do it all, up to and including `Finished`; returns what was answered, without the thinking.

        `recall` may bring back what was kept elsewhere of a prompt with these keys, before anything is read; what it is
        given beside them is to be called often, and raises what is to end it.

        Raises `PromptError`, `MediaError`, `NotFiniteError`, and what torch raises when memory is short; no `Finished`
        was sent then, and `sessions` is to be told.
        """
        since = time.monotonic()
        command, name = self._command, self._command.request
        state = sessions.state
        prompt = composer.compose(command.messages, thinking=command.thinking, capacity=state.capacity)
        total, reused = len(prompt.ids), 0

        def wanted() -> bool:
            return self._interrupts.hurried(name)

        def stopped() -> bool:
            return self._interrupts.stopped(name)

        def read(done: int) -> None:
            self._send(Prefill(name, done, total, reused, pace.rate, pace.seconds_left(done, total) or 0.0))

        closing = partial(composer.leading_out, LEADING_OUT)
        leading_out = LeadingOut(composer.vocabulary, closing, wanted, command.thinking_budget)
        between = Between(stopped, read, self._tick, leading_out.instead_of, sessions.keep)
        check = between.check
        sampler = Sampler(command.sampling, model.config.vocab_valid, model.largest)
        answer = Answer(model, state, sampler, command.max_tokens, between)
        deltas = Deltas(name, self._send)
        pace.begin()
        try:
            keys = sessions.keys_of(prompt, check)
            if recall is not None:
                recall(keys, check)
            reused = sessions.go(keys, command.conversation, check)
            read(reused)
            logits = read_prompt(model, state, prompt, between, pace=pace, marks=sessions.marks(prompt))
            ids = answer.ids(logits)
            for piece in split_channels(readable(ids, composer.vocabulary), thinking=prompt.thinks):
                leading_out.hear(piece)
                deltas.add(piece)
        except Stopped:
            answer.reason = "stopped"
            sessions.keep()  # what was read need not be read again
        finally:
            deltas.flush()  # also before a failure is told: what was said, was said
        usage = Usage(total, reused, deltas.tokens["thinking"], deltas.tokens["answer"])
        timings = Timings(self._load_seconds, answer.first_token_seconds(since), answer.tokens_a_second())
        self._send(Finished(name, answer.reason, usage, timings))
        return deltas.answer

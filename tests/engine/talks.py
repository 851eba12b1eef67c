"""Conversations with the engine's own parts, watched: what was read, what could not be avoided, and what was said."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.generation import Between, Pace, chunk_tokens
from app.engine.load import LoadedModel
from app.engine.prompt import Composer
from app.engine.request import Request
from app.engine.sessions import Sessions
from app.engine.sessions_idle import read_ahead
from app.engine.sessions_keys import Keys
from app.engine.wire import Interrupts
from app.protocol import ChatMessage, Delta, EngineEvent, Finished, Generate, Prefill, Sampling, Text

GREEDY = Sampling(temperature=0, presence_penalty=0)
PLENTY = 2**34


class Watched:
    """A model that notes how many tokens it reads of prompts, and its logits once it answers."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self.prompt = 0
        self.read = 0
        self.logits: list[Tensor] = []
        self.fail_at: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def forward(self, embeddings: Tensor, positions: Tensor, state: Any) -> Tensor:
        if self.fail_at is not None and state.length + len(embeddings) > self.fail_at:
            for recurrent in state.recurrent:  # as a forward pass that ends in its middle leaves it
                recurrent.add_(1.0)
            raise torch.OutOfMemoryError("Tried to allocate 3.00 GiB")
        if state.length < self.prompt:
            self.read += len(embeddings)
        logits = self.model.forward(embeddings, positions, state)
        if state.length >= self.prompt:
            self.logits.append(logits)
        return logits


@dataclass
class Said:
    """One answer: both channels, the last message of its request, and the logits that each token was chosen from."""

    thinking: str
    answer: str
    finished: Finished
    logits: list[Tensor]


@dataclass
class Engine:
    """What the worker holds of a loaded model, without the worker."""

    folder: Path
    model: LoadedModel
    capacity: int = 2000
    budget: int = PLENTY
    distinct: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.watched = Watched(self.model)
        vision = self.model.vision
        looks = (vision.prepare, vision.measure) if vision is not None else ()
        self.composer = Composer(self.folder, self.model.config, *looks)
        self.sessions = Sessions(self.model.new_state(self.capacity), self.budget, 16)
        self.pace = Pace(chunk_tokens(self.model))
        self.interrupts = Interrupts()
        self.events: list[EngineEvent] = []
        self.on: Callable[[EngineEvent], None] | None = None
        self.recall: Callable[[Keys, Callable[[], None]], None] | None = None

    def ask(
        self,
        messages: tuple[ChatMessage, ...],
        *,
        conversation: str = "c",
        thinking: bool = False,
        tokens: int = 12,
        ahead: bool = True,
    ) -> Said:
        """Answer, and, if nothing comes in between, read ahead as the worker does."""
        command = Generate("r", conversation, messages, thinking, GREEDY, tokens)
        self.watched.prompt = len(self._seen(messages, thinking=thinking))
        self.watched.logits = []
        self.events = []
        self.interrupts.close("r")
        self.interrupts.expect("r")
        if thinking:
            self.interrupts.hurry("r")
        request = Request(command, 0.0, self.interrupts, self._hear, lambda: None)
        answered = request.answer(self.watched, self.composer, self.sessions, self.pace, self.recall)
        finished = self.events[-1]
        assert isinstance(finished, Finished)
        said = Said(self._text("thinking"), self._text("answer"), finished, list(self.watched.logits))
        assert answered == said.answer
        if ahead:
            self.read_ahead(command, answered)
        return said

    def read_ahead(self, command: Generate, answered: str, stopped: Callable[[], bool] = lambda: False) -> None:
        settled = self.composer.settled(
            (*command.messages, ChatMessage("assistant", (Text(answered),))), capacity=self.capacity
        )
        if settled is not None and answered.strip():
            self._note(self.sessions.keys_of(settled))
        self.watched.prompt = 10**9
        between = Between(stopped, lambda done: None, lambda: None)
        read_ahead(
            self.watched,
            self.composer,
            self.sessions,
            self.pace,
            asked=command,
            answered=answered,
            between=between,
        )

    def _seen(self, messages: tuple[ChatMessage, ...], *, thinking: bool) -> Keys:
        prompt = self.composer.compose(messages, thinking=thinking, capacity=self.capacity)
        keys = self.sessions.keys_of(prompt)
        self._note(keys)
        return keys

    def _note(self, keys: Keys) -> None:
        """Every beginning of a row of keys counts once, whoever shares it."""
        before = 0
        for key in keys.tolist():
            before = hash((before, key))
            self.distinct.add(before)

    def _hear(self, event: EngineEvent) -> None:
        self.events.append(event)
        if self.on is not None:
            self.on(event)

    def _text(self, channel: str) -> str:
        return "".join(e.text for e in self.events if isinstance(e, Delta) and e.channel == channel)

    def told(self) -> list[Prefill]:
        return [event for event in self.events if isinstance(event, Prefill)]


def user(text: str) -> ChatMessage:
    return ChatMessage("user", (Text(text),))


def assistant(text: str) -> ChatMessage:
    return ChatMessage("assistant", (Text(text),))


def assert_alike(said: Said, fresh: Said, error: float, valid: int) -> None:
    """The same tokens from the same logits, up to the first choice that the error could turn."""
    for mine, wanted in zip(said.logits, fresh.logits, strict=False):
        assert (mine - wanted)[:valid].abs().max() < error
        best = wanted[:valid].topk(2).values
        if float(best[0] - best[1]) < 2 * error:
            return
        assert mine[:valid].argmax() == wanted[:valid].argmax()
    if said.finished.reason == fresh.finished.reason:
        assert (said.thinking, said.answer) == (fresh.thinking, fresh.answer)

"""Gets a question answered: has its attachments decoded, hands it to the engine, gathers what comes back.

Knows: the order of messages. Does not know: terminals, files of questions, exit codes.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app import paths
from app.ask.child import Child, LostError
from app.ask.question import Question
from app.ask.refusal import BAD_INPUT, FAILURE, AskError
from app.presets import DIRECT_GREEDY, default_sampling
from app.protocol import (
    Channel,
    ChatMessage,
    Decode,
    Decoded,
    Delta,
    EngineEvent,
    Failed,
    Finished,
    Generate,
    Load,
    Loaded,
    Media,
    MediaKind,
    Message,
    ModelInfo,
    Part,
    Refused,
    Sampling,
    Text,
)

_START_SECONDS = 60.0
"""From a cold disk one library may take this long, and nothing else of the engine runs meanwhile."""
_SILENCE_SECONDS = 10.0
_DECODE_SECONDS = 660.0

Yarn = Literal[1, 2, 4]
KvBits = Literal[16, 8]
Heard = Callable[[EngineEvent], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with all that `--json` prints about it."""

    thinking: str
    answer: str
    finished: Finished
    model: ModelInfo

    def plain(self) -> dict[str, Any]:
        """As JSON wants it."""
        usage, timings = self.finished.usage, self.finished.timings
        return {
            "thinking": self.thinking,
            "answer": self.answer,
            "reason": self.finished.reason,
            "usage": {
                "prompt": usage.prompt,
                "reused": usage.reused,
                "thinking": usage.thinking,
                "answer": usage.answer,
            },
            "timings": {
                "load_s": round(timings.load_s, 3),
                "first_token_s": round(timings.first_token_s, 3),
                "decode_tok_s": round(timings.decode_tok_s, 1),
            },
            "model": self.model.name,
            "device": self.model.device,
        }


class Answering:
    """One engine with one model, and a decoder once a file needs it. A context manager; it starts with the first use.

    After a `LostError` the next question starts the engine afresh.
    """

    def __init__(self, model: Path, context: int | None, heard: Heard, *, yarn: Yarn = 1, kv_bits: KvBits = 16) -> None:
        cache = str(paths.cache_dir() / "engine")
        self._load = Load(str(model.absolute()), context=context, cache_dir=cache, yarn=yarn, kv_bits=kv_bits)
        self._heard = heard
        self._engine: Child | None = None
        self._decoder: Child | None = None
        self._model: ModelInfo | None = None

    def __enter__(self) -> "Answering":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End both programs."""
        for child in (self._engine, self._decoder):
            if child is not None:
                child.close()
        self._engine = self._decoder = self._model = None

    def open(self) -> ModelInfo:
        """Start the engine and load the model, unless that is done. Raises `AskError`."""
        if self._model is None:
            self._engine = Child("engine")
            try:
                self._model = self._loaded(self._engine)
            except AskError:
                self.close()  # or the next question of a batch would start another engine beside this one
                raise
        return self._model

    def answer(self, question: Question, temperature: float | None) -> Answered:
        """Answer one question. Raises `AskError`."""
        try:
            model = self.open()
            with tempfile.TemporaryDirectory(prefix="parley-", ignore_cleanup_errors=True) as folder:
                parts = self._decoded(question, Path(folder), model)
                return self._generated(_generate(question, parts, model, temperature), model)
        except LostError:
            self.close()
            raise

    def _loaded(self, engine: Child) -> ModelInfo:
        engine.send(self._load)
        while True:
            event = engine.receive(_START_SECONDS)
            self._hear(event)
            if isinstance(event, Loaded):
                return event.model

    def _generated(self, command: Generate, model: ModelInfo) -> Answered:
        if self._engine is None:
            raise AskError("The engine is not running; try again.", FAILURE)
        self._engine.send(command)
        texts: dict[Channel, str] = {"thinking": "", "answer": ""}
        while True:
            event = self._engine.receive(_SILENCE_SECONDS)
            self._hear(event)
            if isinstance(event, Delta):
                texts[event.channel] += event.text
            if isinstance(event, Finished):
                return Answered(texts["thinking"], texts["answer"], event, model)

    def _hear(self, event: Message) -> None:
        if isinstance(event, Failed):
            status = BAD_INPUT if event.kind in {"bad_input", "checkpoint", "context"} else FAILURE
            raise AskError(event.message, status)
        if isinstance(event, EngineEvent):
            self._heard(event)

    def _decoded(self, question: Question, folder: Path, model: ModelInfo) -> list[Part]:
        wanted: list[tuple[MediaKind, Path]] = [("image", path) for path in question.images]
        wanted += [("video", path) for path in question.videos]
        if wanted and not model.sees:
            raise AskError(f"{model.name} cannot see pictures or videos; leave them out, or use a model that can.")
        parts: list[Part] = []
        for kind, path in wanted:
            if self._decoder is None:
                self._decoder = Child("decoder")
            self._decoder.send(Decode(str(path), str(path), str(folder), model.video))
            parts.append(_expected(kind, path, self._decoder.receive(_DECODE_SECONDS)))
        return parts


def _expected(kind: MediaKind, path: Path, answer: Message) -> Media:
    """The media item in the decoder's answer, if it is one and of the kind that was named."""
    match answer:
        case Decoded(media=media) if media.kind == kind:
            return media
        case Decoded():
            names = {"image": ("a video", "--video"), "video": ("a picture", "--image")}
            found, option = names[kind]
            raise AskError(f"{path.name} is {found}; attach it with {option}.")
        case Refused(message=sentence):
            raise AskError(sentence)
    raise AskError(f"{path.name} could not be decoded; save it in another format.", FAILURE)


def _generate(question: Question, parts: list[Part], model: ModelInfo, temperature: float | None) -> Generate:
    messages = [ChatMessage("system", (Text(question.system),))] if question.system else []
    messages += [ChatMessage(turn.role, (Text(turn.content),)) for turn in question.history]
    messages.append(ChatMessage("user", (*parts, Text(question.text))))
    return Generate(
        request="ask",
        conversation="",
        messages=tuple(messages),
        thinking=not question.direct,
        sampling=_sampling(question, model, temperature),
        max_tokens=question.max_tokens,
        thinking_budget=question.think_budget,
    )


def _sampling(question: Question, model: ModelInfo, temperature: float | None) -> Sampling:
    preset = default_sampling(thinking=not question.direct, demo=model.demo)
    if temperature is not None:
        preset = replace(preset, temperature=temperature) if temperature > 0 else DIRECT_GREEDY
    return replace(preset, seed=question.seed)

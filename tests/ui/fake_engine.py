"""An engine without a model, for the window's tests and pictures: what it does is named by the words of the question.

    python -m tests.ui.fake_engine [--pace SECONDS] [--loading | --no-model | --demo | --slow]

"story" writes a long one, "table", "code" and "list" what they say, "crash" ends the process in the middle, "hang"
falls silent, "context" and "broken" fail, "read" takes its time with the prompt, "trap" writes markdown that wants to
load something, "circles" thinks without an end, "fill" fills the context in the middle of an answer. The word "huge"
counts as 12,000 tokens.
"""

import argparse
import json
import os
import sys
import threading
import time
from dataclasses import replace
from queue import Empty, SimpleQueue

from app.chat.sent import SUMMARY_REQUEST
from app.chat.titles import TITLE_REQUEST
from app.protocol import (
    AnswerNow,
    Channel,
    ChatMessage,
    Delta,
    EngineCommand,
    EngineEvent,
    Failed,
    Finished,
    FinishReason,
    Gauges,
    Generate,
    Hello,
    Load,
    Loaded,
    Loading,
    Measure,
    Measured,
    Media,
    ModelInfo,
    Prefill,
    Stop,
    Text,
    Timings,
    Unload,
    Unloaded,
    Usage,
    VideoLimits,
    decode,
    encode,
)

GIB = 2**30
SLOW = "Quantized weights are expanded again for every token, which is slow."
MODEL = ModelInfo(
    name="Qwen3.5-27B",
    path="/models/qwen",
    device="RTX 4090",
    precision="INT4 · INT8 attention · EoRA 64",
    context=74_000,
    native_context=262_144,
    demo=False,
    sees=True,
    video=VideoLimits(fps=2.0, min_frames=4, max_frames=32),
)
DEMO = replace(MODEL, name="parley-demo", device="CPU", precision="INT4 · INT8 attention · EoRA 8", demo=True)
GAUGES = Gauges(
    kind="gpu",
    total=24 * GIB,
    weights=int(15.6 * GIB),
    cache=int(3.1 * GIB),
    vision=int(1.2 * GIB),
    other=int(0.9 * GIB),
    context_used=45_600,
    context=MODEL.context,
    workspace=int(0.8 * GIB),
)
CODE = """A ball rolls down a ramp and leaves it at about **2.1 s**. From the frames before and after:

| time | position on the scale | speed |
|---|---|---|
| 1.5 s | 0.62 m | 1.2 m/s |
| 2.0 s | 1.31 m | 1.6 m/s |

Fitting the last four positions gives *v* ≈ 1.7 m/s:

```python
import numpy as np
t = np.array([0.5, 1.0, 1.5, 2.0])
v = np.polyfit(t, [.08, .29, .62, 1.31], 2)  # m, s
```
"""
TABLE = "| shape | corners |\n|---|---:|\n| circle | 0 |\n| triangle | 3 |\n| square | 4 |\n"
LIST = """## What to look for

1. The **colour** of each object, with `hex` values
2. Where it is:
   - left, right, top or bottom
   - in the centre
3. How many there are

> A picture says less than one thinks.

The area is $a^2 + b^2$, and in a line of its own

$$E = m c^2$$

See [the documentation](https://example.org/docs) for ~~more~~ the rest.
"""
TRAP = """Look: ![secret](file:///etc/passwd) and ![pixel](http://127.0.0.1:9/pixel.png)

<img src="http://127.0.0.1:9/other.png"> <script>alert(1)</script>

[local](file:///etc/passwd) [script](javascript:alert(1)) [page](https://example.org/)
"""
GOES_ON = "goes on"
TITLE = "**“An Answer in a Few Words.”**"
SUMMARY = "You asked for **three** things about the lamp, and 85 came out."
NIGHTS = (
    "Rain",
    "Snow fell",
    "A storm came",
    "Fog lay on the road",
    "A ship",
    "The first swallows came back, on day",
    "Nobody slept in the old mill by the river on night",
    "A letter from the other side of the sea came",
    "Frost",
    "Ice",
)
LED_OUT = "\n\nThat is enough thinking."
HUGE = 12_000
SENTENCE = (
    "The little lamp on the hill was lit again, and the people of the valley looked up and went on with their work. "
)
STORY = "".join(f"{SENTENCE}{NIGHTS[night % 10]} {night}. " for night in range(90))
THINKING = (
    "The frames are half a second apart. In the third the ball touches the 0.62 mark; in the fourth it is at 1.31, "
    "so between them it travelled 0.69 m in 0.5 s.\n\n"
    "That is an average; at the edge of the ramp the speed should be higher than at the start of the interval. "
    "Let me fit a parabola through the last four points instead of taking the difference.\n\n"
    "The scale on the ramp is in decimetres, I should check: the label says “dm”. So 6.2 and 13.1 dm. "
    "Good, metres as above."
)


TINY_SIZES = {
    "weights": 12_000_000,
    "embeddings": 0,
    "tower": 1_000_000,
    "token": 1024,
    "state": 1_000_000,
    "workspace": 50_000_000,
    "library": 700_000_000,
    "most": 8192,
}
INSPECTED = {
    "model": {
        "name": "Tiny",
        "precision": "INT4 · EoRA 8",
        "bytes": 12_000_000,
        "files": 1,
        "layers": {"gated_delta": 6, "full_attention": 2},
        "linears": {"mlp": {"INT4": 24}, "self_attn": {"INT8": 8}},
        "eora": {"linears": 50, "ranks": [8], "adapter": True},
        "vision": {"layers": 2, "patch": 16},
        "mtp": False,
        "template": True,
        "native_context": 8192,
        "odd": ["Its index speaks of 3 bytes of weights."],
    },
    "memory": {
        "device": "a GPU",
        "total": 24 * GIB,
        "free": 24 * GIB,
        "sizes_by_kv_bits": {"16": TINY_SIZES, "8": TINY_SIZES | {"token": 544}},
    },
}
"""What `parley inspect` would say of any folder."""


class FakeEngine:
    """Reads commands, answers them at a steady pace."""

    def __init__(self, pace: float, loading: bool, no_model: bool, demo: bool) -> None:
        self.model = DEMO if demo else MODEL
        self.pace = pace
        self.loading = loading
        self.no_model = no_model
        self.hurried = False
        self.commands: SimpleQueue[EngineCommand | None] = SimpleQueue()
        self.later: list[EngineCommand] = []
        self.out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)

    def send(self, event: EngineEvent) -> None:
        self.out.write(encode(event))

    def serve(self) -> None:
        threading.Thread(target=self.read, daemon=True).start()
        self.send(Hello("0.1.0", os.getpid()))
        while True:
            try:
                command = self.later.pop(0) if self.later else self.commands.get(timeout=1.0)
            except Empty:
                self.send(GAUGES)
                continue
            if command is None:
                return
            self.handle(command)

    def read(self) -> None:
        for line in sys.stdin.buffer:
            self.commands.put(decode(line))  # type: ignore[arg-type]
        self.commands.put(None)

    def handle(self, command: EngineCommand) -> None:
        match command:
            case Load():
                self.load(command)
            case Unload():
                self.send(Unloaded())
            case Generate():
                self.generate(command)
            case Measure():
                self.measure(command)
            case _:
                pass

    def load(self, command: Load) -> None:
        if self.no_model or command.model.endswith("broken"):
            self.send(
                Failed(
                    "",
                    "checkpoint",
                    "This folder is no model that Parley can run: its config.json is missing. "
                    "Choose a folder with a Qwen3.5 checkpoint.",
                    "",
                )
            )
            return
        total = 17_800_000_000
        if self.loading:
            self.send(Loading("weights", int(total * 0.31), total))
            return
        for done in range(5):
            self.send(Loading("weights", total * done // 4, total))
        self.send(Loaded(self.model, 0.1))
        self.send(GAUGES)

    def measure(self, command: Measure) -> None:
        draft = _media(command.draft) if command.draft else []
        tokens = tuple(_tokens(media) for media in draft)
        text = _count(command.draft) if command.draft else 0
        if "refuse" in (_words(command.draft) if command.draft else []):
            self.send(Failed(command.request, "internal", "It cannot be counted.", ""))
            return
        sizes = tuple((media.width // 32 * 32, media.height // 32 * 32) for media in draft)
        each = tuple(_count(m) + sum(map(_tokens, _media(m))) for m in command.messages)
        before = sum(each) + 40 if each else 0
        self.send(Measured(command.request, before, sum(tokens) + text, tokens, sizes, each))

    def generate(self, command: Generate) -> None:
        self.hurried = False
        goes_on = command.messages[-1].role == "assistant"
        question = GOES_ON if goes_on else " ".join(_words(command.messages[-1]))
        if "context" in question:
            self.send(
                Failed(
                    command.request,
                    "context",
                    "This takes 80,120 tokens and 74,000 fit: shorten it, or begin a new conversation.",
                    "",
                )
            )
            return
        if not self.prefill(command, "read" in question):
            self.finish(command, "stopped", 0, 0)
            return
        thought = SENTENCE * 200 if "circles" in question else THINKING
        thinking, on = self.write(command, "thinking", thought if command.thinking and not goes_on else "", "")
        answered = 0
        if on:
            answered, on = self.write(command, "answer", answer_to(question, command), question)
        if "broken" not in question:
            filled = "fill" in question and answered > 20
            self.finish(command, "context" if filled else "end" if on else "stopped", thinking, answered)

    def prefill(self, command: Generate, slowly: bool) -> bool:
        """Report that the prompt is read; whether it was read to its end."""
        steps = 41 if slowly else 2
        for step in range(1, steps + 1):
            self.send(Prefill(command.request, 41_200 + 4_420 * step // steps, 45_620, 41_200))
            if self.stopped(command, 40 * self.pace if slowly else 0):
                return False
        return True

    def write(self, command: Generate, channel: Channel, text: str, question: str) -> tuple[int, bool]:
        """Send a text piece by piece: how many were sent, and whether it went on to the end."""
        pieces = _pieces(text)
        for count, piece in enumerate(pieces, 1):
            self.send(Delta(command.request, channel, piece, count))
            spent = self.hurried or 0 < command.thinking_budget <= count
            if channel == "thinking" and spent and "." in piece:
                self.send(Delta(command.request, channel, LED_OUT, count + 8))
                return count + 8, True
            if "fill" in question and count == 25:
                return count, False
            if count == 12:
                self.misbehave(command, question)
            if self.stopped(command, self.pace) or (count == 12 and "broken" in question):
                return count, False
        return len(pieces), True

    def misbehave(self, command: Generate, question: str) -> None:
        if "crash" in question:
            os._exit(3)
        if "hang" in question:
            threading.Event().wait()
        if "broken" in question:
            self.send(Failed(command.request, "internal", "The answer broke off: ask again.", "a trace"))

    def finish(self, command: Generate, reason: FinishReason, thinking: int, answer: int) -> None:
        self.send(Finished(command.request, reason, Usage(45_620, 41_200, thinking, answer), Timings(0.0, 0.24, 61.2)))

    def stopped(self, command: Generate, seconds: float) -> bool:
        """Wait a moment and take what arrives meanwhile."""
        until = time.monotonic() + seconds
        while True:
            try:
                arrived = self.commands.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                return False
            if arrived is None:
                os._exit(0)
            if isinstance(arrived, Stop) and arrived.request == command.request:
                return True
            if isinstance(arrived, AnswerNow):
                self.hurried = True
            elif isinstance(arrived, Measure):
                self.measure(arrived)
            else:
                self.later.append(arrived)


def answer_to(question: str, command: Generate) -> str:
    if question == GOES_ON:
        return "And so it went on to its end."
    for request, reply in ((TITLE_REQUEST, TITLE), (SUMMARY_REQUEST, SUMMARY)):
        if command.messages[-1].parts == (Text(request),):
            return reply
    for word, text in (("code", CODE), ("table", TABLE), ("list", LIST), ("trap", TRAP), ("story", STORY)):
        if word in question:
            return text
    media = _media(command.messages[-1])
    if media:
        return f"I see {len(media)} of them: " + ", ".join(f"{item.name}" for item in media) + "."
    if "37" in question:
        return "37 + 48 = **85**."
    return f"You said: {question}. " + SENTENCE


def _words(message: ChatMessage) -> list[str]:
    return " ".join(part.text for part in message.parts if isinstance(part, Text)).lower().split()


def _count(message: ChatMessage) -> int:
    return sum(HUGE if word == "huge" else 1 for word in _words(message))


def _media(message: ChatMessage) -> list[Media]:
    return [part for part in message.parts if isinstance(part, Media)]


def _tokens(media: Media) -> int:
    return max(64, (media.width // 32) * (media.height // 32)) * max(1, media.frames // 2)


def _pieces(text: str) -> list[str]:
    """The text in pieces about as long as tokens are."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def main() -> None:
    if "inspect" in sys.argv:
        sys.stdout.write(json.dumps(INSPECTED))
        return
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pace", type=float, default=0.0005)
    arguments.add_argument("--loading", action="store_true")
    arguments.add_argument("--no-model", action="store_true")
    arguments.add_argument("--demo", action="store_true")
    arguments.add_argument("--slow", action="store_true")
    given = arguments.parse_args()
    engine = FakeEngine(given.pace, given.loading, given.no_model, given.demo)
    if given.slow:
        engine.model = replace(MODEL, notes=(SLOW,))
    engine.serve()


if __name__ == "__main__":
    main()

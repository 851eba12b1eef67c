"""The sampling presets of the model family, the only place that names them. Knows no Qt, no torch, no setting.

The numbers are those of the model's card. The demo model is a tiny one that was trained on synthetic tasks: it is asked
with little randomness and without a penalty, because its arithmetic has to repeat digits.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.protocol import Sampling

THINKING_GENERAL = Sampling(temperature=1.0, top_p=0.95, top_k=20, min_p=0.0, presence_penalty=1.5)
THINKING_CODING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.0, presence_penalty=0.0)
DIRECT_GENERAL = Sampling(temperature=0.7, top_p=0.8, top_k=20, min_p=0.0, presence_penalty=1.5)
DIRECT_REASONING = Sampling(temperature=1.0, top_p=1.0, top_k=40, min_p=0.0, presence_penalty=2.0)
DIRECT_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, presence_penalty=0.0)
DEMO = Sampling(temperature=0.3, top_p=0.8, top_k=20, min_p=0.0, presence_penalty=0.0)

MAX_TOKENS = 32768
"""Tokens of one answer unless asked otherwise, thinking included."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A way to draw words that can be chosen by name; it goes with thinking or without."""

    key: str
    name: str
    thinking: bool
    sampling: Sampling


PRESETS = (
    Preset("thinking-general", "Thinking, general", thinking=True, sampling=THINKING_GENERAL),
    Preset("thinking-coding", "Thinking, precise coding", thinking=True, sampling=THINKING_CODING),
    Preset("direct-general", "Direct, general", thinking=False, sampling=DIRECT_GENERAL),
    Preset("direct-reasoning", "Direct, reasoning", thinking=False, sampling=DIRECT_REASONING),
    Preset("direct-greedy", "Direct, greedy", thinking=False, sampling=DIRECT_GREEDY),
)


def default_sampling(*, thinking: bool, demo: bool) -> Sampling:
    """The preset to use when the person chose nothing."""
    if demo:
        return DEMO
    return THINKING_GENERAL if thinking else DIRECT_GENERAL


def found(key: str, own: Iterable[Preset] = ()) -> Preset | None:
    """The preset with a key, of the model's or of the person's `own`; None for what suits the model, or is no more."""
    return next((preset for preset in (*PRESETS, *own) if preset.key == key), None)

"""The sampling presets of the model family, the only place that names them. Knows no Qt, no torch, no setting.

The numbers are those of the model's card. The demo model is a tiny one that was trained on synthetic tasks: it is asked
with little randomness and without a penalty, because its arithmetic has to repeat digits.
"""

from app.protocol import Sampling

THINKING_GENERAL = Sampling(temperature=1.0, top_p=0.95, top_k=20, min_p=0.0, presence_penalty=1.5)
THINKING_CODING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.0, presence_penalty=0.0)
DIRECT_GENERAL = Sampling(temperature=0.7, top_p=0.8, top_k=20, min_p=0.0, presence_penalty=1.5)
DIRECT_REASONING = Sampling(temperature=1.0, top_p=1.0, top_k=40, min_p=0.0, presence_penalty=2.0)
DIRECT_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, presence_penalty=0.0)
DEMO = Sampling(temperature=0.3, top_p=0.8, top_k=20, min_p=0.0, presence_penalty=0.0)

MAX_TOKENS = 32768
"""Tokens of one answer unless asked otherwise, thinking included."""


def default_sampling(*, thinking: bool, demo: bool) -> Sampling:
    """The preset to use when the person chose nothing."""
    if demo:
        return DEMO
    return THINKING_GENERAL if thinking else DIRECT_GENERAL

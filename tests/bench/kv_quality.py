"""What it costs to keep keys and values in bytes: Kullback-Leibler divergence of the next token's probabilities from
those with keys and values as they are computed, behind long prompts. Prints JSON.

    python -m tests.bench.kv_quality [FOLDER] [--tokens 4096,16384] [--steps 64] [--random]

Without FOLDER the demo model, which reads a conversation of its own kind; `--random` a small model of random weights.
The next tokens are those that the exact cache makes likeliest, so that all ways are asked the same. A random model
looks everywhere at once and finds all tokens equally likely: its queries are made longer, until few keys outweigh the
others, and its logits as uneven as a trained model's. On a processor the exact cache is fp32; there a cache that is
rounded to bf16, which is what 16 bits mean on a GPU, stands beside it.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.cache import TensorState
from app.engine.capacity import Wanted
from app.engine.load import ParleyModel, open_model
from app.engine.model import Attention
from app.engine.prompt import Composer
from app.engine.rope import text_positions
from app.paths import demo_model_dir
from app.protocol import ChatMessage, Text
from tests.bench.synthetic import SMALL, write

CHUNK = 2048
SPARE = 32
LONGER = 4.0
UNEVEN = 3.0
"""Standard deviation of a trained model's logits, or about."""


class Rounded(TensorState):
    """Keys and values that were bf16 once, in a wider type."""

    def append(self, slot: int, k: Tensor, v: Tensor) -> None:
        """As ever, with less of them."""
        super().append(slot, k.bfloat16(), v.bfloat16())


def conversation(model: ParleyModel, folder: Path, tokens: int) -> Tensor:
    """So many tokens of sums and names, asked and answered, up to a question about them."""
    composer, chance = Composer(folder, model.config), random.Random(tokens)  # noqa: S311 - no secret
    messages = [said("user", "My name is Ada."), said("assistant", "Nice to meet you, Ada.")]
    while True:
        a, b = chance.randint(1, 99), chance.randint(1, 99)
        ended = [*messages, said("user", "What is my name?")]
        ids = composer.compose(tuple(ended), thinking=False, capacity=4 * tokens).ids
        if len(ids) >= tokens:
            return torch.tensor(ids[-tokens:] if len(ids) > tokens + 64 else ids)
        turns = max(1, (tokens - len(ids)) // 100)
        for _ in range(turns):
            messages += [said("user", f"What is {a} + {b}?"), said("assistant", f"{a + b}")]
            a, b = chance.randint(1, 99), chance.randint(1, 99)


def said(role: Any, text: str) -> ChatMessage:
    """One message."""
    return ChatMessage(role, (Text(text),))


def logits_of(model: ParleyModel, state: TensorState, ids: Tensor, steps: int, forced: list[int] | None) -> Tensor:
    """Read a prompt and then one token after another, the likeliest or those `forced`: logits [steps, vocabulary]."""
    found, logits = [], torch.empty(0)
    for piece in torch.split(ids, CHUNK):
        positions = text_positions(state.length, state.length + len(piece), 0)
        logits = model.forward(model.embed(piece), positions, state)
    for step in range(steps):
        found.append(logits[: model.config.vocab_valid].double())
        token = int(found[-1].argmax()) if forced is None else forced[step]
        positions = text_positions(state.length, state.length + 1, 0)
        logits = model.forward(model.embed(torch.tensor([token])), positions, state)
    return torch.stack(found)


def compared(model: ParleyModel, ids: Tensor, steps: int, *, uneven: bool) -> dict[str, Any]:
    """All ways to keep keys and values behind one prompt."""
    text, began = model.text, time.monotonic()
    room = len(ids) + steps + SPARE
    logits = logits_of(model, text.new_state(room), ids, steps, None)
    factor = UNEVEN / float(logits.std()) if uneven else 1.0
    exact, likeliest = (logits * factor).log_softmax(-1), logits.argmax(-1).tolist()
    ways: dict[str, TensorState] = {"8 bits": text.new_state(room, 8)}
    if text.dtype == torch.float32:
        ways["bf16"] = Rounded(text.config, room, text.device, text.dtype)
    result: dict[str, Any] = {"tokens": len(ids), "steps": steps}
    for name, state in ways.items():
        other = (logits_of(model, state, ids, steps, likeliest) * factor).log_softmax(-1)
        divergence = (exact.exp() * (exact - other)).sum(-1)
        result[name] = {
            "kl_mean": float(divergence.mean()),
            "kl_max": float(divergence.max()),
            "same_likeliest": float((exact.argmax(-1) == other.argmax(-1)).double().mean()),
            "bytes_a_token": state.row_bytes,
        }
    entropy = -(exact.exp() * exact).sum(-1)
    return result | {"entropy_mean": float(entropy.mean()), "seconds": round(time.monotonic() - began, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what keys and values in bytes cost.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--tokens", default="4096,16384")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--random", action="store_true")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    lengths = [int(part) for part in arguments.tokens.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or demo_model_dir()
        if arguments.random:
            folder = Path(scratch) / "random"
            write(folder, SMALL, torch.device("cpu"))
        wanted = Wanted(max(lengths) + 8 * SPARE)
        model = open_model(folder, "auto", "parley", lambda *_: None, Path(scratch) / "kernels", wanted=wanted)
        assert isinstance(model, ParleyModel)
        for layer in model.text.layers if arguments.random else ():
            if isinstance(layer.mixer, Attention):
                layer.mixer.q_norm.weight *= LONGER
        found = []
        for length in lengths:
            if folder == demo_model_dir():
                ids = conversation(model, folder, length)
            else:
                ids = torch.randint(0, model.config.vocab_valid, (length,))
            found.append(compared(model, ids, arguments.steps, uneven=folder != demo_model_dir()))
            sys.stdout.write(json.dumps(found[-1]) + "\n")
            sys.stdout.flush()
    name = "random" if arguments.random else folder.name
    out = Path(os.environ.get("OUT", ".")) / f"kv-quality-{name}.json"
    if "OUT" in os.environ:
        out.write_text(json.dumps({"device": model.device_name, "found": found}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""How far the DeltaNet states drift over many tokens: Parley's token kernels and transformers in bf16, both against
transformers in fp32, on the demo model's weights as GPTQModel expands them. Needs CUDA and GPTQModel; prints JSON.

    PYTHONPATH=.:packaging python -m tests.bench.long_state [--tokens 10000]

Parley decodes one token after the other. transformers may read many at once, which rounds less often.
"""

import argparse
import json
import random
import sys
from typing import Any

import torch
from demo_model.evaluate import expanded_model
from torch import Tensor

from app import paths
from app.engine.cache import TensorState
from app.engine.load import open_model
from app.engine.rope import text_positions

_AT_ONCE = 2000


def read_by_transformers(ids: Tensor, dtype: torch.dtype, device: str) -> list[Tensor]:
    """The recurrent states [heads, key, value] after ids [T], in the order of the DeltaNet layers."""
    network: Any = expanded_model(paths.demo_model_dir(), dtype, eora=True).to(device)  # type: ignore[arg-type]
    cache: Any = None
    with torch.no_grad():
        for piece in torch.split(ids.to(device), _AT_ONCE):
            cache = network(input_ids=piece.unsqueeze(0), past_key_values=cache, use_cache=True).past_key_values
    states = [getattr(layer, "recurrent_states", None) for layer in cache.layers]
    return [state[0].double().cpu() for state in states if state is not None]


def decode_by_parley(ids: Tensor, device: str) -> list[Tensor]:
    """The same, one token after the other."""
    model = open_model(paths.demo_model_dir(), "cuda" if device == "cuda" else "cpu", "parley", _quiet)
    state = model.new_state(len(ids))
    if not isinstance(state, TensorState):
        raise TypeError("not Parley's own engine")
    for index in range(len(ids)):
        model.forward(model.embed(ids[index : index + 1]), text_positions(index, index + 1, 0), state)
    return [recurrent.double().cpu() for recurrent in state.recurrent]


def errors(found: list[Tensor], exact: list[Tensor]) -> list[float]:
    """For each layer the size of the difference, relative to the state's."""
    return [float((mine - true).norm() / true.norm()) for mine, true in zip(found, exact, strict=True)]


def _quiet(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how far the DeltaNet states drift.")
    parser.add_argument("--tokens", type=int, default=10_000)
    given = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = random.Random(1)  # noqa: S311
    ids = torch.tensor([generator.randrange(300, 1200) for _ in range(given.tokens)])
    mine = decode_by_parley(ids, device)
    exact = read_by_transformers(ids, torch.float32, device)
    others = errors(read_by_transformers(ids, torch.bfloat16, device), exact)
    ours = errors(mine, exact)
    found = {
        "tokens": given.tokens,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "parley": [round(error, 5) for error in ours],
        "transformers bf16": [round(error, 5) for error in others],
        "largest ratio": round(max(a / b for a, b in zip(ours, others, strict=True)), 3),
    }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

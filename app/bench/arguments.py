"""The command line of `parley bench`. Imports nothing but Python; starts nothing."""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

SYNTHETIC = ("27b", "small")


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What shall be measured. `model` is a folder, absolute; `depths` and `prompts` are in tokens, none for what suits
    the device; `kv_bits` is what keys and values are kept in."""

    model: str | None
    synthetic: str | None
    depths: tuple[int, ...]
    prompts: tuple[int, ...]
    json: bool
    kv_bits: Literal[16, 8] = 16

    def to_json(self) -> str:
        """All of it on one line, for the program that measures."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "BenchOptions":
        """What `to_json` wrote."""
        plain = json.loads(text)
        return BenchOptions(**(plain | {name: tuple(plain[name]) for name in ("depths", "prompts")}))


def add_bench(bench: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    bench.description = (
        "Measure what this machine makes of a model: loading, prompts, the first token, answers. Beside each figure "
        "stands the least that the device's own memory and arithmetic allow, measured in the same run."
    )
    bench.add_argument("--model", type=Path, metavar="DIR", help="a model's folder; without it the demo model")
    bench.add_argument(
        "--synthetic",
        choices=SYNTHETIC,
        help="make up a model of the 27B's exact shapes (20.4 GB) or a small one, in the folder that --model names",
    )
    bench.add_argument(
        "--depths", type=_counts, default=(), metavar="N,N", help="decode behind so many tokens of context"
    )
    bench.add_argument("--prompts", type=_counts, default=(), metavar="N,N", help="read prompts of so many tokens")
    bench.add_argument("--kv-bits", type=int, choices=(16, 8), default=16, help="keep keys and values in so many bits")
    bench.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def bench_options(found: argparse.Namespace) -> BenchOptions:
    """The options that were found. Raises `ValueError` for some that do not go together; its text says which."""
    if found.synthetic == "27b" and found.model is None:
        raise ValueError("with --synthetic 27b, name a new folder for its 20.4 GB with --model")
    model = None if found.model is None else str(found.model.absolute())
    return BenchOptions(model, found.synthetic, found.depths, found.prompts, found.json, found.kv_bits)


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if not counts or any(not 0 <= count <= 2**20 for count in counts):
        raise argparse.ArgumentTypeError(f"{text} is no list of token counts such as 128,8192")
    return counts


_counts.__name__ = "list of token counts"

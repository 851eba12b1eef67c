"""The command line of `parley inspect`. Imports nothing but Python; starts nothing."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

YARN = (1, 2, 4)
KV_BITS = (16, 8)


@dataclass(frozen=True, slots=True)
class InspectOptions:
    """What was asked. `folder` None means the demo model; `memory` are bytes of an imagined GPU."""

    folder: Path | None
    context: int | None
    yarn: Literal[1, 2, 4]
    memory: int | None
    json: bool
    kv_bits: Literal[16, 8] = 16


def add_inspect(inspect: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    inspect.description = (
        "Say what a model's folder holds, what of it would lie where in the GPU's memory, and the largest context that "
        "fits now. Nothing is loaded."
    )
    inspect.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="without it the demo model")
    inspect.add_argument("--context", type=int, metavar="N", help="plan for so many tokens, not for the most that fit")
    inspect.add_argument("--memory", type=_gigabytes, metavar="GB", help="plan for a GPU with so much free memory")
    inspect.add_argument("--yarn", type=int, choices=YARN, default=1, help="plan with positions stretched so far")
    inspect.add_argument(
        "--kv-bits", type=int, choices=KV_BITS, default=16, help="plan with keys and values of so many bits"
    )
    inspect.add_argument("--json", action="store_true", help="print one JSON object")


def inspect_options(found: argparse.Namespace) -> InspectOptions:
    """The options that were found."""
    return InspectOptions(found.folder, found.context, found.yarn, found.memory, found.json, found.kv_bits)


def _gigabytes(text: str) -> int:
    size = float(text)
    if not (math.isfinite(size) and 0 < size < 10_000):
        raise argparse.ArgumentTypeError(f"{text} is not a size in GB")
    return int(size * 1e9)


_gigabytes.__name__ = "size in GB"

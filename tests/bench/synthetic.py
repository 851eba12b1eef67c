"""The made-up models of `parley bench`, for tests and measurements of their own.

python -m tests.bench.synthetic FOLDER [--small]     writes a checkpoint that Parley loads (20.4 GB, or 8 MB)
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from app.bench.folder import made
from app.bench.synthetic import BIG, SIZES, SMALL, Size, SyntheticWeights

__all__ = ["BIG", "SMALL", "Size", "SyntheticWeights", "write"]


def write(folder: Path, size: Size, device: torch.device) -> int:
    """A checkpoint folder; its bytes of weights."""
    name = next(name for name, known in SIZES.items() if known == size)
    return made(folder, name, size, device, lambda _done, _total: None)


def main() -> None:
    """Write a checkpoint."""
    parser = argparse.ArgumentParser(description="Write a checkpoint of random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    began = time.monotonic()
    size = write(arguments.folder, SMALL if arguments.small else BIG, device)
    seconds = round(time.monotonic() - began, 1)
    sys.stdout.write(json.dumps({"folder": str(arguments.folder), "bytes": size, "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()

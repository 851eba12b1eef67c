"""The program that measures, `python -m app.bench OPTIONS`. Knows what has to be settled before torch is imported."""

import os
import sys

from app.engine.allocation import let_segments_grow


def main(arguments: list[str]) -> int:
    """Measure; the exit status."""
    let_segments_grow(os.environ)
    from app.bench.program import measure  # noqa: PLC0415 - it imports torch

    return measure(arguments[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

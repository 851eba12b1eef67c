"""Measures as the options say: options as JSON in, figures on stdout, progress on stderr.

It belongs to a process of its own because it imports torch, and `parley` does not.
"""

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import torch

from app import paths
from app.bench.arguments import BenchOptions
from app.bench.folder import FolderError, made
from app.bench.measure import Measurement
from app.bench.synthetic import SIZES
from app.bench.table import table
from app.engine.devices import choose_device
from app.engine.failure import failed
from app.engine.memory import free_bytes


def measure(order: str) -> int:
    """Measure as `order` says, `BenchOptions` as JSON; the exit status."""
    options = BenchOptions.from_json(order)
    torch.set_grad_enabled(False)
    try:
        with ExitStack() as stack:
            folder = _folder(options, stack)
            found = Measurement(folder, options, _report).all()
    except FolderError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - this program's one broad except
        message = failed("bench", error, lambda: free_bytes(choose_device("auto")))
        sys.stderr.write(f"{message.detail if message.kind == 'internal' else ''}{message.message}\n")
        return 2 if message.kind in {"bad_input", "checkpoint"} else 1
    sys.stdout.write(json.dumps(found) + "\n" if options.json else table(found))
    return 0


def _folder(options: BenchOptions, stack: ExitStack) -> Path:
    """The folder to measure; a made-up model is made first, a small one perhaps for this once."""
    if options.synthetic is None:
        return paths.demo_model_dir() if options.model is None else Path(options.model)
    if options.model is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-"))) / options.synthetic
    else:
        folder = Path(options.model)
    device = choose_device("auto")

    def progress(done: int, total: int) -> None:
        _report(f"making {done / 1e9:.1f} of {total / 1e9:.1f} GB of weights")

    made(folder, options.synthetic, SIZES[options.synthetic], device, progress)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return folder


def _report(doing: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{doing} …")
        sys.stderr.flush()

"""`parley inspect` from its options to its exit status.

Knows: how to ask the engine program, what is printed, what each outcome is called for a shell. Does not know:
checkpoints, plans. The engine is started for this one question, loads nothing, and ends.
"""

import json
import subprocess
import sys
from typing import Any

from app import paths
from app.ask.refusal import BAD_INPUT, FAILURE, AskError
from app.inspect.arguments import InspectOptions
from app.inspect.report import report
from app.programs import program

_SECONDS = 180.0
"""From a cold disk the engine's libraries alone may take a minute."""


def inspect(options: InspectOptions) -> int:
    """Print what the engine found; the exit status. Errors become one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        found = _asked(options)
    except AskError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    text = json.dumps(found, ensure_ascii=False) if options.json else report(found)
    print(text, flush=True)  # noqa: T201 - what was asked for
    return 0


def _asked(options: InspectOptions) -> dict[str, Any]:
    """The engine's answer. Raises `AskError`."""
    folder = (options.folder or paths.demo_model_dir()).absolute()
    order = {
        "folder": str(folder),
        "context": options.context,
        "yarn": options.yarn,
        "memory": options.memory,
        "kv_bits": options.kv_bits,
    }
    engine = program("engine")
    try:
        done = subprocess.run(
            [*engine.argv, "inspect", json.dumps(order)],
            cwd=engine.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise AskError(
            f"The engine could not be asked ({type(error).__name__}); see whether `parley ask` works.", FAILURE
        ) from error
    if "error" in found:
        raise AskError(str(found["error"]), BAD_INPUT)
    return dict(found)

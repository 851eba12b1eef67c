"""`parley bench`: starts the program that measures and lets it speak for itself. Knows no figure."""

import subprocess
import sys

from app.ask.refusal import FAILURE
from app.bench.arguments import BenchOptions
from app.programs import program

_INTERRUPTED = 130


def bench(options: BenchOptions) -> int:
    """Measure; the exit status."""
    command = program("bench")
    try:
        return subprocess.run([*command.argv, options.to_json()], cwd=command.folder, check=False).returncode
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:
        sys.stderr.write(f"The program that measures cannot be started ({error.strerror}); install Parley again.\n")
        return FAILURE

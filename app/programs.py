"""How Parley's other programs are started. Knows their names and whether this is the frozen program; starts nothing.

Frozen, they are executables beside this one: `parley-engine`, `parley-decoder`; the history's jobs, the downloader and
the drawing of formulas are this program itself, which then is no window. Otherwise they are modules of this package,
run by the same Python in the folder that holds the package, so that a folder called `app` in the person's current
directory is never taken for ours. Paths in messages therefore have to be absolute.
"""

import os
import sys
from pathlib import Path
from typing import Literal, NamedTuple

ProgramName = Literal["engine", "decoder", "history", "bench", "downloader", "formulas"]

_MODULES: dict[ProgramName, str] = {
    "engine": "app.engine",
    "decoder": "app.media",
    "history": "app.history",
    "bench": "app.bench",
    "downloader": "app.download",
    "formulas": "app.formulas",
}
HISTORY_JOBS = "--history-jobs"
DOWNLOADS = "--downloads"
FORMULAS = "--formulas"
_OURSELVES: dict[ProgramName, str] = {"history": HISTORY_JOBS, "downloader": DOWNLOADS, "formulas": FORMULAS}


class Program(NamedTuple):
    """What to start: the command line, and the folder to start it in."""

    argv: list[str]
    folder: str


def program(name: ProgramName) -> Program:
    """The command line and working folder of one of Parley's own programs."""
    if getattr(sys, "frozen", False):
        beside = Path(sys.executable).resolve().parent
        if name in _OURSELVES:
            return Program([sys.executable, _OURSELVES[name]], str(beside))
        suffix = ".exe" if os.name == "nt" else ""
        if name == "bench":  # torch is in the engine's program alone
            return Program([str(beside / f"parley-engine{suffix}"), name], str(beside))
        return Program([str(beside / f"parley-{name}{suffix}")], str(beside))
    root = Path(__file__).resolve().parent.parent
    return Program([sys.executable, "-m", _MODULES[name]], str(root))

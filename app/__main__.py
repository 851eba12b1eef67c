"""The command `parley`, also `python -m app`: decides which face is wanted, before anything of a face is imported."""

import os
import sys
from typing import assert_never

from app.ask.arguments import AskOptions, OpenOptions, Options, read_arguments
from app.bench.arguments import BenchOptions
from app.download.arguments import DownloadOptions, VerifyOptions
from app.inspect.arguments import InspectOptions
from app.programs import DOWNLOADS, FORMULAS, HISTORY_JOBS

_NO_DISPLAY = (
    "There is no display for Parley's window here; ask in the terminal with `parley ask TEXT`, "
    "or give it a virtual display with `xvfb-run parley`."
)
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def main() -> int:
    """Run the wanted face; its exit status."""
    if sys.argv[1:] == [HISTORY_JOBS]:
        from app.history.jobs import serve  # noqa: PLC0415 - only what is wanted is imported

        return serve()
    if sys.argv[1:] == [FORMULAS]:
        from app.formulas.program import serve as serve_formulas  # noqa: PLC0415

        return serve_formulas()
    if sys.argv[1:] == [DOWNLOADS]:
        from app.download.program import serve as serve_downloads  # noqa: PLC0415

        serve_downloads()
    options = read_arguments(sys.argv[1:])
    return _window() if options is None else _command(options)


def _command(options: Options) -> int:
    """Run a command of the terminal; only what is wanted is imported."""
    match options:
        case AskOptions():
            from app.ask.command import ask  # noqa: PLC0415

            return ask(options)
        case OpenOptions():
            return _window(options.files)
        case BenchOptions():
            from app.ask.bench import bench  # noqa: PLC0415

            return bench(options)
        case InspectOptions():
            from app.inspect.command import inspect  # noqa: PLC0415

            return inspect(options)
        case DownloadOptions():
            from app.download.command import download  # noqa: PLC0415

            return download(options)
        case VerifyOptions():
            from app.download.command import verify  # noqa: PLC0415

            return verify(options)
        case _:
            assert_never(options)


def _window(files: tuple[str, ...] = ()) -> int:
    """Run the window, with files attached to its draft."""
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
        sys.stderr.write(_NO_DISPLAY + "\n")
        return 2
    try:
        from app.ui.application import run  # noqa: PLC0415 - Qt is imported for the window alone
    except ImportError as error:
        sys.stderr.write(f"The window cannot be opened ({error}); run `make setup`, or use `parley ask TEXT`.\n")
        return 1
    return run(files)


if __name__ == "__main__":
    sys.exit(main())

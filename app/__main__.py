"""The command `parley`, also `python -m app`: decides which face is wanted, before anything of a face is imported."""

import os
import sys

from app.ask.arguments import read_arguments

_NO_DISPLAY = (
    "There is no display for Parley's window here; ask in the terminal with `parley ask TEXT`, "
    "or give it a virtual display with `xvfb-run parley`."
)
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def main() -> int:
    """Run the wanted face; its exit status."""
    options = read_arguments(sys.argv[1:])
    if options is not None:
        from app.ask.command import ask  # noqa: PLC0415 - only the wanted face is imported

        return ask(options)
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
        sys.stderr.write(_NO_DISPLAY + "\n")
        return 2
    try:
        from app.ui.application import run  # noqa: PLC0415 - Qt is imported for the window alone
    except ImportError as error:
        sys.stderr.write(f"The window cannot be opened ({error}); run `make setup`, or use `parley ask TEXT`.\n")
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())

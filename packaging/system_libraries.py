"""Makes sure that the system libraries which the window or the tests need are there; installs them with apt when root.

Knows: which shared libraries Qt's platform plugins load, and Debian's names for their packages. Does not know: Python
packages, the virtual environment. Runs on the system's own Python, also an old one, with the standard library only.

    python3 packaging/system_libraries.py window|tests

Exits with 0 when everything is there, with 2 after one line that says what to install.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

# What Qt's xcb and offscreen plugins link to, by the file that the loader looks for and the package that brings it.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libX11-xcb.so.1": "libx11-xcb1",
}

# What the tests start besides: a display without a screen.
TEST_PROGRAMS = {"Xvfb": "xvfb", "xvfb-run": "xvfb", "xauth": "xauth"}


class MissingPackagesError(Exception):
    """Something has to be installed by hand; its text is the sentence that says what."""


def missing(purpose: str) -> dict[str, str]:
    """What `purpose` ("window" or "tests") needs and this machine lacks: file or program name to Debian package."""
    lacking = {name: package for name, package in QT_LIBRARIES.items() if not _loads(name)}
    if purpose == "tests":
        lacking.update({name: package for name, package in TEST_PROGRAMS.items() if shutil.which(name) is None})
    return lacking


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install(packages: list[str], reason: str) -> None:
    """Installs Debian packages when that is possible without asking; else raises `MissingPackagesError`."""
    line = "apt-get install -y --no-install-recommends " + " ".join(packages)
    if shutil.which("apt-get") is None:
        raise MissingPackagesError(f"{reason}; install what your system calls: {' '.join(packages)}")
    if os.geteuid() != 0:
        raise MissingPackagesError(f"{reason}; install it and try again: sudo {line}")
    print(f"Installing system packages: {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # An update that fails for one source of many is no reason to stop: the install says what is really wrong.
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
    if subprocess.run([*line.split(), "-qq"], env=environment, check=False, stdout=subprocess.DEVNULL).returncode:
        raise MissingPackagesError(f"{reason}, and installing it failed; see apt's message above, then run: {line}")


def ensure(purpose: str) -> None:
    """Installs what `purpose` lacks; raises `MissingPackagesError` when it cannot or when that did not help."""
    lacking = missing(purpose)
    if not lacking:
        return
    install(sorted(set(lacking.values())), f"The {purpose} cannot start without {_words(lacking)}")
    lacking = missing(purpose)
    if lacking:
        raise MissingPackagesError(
            f"{_words(lacking)} still cannot be loaded after installing {_words(lacking.values())}"
        )


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def main() -> int:
    """Checks what the first argument names; returns the exit status."""
    if len(sys.argv) != 2 or sys.argv[1] not in ("window", "tests"):
        print("usage: system_libraries.py window|tests", file=sys.stderr)
        return 2
    if not sys.platform.startswith("linux"):
        return 0  # the wheels bring everything on Windows and macOS
    try:
        ensure(sys.argv[1])
    except MissingPackagesError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

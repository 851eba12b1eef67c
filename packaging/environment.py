"""Makes a virtual environment from pinned requirements, outside the checkout, and links it into the checkout.

Knows: Python interpreters, venv, uv and pip. Does not know: what the pinned packages are for. Runs on the system's own
Python, also an old one, with the standard library only, so that it can say what is wrong with it.

    python3 packaging/environment.py [--requirements FILE]… [--link PATH] [--installer uv|pip] [--bare]

The environment lies in `$XDG_CACHE_HOME/parley/NAME-KEY` (`~/.cache` by default). KEY is a digest of the pins, the
interpreter and the checkout's own path: an editable installation points at one checkout, so two checkouts never share
an environment. A file written last says that it is whole; one that lacks it is half-built and is made again.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE

import system_libraries

CHECKOUT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
INSTALLER = "uv==0.13.9"
MARKER = "parley-environment"
ROOM = 9 * 10**9  # bytes: 6.4 GB of packages and what is unpacked on the way


class SetupError(Exception):
    """The environment cannot be made; the text is a sentence that says what to do."""


def main() -> int:
    """Makes or finds the environment that the arguments describe; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make or find Parley's virtual environment.")
    parser.add_argument("--requirements", action="append", type=Path, help="a file of pins; may be repeated")
    parser.add_argument("--link", type=Path, default=Path(".venv"), help="link to the environment, in the checkout")
    parser.add_argument("--installer", choices=("uv", "pip"), default="uv", help="uv falls back to pip")
    parser.add_argument("--bare", action="store_true", help="do not install the checkout itself")
    options = parser.parse_args()
    requirements = [CHECKOUT / file for file in options.requirements or [Path("requirements-dev.txt")]]
    try:
        python = find_python()
        environment = _folder(requirements, python, options.link.name)
        if not _is_whole(environment):
            with _Lock(environment):
                if not _is_whole(environment):  # another run may have made it while this one waited
                    _make(environment, python, requirements, options.installer, options.bare)
        _link(CHECKOUT / options.link, environment)
    except (SetupError, system_libraries.MissingPackagesError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; the next run begins this environment anew.", file=sys.stderr)
        return 130
    return 0


def find_python() -> str:
    """The interpreter to build on: this one if it is new enough, else the best on PATH. Raises `SetupError`."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return os.path.realpath(sys.executable)
    question = f"import sys; sys.exit(sys.version_info[:2] < {OLDEST_PYTHON})"
    for name in ("python3.13", "python3.12", "python3.11", "python3.14"):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", question], stderr=DEVNULL, check=False).returncode == 0:
            return os.path.realpath(found)
    have = ".".join(map(str, sys.version_info[:2]))
    raise SetupError(
        f"Parley needs Python 3.11 or newer and python3 here is {have}; on Debian or Ubuntu run "
        "sudo apt-get install python3.11 python3.11-venv, or name another one with make PYTHON=/path/to/python3.12."
    )


def _folder(requirements: list[Path], python: str, link: str) -> Path:
    """Where the environment of these pins, this interpreter and this checkout lies."""
    key = hashlib.sha256("\0".join((python, str(CHECKOUT), INSTALLER)).encode())
    for file in [*requirements, CHECKOUT / "pyproject.toml"]:
        key.update(file.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = "env" if link == ".venv" else link
    return cache / "parley" / f"{name}-{key.hexdigest()[:16]}"


def _is_whole(environment: Path) -> bool:
    return (environment / MARKER).is_file() and (environment / "bin" / "python").exists()


class _Lock:
    """Holds the environment against a second run that would build it at the same time."""

    def __init__(self, environment: Path) -> None:
        environment.parent.mkdir(parents=True, exist_ok=True)
        self._file = environment.with_name(environment.name + ".lock").open("w")

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another run is making this environment; waiting for it.", flush=True)
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _make(environment: Path, python: str, requirements: list[Path], installer: str, bare: bool) -> None:
    """Builds the environment from nothing and marks it whole."""
    began = time.monotonic()
    if environment.exists():
        print(f"Removing a half-built environment: {environment}", flush=True)
        shutil.rmtree(environment)
    _remove_outdated(environment)
    if shutil.disk_usage(environment.parent).free < ROOM:
        print(f"There is less than {ROOM // 10**9} GB free below {environment.parent}; this may not fit.", flush=True)
    print(f"Making the environment {environment}", flush=True)
    print("The first time this downloads packages, about 3 GB with CUDA; later runs start at once.", flush=True)
    _ensure_build_tools(python, requirements)
    _run("the virtual environment could not be made", [python, "-m", "venv", str(environment)])
    _install(environment, requirements, installer)
    if not bare:
        print("Installing this checkout, editable", flush=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        _run("the checkout could not be installed", [*pip, "--no-build-isolation", "--editable", str(CHECKOUT)])
    (environment / MARKER).write_text(str(CHECKOUT) + "\n", encoding="utf-8")
    print(f"The environment is ready after {time.monotonic() - began:.0f} s.", flush=True)


def _remove_outdated(environment: Path) -> None:
    """Removes whole environments of the same name whose checkout is this one or is gone: they take 6 GB each."""
    name = environment.name.rpartition("-")[0]
    for marker in environment.parent.glob(f"{name}-*/{MARKER}"):
        checkout = Path(marker.read_text(encoding="utf-8").strip())
        if checkout == CHECKOUT or not checkout.exists():
            print(f"Removing an environment that is no longer used: {marker.parent}", flush=True)
            shutil.rmtree(marker.parent)


def _ensure_build_tools(python: str, requirements: list[Path]) -> None:
    """Debian keeps in packages of their own the part of venv that brings pip, the C compiler and Python's headers.

    The last two are for pypcre, which GPTQModel imports and which comes as source.
    """
    question = (
        "import ensurepip, os, sysconfig, venv; print('venv', "
        "os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')))"
    )
    answer = subprocess.run(
        [python, "-c", question], stdout=PIPE, stderr=DEVNULL, check=False, text=True
    ).stdout.split()
    compiles = any("pypcre==" in file.read_text(encoding="utf-8") for file in requirements)
    lacking = [] if answer else [f"{Path(python).name}-venv"]
    if compiles and shutil.which("cc") is None:
        lacking += ["gcc", "libc6-dev"]
    if compiles and answer[1:] != ["True"]:
        lacking.append(f"{Path(python).name}-dev")
    if lacking:
        system_libraries.install(lacking, f"The environment cannot be made without {', '.join(lacking)}")


def _install(environment: Path, requirements: list[Path], installer: str) -> None:
    """Installs the pins. They are complete, so nothing is resolved and nothing else can slip in."""
    python = str(environment / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--no-input"]
    pins = ["--no-deps", *[word for file in requirements for word in ("-r", str(file))]]
    if installer == "uv":
        print(f"Installing the pinned packages with {INSTALLER}", flush=True)
        uv = [python, "-m", "uv", "pip", "install", "--python", python, *pins]
        if _succeeds([*pip, "--quiet", INSTALLER]) and _succeeds(uv):
            return
        print("uv did not manage; trying pip, which takes minutes longer.", flush=True)
    else:
        print("Installing the pinned packages with pip", flush=True)
    _run("the packages could not be installed", [*pip, "--progress-bar", "off", *pins])


def _succeeds(command: list[str]) -> bool:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment.setdefault("UV_HTTP_TIMEOUT", "180")
    return subprocess.run(command, env=environment, check=False).returncode == 0


def _run(failure: str, command: list[str]) -> None:
    if not _succeeds(command):
        raise SetupError(f"Setup stopped: {failure}; the lines above say why. Run it again to begin anew.")


def _link(link: Path, environment: Path) -> None:
    """Points `link` at the environment; raises `SetupError` when something else is in its place."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        if link.readlink() == environment:
            return
        link.unlink()
    elif link.exists():
        raise SetupError(f"{link} is not a link that Parley made; move it away and run this again.")
    link.symlink_to(environment)


if __name__ == "__main__":
    sys.exit(main())

"""Installs the .deb in a Debian that has nothing else, cuts it off the network, and drives Parley there as people do.

Knows: debootstrap, chroot, X. Does not know: any module of Parley; what was answered is read from the history's file.
Run it as root, on a machine that reaches Debian's packages, by the Python that built the bundle (it draws the media);
xdotool types, and Xvfb is the display. About 1.5 GB are needed below `--scratch`, and are free again afterwards.

    python packaging/linux/clean_root.py dist/parley_0.1.0_amd64.deb [--suite bookworm] [--scratch DIR]
"""

import argparse
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import smoke

# A system on which something could be compiled, or that has a Python of its own, proves nothing.
UNWANTED = re.compile(r"python|gcc(?!-\d+-base)|g\+\+|clang|tcc|.*-dev$|make$")
HOME = Path("root")
HISTORY = HOME / ".local" / "share" / "parley" / "history" / "conversations.db"
LIMIT = 120.0  # seconds for anything in the window


def main() -> int:
    """Makes the system, installs and drives; returns the exit status."""
    parser = argparse.ArgumentParser(description="Drive the .deb in a clean Debian.")
    parser.add_argument("package", type=Path)
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--scratch", type=Path, help="where the system is made")
    options = parser.parse_args()
    lacking = [name for name in ("debootstrap", "xdotool", "Xvfb", "unshare") if shutil.which(name) is None]
    if os.geteuid() != 0 or lacking:
        print(f"clean root: this needs root, and {', '.join(lacking) or 'nothing else'} installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="parley-clean-root-", dir=options.scratch) as scratch:
        root = Path(scratch)
        try:
            install(root, options.suite, options.package)
            with mounted(root):
                drive(root)
        except (smoke.SmokeError, subprocess.CalledProcessError) as error:
            print(f"clean root: {error}", file=sys.stderr)
            return 1
    print(f"clean root: {options.package.name} answers a text, a picture and a video on {options.suite}, offline")
    return 0


def install(root: Path, suite: str, package: Path) -> None:
    """The smallest Debian, and the package with what it depends on. Raises `SmokeError`, `CalledProcessError`."""
    subprocess.run(["debootstrap", "--variant=minbase", suite, str(root)], stdout=subprocess.DEVNULL, check=True)
    shutil.copy(package, root / package.name)
    apt = ["chroot", str(root), "apt-get", "install", "--yes", "--no-install-recommends", f"/{package.name}"]
    began = time.monotonic()
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(apt, env=environment, stdout=subprocess.DEVNULL, check=True)
    print(f"clean root: installed after {time.monotonic() - began:.0f} s, with what it depends on", flush=True)
    (root / package.name).unlink()
    query = ["chroot", str(root), "dpkg-query", "--show", "--showformat", "${Package}\\n"]
    names = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
    unwanted = [name for name in names if UNWANTED.match(name)]
    if unwanted:
        raise smoke.SmokeError(f"the system is not clean: it has {', '.join(unwanted)}")


def drive(root: Path) -> None:
    """Asks in the terminal, then in the window. Raises `SmokeError`."""
    questions = smoke.questions(root / HOME)
    for question in questions:
        inside = question._replace(file=Path("/", HOME, question.file.name) if question.file else None)
        done = subprocess.run(
            _inside(root, "parley", *inside.arguments), capture_output=True, text=True, check=False, timeout=LIMIT
        )
        if done.returncode != 0:
            raise smoke.SmokeError(f"'{question.text}' ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
        print(f"clean root: {question.text} → {smoke.judge(inside, done.stdout)!r}, asked in the terminal", flush=True)
    with smoke.display(root / HOME) as (name, _):
        command = _inside(root, "parley", "open", display=name)
        with subprocess.Popen(command) as window:
            try:
                _type_into_the_window(root, name, questions)
                if window.poll() is not None:
                    raise smoke.SmokeError(f"the window ended with {window.returncode}")
            finally:
                window.terminate()


def _type_into_the_window(root: Path, display: str, questions: list[smoke.Question]) -> None:
    """Each question, its file handed over by a second start as the file manager's would be."""
    shown = _tool(display, "search", "--sync", "--onlyvisible", "--name", "Parley").split()[-1]
    _tool(display, "windowfocus", "--sync", shown)
    for number, question in enumerate(questions, start=1):
        if question.file:
            handing = _inside(root, "parley", "open", f"/{HOME}/{question.file.name}", display=display)
            subprocess.run(handing, check=True, timeout=LIMIT)
        _tool(display, "type", "--delay", "30", question.text)
        _tool(display, "key", "Return")
        said = _answer(root, number)
        lacking = [word for word in question.expected if word not in said.lower()]
        if lacking:
            raise smoke.SmokeError(f"in the window '{question.text}' was answered {said!r}")
        print(f"clean root: {question.text} → {said!r}, typed into the window", flush=True)


def _answer(root: Path, number: int) -> str:
    """The text of the answer with this number, once it is whole."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(_history(root)) as history:
            found = history.execute("SELECT text FROM message WHERE kind = 'answer' AND done ORDER BY id").fetchall()
            if len(found) >= number and found[number - 1][0]:
                return str(found[number - 1][0])
        time.sleep(0.1)
    raise smoke.SmokeError(f"the window's answer number {number} did not come within {LIMIT:.0f} s")


def _history(root: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{root / HISTORY}?mode=ro", uri=True)


def _tool(display: str, *words: str) -> str:
    environment = os.environ | {"DISPLAY": display}
    done = subprocess.run(
        ["xdotool", *words], env=environment, capture_output=True, text=True, check=False, timeout=LIMIT
    )
    if done.returncode != 0:
        raise smoke.SmokeError(f"xdotool {words[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _inside(root: Path, *command: str, display: str = "") -> list[str]:
    """The command line that runs `command` in the clean system, in a network of its own that leads nowhere."""
    environment = [f"HOME=/{HOME}", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", *([f"DISPLAY={display}"] if display else [])]
    return ["unshare", "--net", "chroot", str(root), "/usr/bin/env", "--ignore-environment", *environment, *command]


@contextlib.contextmanager
def mounted(root: Path) -> Iterator[None]:
    """/proc, /dev and the folder of the display's socket, as a running system has them."""
    sockets = Path("/tmp/.X11-unix")  # noqa: S108 - where every X server has them
    sockets.mkdir(mode=0o1777, exist_ok=True)
    (root / "tmp" / ".X11-unix").mkdir()
    places = [
        (["-t", "proc", "proc"], "proc"),
        (["--bind", "/dev"], "dev"),
        (["--bind", str(sockets)], "tmp/.X11-unix"),
    ]
    done: list[Path] = []
    try:
        for options, place in places:
            subprocess.run(["mount", *options, str(root / place)], check=True)
            done.append(root / place)
        yield
    finally:
        for mounted_on in reversed(done):
            subprocess.run(["umount", "--lazy", str(mounted_on)], check=False)


if __name__ == "__main__":
    sys.exit(main())

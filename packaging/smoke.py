"""Starts a frozen Parley the way a person's machine would, and asks it a text, a picture and a video.

Knows: the bundle's folder and `parley ask --json`. Does not know: any module of Parley, which is the point: it runs
in the environment that built the bundle, but the programs that it starts see an empty PATH and an empty home.

    python packaging/smoke.py dist/parley-cpu [--model DIR]

With `--model` only the shape of the answers is checked, not what they say. Exits with 0 when all is well.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

FIRST_PAINT_LIMIT = 60.0  # seconds; for a machine under load, the figure that counts is the one that is printed
ANSWER_LIMIT = 300.0
PAINTED = 0.1  # of the screen's bytes, which are black before


class SmokeError(Exception):
    """The bundle did something else than it should; the text says what."""


class Question(NamedTuple):
    """One thing to ask, the file to ask it about with its option in the terminal, words the answer must hold."""

    text: str
    option: str
    file: Path | None
    expected: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """How `parley` is asked it."""
        media = [self.option, str(self.file)] if self.file else []
        return ["ask", self.text, *media, "--json", "--max-tokens", "400", "--temperature", "0"]


def main() -> int:
    """Runs every check; returns the exit status."""
    parser = argparse.ArgumentParser(description="Check a frozen Parley.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--model", type=Path, help="ask this checkpoint instead of the demo model")
    options = parser.parse_args()
    bundle: Path = options.bundle.resolve()
    if not _program(bundle, "parley").is_file():
        print(
            f"smoke: there is no bundle in {bundle}; make it with `make bundle`, for the CPU with ENGINE=cpu",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="parley-smoke-") as scratch:
        home = Path(scratch)
        try:
            for question in questions(home):
                ask(bundle, home, question, options.model)
            draw_formula(bundle, home)
            if os.name == "nt":
                print("smoke: the window is not looked at on Windows, which has no display to read the pixels of")
            else:
                open_window(bundle, home)
            if (bundle / "_internal" / "gptqmodel").is_dir():
                load_with_gptqmodel(bundle, home, options.model)
        except SmokeError as error:
            print(f"smoke: {error}", file=sys.stderr)
            return 1
    print(f"smoke: {bundle.name} answers and opens its window ({_megabytes(bundle)} MB on disk)")
    return 0


def questions(folder: Path) -> list[Question]:
    """What every Parley can answer: a text, a picture and a video, whose files are made in `folder`."""
    picture, video = folder / "circle.png", folder / "left.mp4"
    draw_circle(picture)
    film_square_moving_left(video)
    return [
        Question("What is 37 + 48?", "", None, ("85",)),
        Question("What is in the picture?", "--image", picture, ("red", "circle")),
        Question("Which way does it move?", "--video", video, ("left",)),
    ]


def draw_circle(file: Path) -> None:
    """A red circle on white, 256 pixels square."""
    canvas = np.full((256, 256, 3), 255, np.uint8)
    cv2.circle(canvas, (128, 128), 70, (30, 30, 220), -1, cv2.LINE_AA)
    cv2.imwrite(str(file), canvas)


def film_square_moving_left(file: Path) -> None:
    """A blue square that crosses a white clip of three seconds from right to left."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 10, (256, 256))
    for step in range(30):
        frame = np.full((256, 256, 3), 255, np.uint8)
        x = 190 - 6 * step
        cv2.rectangle(frame, (x, 100), (x + 56, 156), (220, 60, 30), -1)
        writer.write(frame)
    writer.release()


def ask(bundle: Path, home: Path, question: Question, model: Path | None) -> None:
    """One `parley ask --json`, checked. Raises `SmokeError`."""
    command = [str(_program(bundle, "parley")), *question.arguments]
    command += ["--model", str(model)] if model else []
    began = time.monotonic()
    done = subprocess.run(
        command,
        env=_empty_environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=ANSWER_LIMIT,
        check=False,
    )
    if done.returncode != 0:
        raise SmokeError(f"'{question.text}' ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
    print(f"smoke: {question.text} → {judge(question, done.stdout, model)!r} after {time.monotonic() - began:.1f} s")


def judge(question: Question, said: str, model: Path | None = None) -> str:
    """The beginning of the answer in the JSON that was said, if it is right. Raises `SmokeError`."""
    result: dict[str, Any] = json.loads(said)
    if result["usage"]["prompt"] < 1 or result["reason"] not in ("end", "length"):
        raise SmokeError(f"'{question.text}' was answered oddly: {said[:500]}")
    lacking = [word for word in question.expected if word not in result["answer"].lower()]
    if lacking and model is None:
        raise SmokeError(
            f"'{question.text}' was answered {result['answer']!r}, which does not say {', '.join(lacking)}"
        )
    return str(result["answer"])[:80]


def draw_formula(bundle: Path, home: Path) -> None:
    """Has a formula drawn, which reads fonts and tables that lie beside the modules. Raises `SmokeError`."""
    command = {"type": "DrawFormula", "request": "1", "latex": r"\int_0^1 \frac{\alpha}{x^2}\,dx", "display": True}
    done = subprocess.run(
        [str(_program(bundle, "parley")), "--formulas"],
        input=json.dumps(command) + "\n",
        env=_empty_environment(home),
        capture_output=True,
        text=True,
        timeout=ANSWER_LIMIT,
        check=False,
    )
    if '"FormulaDrawn"' not in done.stdout:
        raise SmokeError(f"a formula was not drawn: {done.stdout[:300]} {done.stderr.strip()[-900:]}")
    print("smoke: a formula is drawn", flush=True)


def open_window(bundle: Path, home: Path) -> None:
    """Opens the window on a display of its own, waits for its first paint, and looks at what the process has mapped."""
    with display(home) as (name, screen):
        blank = np.fromfile(screen, np.uint8)
        began = time.monotonic()
        environment = _empty_environment(home) | {"DISPLAY": name, "QT_QPA_PLATFORM": "xcb"}
        with subprocess.Popen([str(bundle / "parley")], env=environment, cwd=home) as window:
            try:
                while np.count_nonzero(np.fromfile(screen, np.uint8) != blank) < PAINTED * blank.size:
                    if window.poll() is not None or time.monotonic() - began > FIRST_PAINT_LIMIT:
                        raise SmokeError(f"the window painted nothing and its process said {window.poll()}")
                    time.sleep(0.01)
                print(f"smoke: the window's first paint came after {time.monotonic() - began:.2f} s", flush=True)
                mapped = Path(f"/proc/{window.pid}/maps").read_text(encoding="utf-8")
            finally:
                window.terminate()
    strangers = [name for name in ("libtorch", "libc10", "/torch/", "/cv2", "/PIL/", "/numpy") if name in mapped]
    if strangers or "libQt6Gui" not in mapped:
        raise SmokeError(f"the window's process has mapped {strangers or 'no Qt'}")


def load_with_gptqmodel(bundle: Path, home: Path, model: Path | None) -> None:
    """Has the engine load through GPTQModel, whose imports nothing else in the bundle needs. Raises `SmokeError`."""
    folder = model or bundle / "_internal" / "resources" / "demo-model"
    load = {"type": "Load", "model": str(folder.resolve()), "device": "cpu", "backend": "gptqmodel"}
    began = time.monotonic()
    with subprocess.Popen(
        [str(_program(bundle, "parley-engine"))],
        env=_empty_environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as engine:
        if engine.stdin is None or engine.stdout is None:
            raise SmokeError("the engine has no pipes")
        print(json.dumps(load), file=engine.stdin, flush=True)
        messages = (json.loads(line) for line in engine.stdout)
        last = next((message for message in messages if message["type"] in ("Loaded", "Failed")), {"type": "nothing"})
    if last["type"] != "Loaded":
        raise SmokeError(f"GPTQModel did not load the model: {str(last)[:300]} … {str(last)[-900:]}")
    print(f"smoke: GPTQModel loaded the model after {time.monotonic() - began:.1f} s", flush=True)


@contextlib.contextmanager
def display(home: Path) -> Iterator[tuple[str, Path]]:
    """An X display without a screen: its name, and the file that holds its pixels."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1440x900x24", "-fbdir", str(home), "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        try:
            with os.fdopen(read) as answer:
                number = answer.readline().strip()
            if not number:
                raise SmokeError("Xvfb does not start; install the package xvfb")
            yield f":{number}", home / "Xvfb_screen0"
        finally:
            server.terminate()


def _empty_environment(home: Path) -> dict[str, str]:
    """What a program sees that was started from nowhere: no PATH, no Python, a home with nothing in it."""
    place = str(home)
    environment = {"PATH": "", "HOME": place, "PARLEY_HOME": str(home / "parley"), "LANG": "C.UTF-8", "TMPDIR": place}
    if os.name == "nt":  # without the first no program starts there
        environment |= {"SYSTEMROOT": os.environ["SYSTEMROOT"], "TEMP": place, "TMP": place, "LOCALAPPDATA": place}
    return environment


def _program(bundle: Path, name: str) -> Path:
    return bundle / (f"{name}.exe" if os.name == "nt" else name)


def _megabytes(folder: Path) -> int:
    files = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return sum(file.stat().st_size for file in files if not file.is_symlink()) // 10**6


if __name__ == "__main__":
    sys.exit(main())

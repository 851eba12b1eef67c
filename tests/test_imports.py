"""The arrows between Parley's programs point one way: shown on the source, and on each program as it really runs."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from app.protocol import (
    Decode,
    Decoded,
    DownloadFailed,
    Failed,
    Load,
    Loaded,
    Message,
    Refused,
    Verify,
    decode,
    encode,
)
from tests.media import corpus

ROOT = Path(__file__).resolve().parent.parent

HEAVY = {"torch", "torchvision", "transformers", "accelerate", "gptqmodel", "safetensors", "tokenizers"}
PIXELS = {"cv2", "PIL"}

# What a package and everything of ours that it imports, however deep in a function, must never import.
NEVER = {
    "app.ui": HEAVY | PIXELS | {"numpy", "ziamath", "app.engine", "app.media", "app.ask", "app.formulas"},
    "app.chat": HEAVY | PIXELS | {"PySide6", "app.ui", "app.engine", "app.media", "app.settings", "app.history"},
    "app.history": HEAVY | PIXELS | {"PySide6", "app.ui", "app.engine", "app.media", "app.ask", "app.settings"},
    "app.settings": HEAVY | PIXELS | {"app.ui", "app.engine", "app.media", "app.chat"},
    "app.ask": HEAVY | PIXELS | {"PySide6", "app.ui", "app.engine", "app.media", "app.settings"},
    "app.formulas": HEAVY | PIXELS | {"PySide6", "numpy", "app.ui", "app.engine", "app.media", "app.settings"},
    "app.inspect": HEAVY | PIXELS | {"PySide6", "app.ui", "app.engine", "app.media", "app.settings"},
    "app.engine": PIXELS | {"PySide6", "app.ui", "app.chat", "app.settings", "app.media", "app.ask"},
    "app.bench": PIXELS | {"PySide6", "app.ui", "app.chat", "app.settings", "app.media", "app.ask"},
    "app.download": HEAVY
    | PIXELS
    | {"PySide6", "numpy", "app.ui", "app.chat", "app.history", "app.media", "app.settings"},
    "app.models": HEAVY | PIXELS | {"PySide6", "app.ui", "app.chat", "app.engine", "app.media", "app.settings"},
    "app.connections": HEAVY | PIXELS | {"PySide6", "app.ui", "app.engine", "app.media", "app.settings"},
    "app.media": HEAVY | {"PySide6", "app.ui", "app.chat", "app.settings", "app.engine", "app.ask"},
}
STANDARD_LIBRARY_ONLY = ("app.protocol", "app.programs", "app.plan")


def test_no_arrow_between_the_programs_turns_round() -> None:
    wrong = [
        f"{package} reaches {name} through {module}"
        for package, forbidden in NEVER.items()
        for module, name in _reached(package)
        if _within(name, forbidden)
    ]
    assert wrong == []


@pytest.mark.parametrize("module", STANDARD_LIBRARY_ONLY)
def test_what_everybody_imports_needs_nothing_but_python(module: str) -> None:
    foreign = [name for _, name in _reached(module) if name.split(".")[0] not in sys.stdlib_module_names | {"app"}]
    assert foreign == []


def test_the_contracts_name_real_packages() -> None:
    missing = [name for name in (*NEVER, *STANDARD_LIBRARY_ONLY) if not list(_modules_below(name))]
    assert missing == []


def test_a_turned_arrow_would_be_seen() -> None:
    reached = {name for _, name in _reached("app.engine")}
    assert "app.protocol" in reached
    assert "torch" in {name.split(".")[0] for name in reached}
    assert _within("torch.nn", {"torch"})
    assert not _within("torchvision", {"torch"})


def _within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def _reached(start: str) -> Iterator[tuple[str, str]]:
    """Every import of `start` and of the modules of ours that it leads to, as (importing module, imported name)."""
    waiting = list(_modules_below(start))
    seen = set(waiting)
    while waiting:
        module = waiting.pop()
        for name in _imports(module):
            yield module, name
            if name not in seen and _file_of(name):
                seen.add(name)
                waiting.append(name)


def _modules_below(package: str) -> Iterator[str]:
    folder = ROOT / package.replace(".", "/")
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    for file in files:
        if file.is_file():
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _file_of(module: str) -> Path | None:
    if module.split(".", maxsplit=1)[0] != "app":
        return None
    path = ROOT / module.replace(".", "/")
    found = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return found[0] if found else None


@cache
def _imports(module: str) -> tuple[str, ...]:
    """What a module of ours imports by name, including `from package import module` and imports inside functions."""
    file = _file_of(module)
    assert file is not None
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names.append(node.module or "")
            names += [f"{node.module}.{alias.name}" for alias in node.names if _file_of(f"{node.module}.{alias.name}")]
    return tuple(names)


# ---- the programs as they run ----

# Runs a program of ours unchanged and, when it ends, writes down what it had imported: a library may import what no
# source of ours names. The engine ends with `os._exit`, which skips everything that is registered for the end. Two
# threads may end a program at once, so each writes a file of its own and puts it into its place whole.
WITNESS = """
import atexit, os, runpy, sys, threading
out, module, *arguments = sys.argv[1:]
def write():
    part = f"{out}.{threading.get_ident()}"
    with open(part, "w") as file:
        file.write("\\n".join(list(sys.modules)))
    os.replace(part, out)
def leave(status, end=os._exit):
    write()
    end(status)
os._exit = leave
atexit.register(write)
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""

# Put before it for the window: closes it after its first paint.
ONE_LOOK = """
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication
class Look(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint:
            QTimer.singleShot(0, QApplication.quit)
        return False
def until_painted(app, run=QApplication.exec):
    look = Look()
    app.installEventFilter(look)
    return run()
QApplication.exec = until_painted
"""


def test_the_window_holds_neither_torch_nor_a_decoder(tmp_path: Path) -> None:
    out = tmp_path / "modules.txt"
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "PARLEY_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", ONE_LOOK + WITNESS, str(out), "app"]
    subprocess.run(command, cwd=ROOT, env=environment, timeout=60, check=True)
    held = set(out.read_text().splitlines())
    assert {"PySide6.QtWidgets", "app.ui.main_window"} <= held
    assert held.isdisjoint(HEAVY | PIXELS | {"numpy", "app.engine", "app.media"})


def test_asking_in_the_terminal_holds_neither_qt_nor_torch(tmp_path: Path) -> None:
    out = tmp_path / "modules.txt"
    command = [sys.executable, "-c", WITNESS, str(out), "app", "ask", "Hello", "--image", str(tmp_path / "absent.png")]
    environment = os.environ | {"PARLEY_HOME": str(tmp_path / "home")}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False)
    held = set(out.read_text().splitlines())
    assert "app.ask.command" in held
    assert held.isdisjoint(HEAVY | PIXELS | {"PySide6", "numpy", "app.ui", "app.engine", "app.media"})


def test_the_engine_holds_no_qt_with_a_model_loaded(tmp_path: Path) -> None:
    from tests import checkpoints

    checkpoints.dense(tmp_path / "model")
    held = _held_by("app.engine", [], Load(str(tmp_path / "model"), device="cpu"), Loaded | Failed, tmp_path)
    assert {"torch", "app.engine.model"} <= held
    assert held.isdisjoint({"PySide6", "cv2", "PIL", "transformers", "gptqmodel"})
    assert not any(_within(name, {"app.ui", "app.chat", "app.settings", "app.media"}) for name in held)


def test_the_decoder_holds_neither_torch_nor_qt(tmp_path: Path) -> None:
    clip = corpus.save_clip(tmp_path / "clip.mp4", corpus.numbered(4), fps=2)
    job = Decode("1", str(clip), str(tmp_path / "decoded"))
    parent = _held_by("app.media", [], job, Decoded | Refused, tmp_path)
    afresh = replace(job, into=str(tmp_path / "again"))  # what is decoded already would not be decoded again
    child = _held_by("app.media", ["--job"], afresh, Decoded | Refused, tmp_path)
    assert parent.isdisjoint(HEAVY | PIXELS | {"PySide6", "numpy"})
    assert "cv2" in child
    assert child.isdisjoint(HEAVY | {"PySide6"})


def test_the_downloader_holds_neither_torch_nor_qt(tmp_path: Path) -> None:
    held = _held_by("app.download", [], Verify("1", str(tmp_path)), DownloadFailed, tmp_path)
    assert "app.download.fetch" in held
    assert held.isdisjoint(HEAVY | PIXELS | {"PySide6", "numpy", "app.engine.model", "app.ui", "app.media"})


def _held_by(program: str, arguments: list[str], said: Message, answer: object, tmp_path: Path) -> set[str]:
    """The modules that `program` holds after it was told `said` and has answered with one of the kinds `answer`."""
    out = tmp_path / "modules.txt"
    command = [sys.executable, "-c", WITNESS, str(out), program, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode(said))
        process.stdin.flush()
        lines = (decode(line) for line in process.stdout)
        answered = next((message for message in lines if isinstance(message, answer)), None)  # type: ignore[arg-type]
        process.stdin.close()
        process.wait(timeout=60)
    assert answered is not None
    assert not isinstance(answered, Failed | Refused), answered
    return set(out.read_text().splitlines())


# ---- rules that are cheap to check ----


def test_nothing_is_left_for_later_and_no_machine_is_named() -> None:
    # Spelt in halves, so that this file does not find itself.
    never = [
        "TO" + "DO",
        "FIX" + "ME",
        "NotImplemented" + "Error",
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "/work" + "/",
        "/tm" + "p/boot",
    ]
    folders = [ROOT / name for name in ("app", "packaging", "tests")]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    files += [ROOT / name for name in ("Makefile", "installer.spec", "pyproject.toml", *_pins())]
    found = [f"{file.relative_to(ROOT)}: {word}" for file in files for word in never if word in file.read_text("utf-8")]
    assert found == []


def test_the_small_bundle_freezes_the_versions_that_are_tested() -> None:
    tested = _versions(ROOT / "requirements-dev.txt")
    bundled = _versions(ROOT / "packaging" / "requirements-bundle-cpu.txt")
    bundled.pop("torch")  # its newest CPU build that plain pip can be given; see the head of that file
    assert {name for name, (version,) in bundled.items() if version not in tested.get(name, ())} == set()


def test_both_pinned_sets_agree() -> None:
    runtime, dev = _versions(ROOT / "requirements.txt"), _versions(ROOT / "requirements-dev.txt")
    assert {name: version for name, version in runtime.items() if dev.get(name) != version} == {}


def _pins() -> list[str]:
    return sorted(
        str(file.relative_to(ROOT))
        for folder in (ROOT, ROOT / "packaging")
        for file in folder.glob("requirements*.txt")
    )


def _versions(file: Path) -> dict[str, tuple[str, ...]]:
    """Each pinned package and its versions: some have one for each Python."""
    versions: dict[str, tuple[str, ...]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = line.split(";")[0].strip().split("==")
            versions[name] = (*versions.get(name, ()), version)
    return versions

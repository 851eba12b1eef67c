"""The real window with the real engine and decoder behind it, in a home of its own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app import paths, presets
from app.programs import program
from app.ui.application import Face, prepare
from tests.end2end.person import Person

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
PICTURES = Path(os.environ.get("PARLEY_SCREENSHOTS", Path(__file__).resolve().parents[2] / "build" / "screenshots"))


@pytest.fixture(scope="session")
def application() -> QApplication:
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(["parley"])
    prepare(app)
    return app


@pytest.fixture
def person(application: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """Somebody in front of a window that has just been opened for the first time."""
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(presets, "DEMO", presets.DIRECT_GREEDY)  # what is tested is the window, not the dice
    assert paths.data_dir().is_relative_to(tmp_path)
    person = Person(_opened(application), PICTURES)
    yield person
    _closed(person.face)


@pytest.fixture
def opens_again(application: QApplication, person: Person) -> Callable[[], None]:
    """Closes the window and opens a new one."""

    def again() -> None:
        _closed(person.face)
        person.sits_before(_opened(application))

    return again


def _opened(application: QApplication) -> Face:
    face = Face(application, program("engine"), program("decoder"))
    face.show()
    face.window.activateWindow()
    assert QTest.qWaitForWindowActive(face.window), "keys reach the window that is in front"
    return face


def _closed(face: Face) -> None:
    face.close()
    face.window.close()
    face.window.deleteLater()
    face.deleteLater()

"""A window on the offscreen screen, driven by the fake engine. A message of Qt's or a fault in a slot fails it."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import (
    QCoreApplication,
    QEvent,
    QEventLoop,
    QMessageLogContext,
    QMimeData,
    QPoint,
    Qt,
    QTimer,
    QtMsgType,
    QUrl,
    qInstallMessageHandler,
)
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication

from app import settings
from app.programs import Program
from app.settings import Settings
from app.ui.application import Face, prepare
from app.ui.main_window import MainWindow
from tests.download.hub import Hub, running, tiny

ROOT = str(Path(__file__).resolve().parents[2])
PATIENCE_MS = 10_000
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# The offscreen screen has no native style to ask; this is what it says about that, once.
HARMLESS = ("This plugin does not support", "QObject::connect: No such signal QPlatformNativeInterface::systemTray")

WEIGHTS = "model.safetensors"
FaceMaker = Callable[..., Face]


def fake(module: str, *arguments: str) -> Program:
    """The command line of one of the fakes."""
    return Program([sys.executable, "-m", f"tests.ui.{module}", *arguments], ROOT)


def until(reached: Callable[[], object], what: str = "", patience_ms: int = PATIENCE_MS) -> None:
    """Run the event loop until something is so; fail if it does not come to that."""
    loop = QEventLoop()
    look, late = QTimer(), QTimer()
    look.timeout.connect(lambda: loop.quit() if reached() else None)
    late.setSingleShot(True)
    late.timeout.connect(loop.quit)
    look.start(5)
    late.start(patience_ms)
    if not reached():
        loop.exec()
    look.stop()
    assert reached(), f"not reached: {what or reached}"


def drop(window: MainWindow, mime: QMimeData) -> str:
    """Drag something over the window and let it fall; what the window said while it hovered."""
    action, button, keys = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(300, 300), action, mime, button, keys)
    QCoreApplication.sendEvent(window, enter)
    said = window.overlay.accessibleName() if window.overlay.isVisible() else ""
    if enter.isAccepted():
        QCoreApplication.sendEvent(window, QDropEvent(QPoint(300, 300), action, mime, button, keys))
    assert not window.overlay.isVisible()
    return said


def files(*paths: Path) -> QMimeData:
    """What a file manager offers."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def ask(window: MainWindow, text: str) -> None:
    """Write a message and send it as the person does."""
    window.composer.set_text(text)
    window.composer.send.click()


@pytest.fixture(scope="session")
def app() -> QApplication:
    application = QApplication.instance() or QApplication([])
    assert isinstance(application, QApplication)
    prepare(application)
    return application


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "parley"))
    # The page of the first start would lie over what is tested, and titles would come whenever a test takes long.
    settings.save(replace(Settings(), welcomed=True, titles=False))
    return tmp_path / "parley"


@pytest.fixture(autouse=True)
def _no_messages_of_qt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    heard: list[str] = []

    def hear(_kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
        if not message.startswith(HARMLESS):
            heard.append(message)

    def fell(kind: type[BaseException], error: BaseException, _trace: object) -> None:
        heard.append(f"{kind.__name__} in a slot: {error}")

    before = qInstallMessageHandler(hear)
    monkeypatch.setattr(sys, "excepthook", fell)
    yield
    qInstallMessageHandler(before)
    assert heard == []


@pytest.fixture
def new_face(app: QApplication) -> Iterator[FaceMaker]:
    """Makes windows; `engine` are arguments of the fake engine, `silence_ms` what counts as a hang."""
    faces: list[Face] = []

    def make(*engine: str, silence_ms: int = 10_000, start: bool = True, alone: bool = True) -> Face:
        face = Face(app, fake("fake_engine", *engine), fake("fake_decoder"), silence_ms, alone=alone)
        faces.append(face)
        if start:
            face.show()
        return face

    yield make
    for face in faces:
        face.close()
        face.window.close()
        face.window.deleteLater()
        face.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def face(new_face: FaceMaker) -> Face:
    """A window whose model is loaded."""
    made = new_face()
    until(lambda: made.ready, "the model is loaded")
    return made


@pytest.fixture
def window(face: Face) -> MainWindow:
    return face.window


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine with one small model, and no proxy before it."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "HF_TOKEN":
            monkeypatch.delenv(name)
    with running(tiny({WEIGHTS: bytes(range(256)) * 12 * 2**10})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub

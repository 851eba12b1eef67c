"""Pictures of the window in every state worth looking at, for the README and for whoever changes the look.

    python -m tests.ui.screenshots FOLDER [STATE …]

The fake engine and the fake decoder stand behind the window, so that a picture takes a moment and no model; the states
whose names begin with "window" are taken only when named, with the real ones and the demo model. `QT_SCALE_FACTOR` sets
another scaling; without a display the pictures are taken offscreen.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEventLoop, QPoint, Qt, QTimer
from PySide6.QtGui import QColor, QDragEnterEvent, QImage, QPainter
from PySide6.QtWidgets import QApplication

from app.programs import program
from app.ui.application import Face, prepare
from tests.ui.conftest import ask, fake, files, until

WIDE, NARROW, SMALL = (1360, 860), (720, 860), (560, 760)


def wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


class Studio:
    """Makes windows and pictures of them."""

    def __init__(self, app: QApplication, folder: Path, media: Path) -> None:
        self.app = app
        self.folder = folder
        self.clip, self.picture = media / "ramp.mp4", media / "desk.jpg"
        for file in (self.clip, self.picture, media / "bad notes.png"):
            file.write_bytes(b"the fake decoder does not look")
        self.bad = media / "bad notes.png"

    def face(self, theme: str, size: tuple[int, int], *engine: str) -> Face:
        face = Face(self.app, fake("fake_engine", *engine), fake("fake_decoder"))
        face.window.resize(*size)
        face.show()
        face.window.header.menu.setting_chosen.emit("theme", theme)
        wait(50)
        return face

    def ready(self, theme: str = "light", size: tuple[int, int] = WIDE, pace: str = "0.0002") -> Face:
        face = self.face(theme, size, "--pace", pace)
        until(lambda: face.ready)
        return face

    def attach(self, face: Face, *paths: Path) -> None:
        face.session.draft.add_files([str(path) for path in paths])
        until(lambda: not face.session.draft.pending)
        wait(500)

    def answered(self, face: Face, text: str, patience_ms: int = 10_000) -> None:
        ask(face.window, text)
        until(lambda: not face.session.running(face.session.current), text, patience_ms)
        wait(150)

    def ramp(self, theme: str, size: tuple[int, int]) -> Face:
        """The conversation of the drawings in the design."""
        face = self.ready(theme, size)
        for earlier in ("x² · sin(x), step by step", "发票里的金额是多少?", "רעיונות לטיול בצפון"):
            self.answered(face, earlier)
            face.session.new_conversation()
        self.attach(face, self.clip)
        self.answered(face, "What happens in this clip, and how fast is the ball? Show the code")
        self.attach(face, self.picture)
        return face

    def real(self, theme: str, size: tuple[int, int]) -> Face:
        """The demo model: a sum, then a picture that is drawn here and a table."""
        face = Face(self.app, program("engine"), program("decoder"))
        face.window.resize(*size)
        face.show()
        face.window.header.menu.setting_chosen.emit("theme", theme)
        until(lambda: face.ready, "the demo model is loaded", 60_000)
        self.answered(face, "What is 37 + 48?", 60_000)
        face.session.new_conversation()
        picture = QImage(320, 220, QImage.Format.Format_RGB32)
        picture.fill(QColor("#f4f1ea"))
        painter = QPainter(picture)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#d62828"))
        painter.drawEllipse(QPoint(160, 110), 60, 60)
        painter.end()
        file = self.picture.with_name("shape.png")
        picture.save(str(file))
        self.attach(face, file)
        self.answered(face, "What is in the picture?", 60_000)
        self.answered(face, "Write a short table", 60_000)
        return face

    def take(self, face: Face, name: str) -> None:
        wait(150)
        face.window.grab().save(str(self.folder / f"{name}.png"))
        face.close()
        face.window.close()


def light(studio: Studio) -> Face:
    return studio.ramp("light", WIDE)


def dark(studio: Studio) -> Face:
    return studio.ramp("dark", WIDE)


def narrow(studio: Studio) -> Face:
    return studio.ramp("light", NARROW)


def small_drawer(studio: Studio) -> Face:
    face = studio.ramp("dark", SMALL)
    face.window.shell.drawer.toggle()
    return face


def narrow_unfolded(studio: Studio) -> Face:
    face = studio.ramp("dark", NARROW)
    face.window.thinking_line.unfold()
    return face


def empty(studio: Studio) -> Face:
    face = studio.face("light", WIDE, "--demo")
    until(lambda: face.ready)
    return face


def empty_dark(studio: Studio) -> Face:
    return studio.ready("dark", SMALL)


def loading(studio: Studio) -> Face:
    face = studio.face("light", WIDE, "--loading")
    wait(400)
    return face


def waiting(studio: Studio) -> Face:
    face = studio.face("dark", WIDE, "--loading")
    wait(300)
    ask(face.window, "What is 37 + 48?")
    return face


def no_model(studio: Studio) -> Face:
    face = studio.face("light", WIDE, "--no-model")
    wait(400)
    return face


def reading(studio: Studio) -> Face:
    face = studio.ready(pace="0.01")
    studio.attach(face, studio.picture)
    ask(face.window, "Now read it all, slowly")
    wait(2600)
    return face


def thinking(studio: Studio) -> Face:
    face = studio.ready("dark", pace="0.03")
    ask(face.window, "What happens in this clip?")
    wait(2500)
    return face


def answering(studio: Studio) -> Face:
    face = studio.ready(pace="0.002")
    ask(face.window, "a long story")
    wait(1500)
    return face


def stopped(studio: Studio) -> Face:
    face = answering(studio)
    face.session.stop()
    until(lambda: not face.session.running(face.session.current))
    return face


def dead(studio: Studio) -> Face:
    face = studio.ready()
    studio.answered(face, "crash please")
    wait(200)
    return face


def refused(studio: Studio) -> Face:
    face = studio.ready()
    studio.attach(face, studio.picture, studio.bad, studio.clip)
    return face


def markdown(studio: Studio) -> Face:
    face = studio.ready()
    studio.answered(face, "Make a list")
    return face


def dragged(studio: Studio) -> Face:
    face = studio.ramp("light", WIDE)
    mime = files(studio.picture, studio.clip)  # the event does not keep it alive
    event = QDragEnterEvent(
        QPoint(300, 300),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QCoreApplication.sendEvent(face.window, event)
    return face


def slow_path(studio: Studio) -> Face:
    face = studio.face("light", WIDE, "--slow")
    until(lambda: face.ready)
    return face


def window_light(studio: Studio) -> Face:
    return studio.real("light", WIDE)


def window_dark(studio: Studio) -> Face:
    return studio.real("dark", WIDE)


def window_narrow(studio: Studio) -> Face:
    return studio.real("light", NARROW)


STATES: tuple[Callable[[Studio], Face], ...] = (
    light,
    dark,
    narrow,
    narrow_unfolded,
    small_drawer,
    empty,
    empty_dark,
    loading,
    waiting,
    no_model,
    reading,
    thinking,
    answering,
    stopped,
    dead,
    refused,
    markdown,
    dragged,
    slow_path,
)
REAL: tuple[Callable[[Studio], Face], ...] = (window_light, window_dark, window_narrow)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[2:]
    app = QApplication([])
    prepare(app)
    for state in (*STATES, *REAL):
        if state.__name__ not in wanted and (wanted or state in REAL):
            continue
        with tempfile.TemporaryDirectory() as home:
            os.environ["PARLEY_HOME"] = str(Path(home) / "home")
            studio = Studio(app, folder, Path(home))
            studio.take(state(studio), state.__name__)


if __name__ == "__main__":
    main()

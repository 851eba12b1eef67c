"""What a person does in front of the window: types, drops files, presses keys, waits and reads."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop, QMimeData, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.chat.conversation import Answer, Question
from app.ui.application import Face
from app.ui.state import Ready

LOOK_MS = 20


class Person:
    """Drives one window and reads what it shows. Every wait ends with an error that says what was waited for."""

    def __init__(self, face: Face, pictures: Path) -> None:
        self.pictures = pictures
        self.sits_before(face)

    def sits_before(self, face: Face) -> None:
        """Look at this window from now on."""
        self.face, self.window, self.session = face, face.window, face.session

    def waits(self, what: str, seen: Callable[[], bool], seconds: float = 60.0) -> None:
        """Let the window live until something is seen."""
        loop, look, patience = QEventLoop(), QTimer(), QTimer()
        look.setInterval(LOOK_MS)

        def glance() -> None:
            if seen():
                loop.exit(0)

        def give_up() -> None:
            loop.exit(1)

        look.timeout.connect(glance)
        patience.setSingleShot(True)
        patience.timeout.connect(give_up)
        look.start()
        patience.start(int(seconds * 1000))
        if loop.exec() and not seen():
            raise AssertionError(
                f"waited {seconds:.0f} s in vain: {what}; the window says {self.notice()!r} and is {self.session.state}"
            )

    def waits_for_the_model(self) -> None:
        """Until a question would be answered at once."""
        self.waits("the model is ready", self.is_ready)

    def is_ready(self) -> bool:
        """Whether the model waits for a question."""
        return isinstance(self.session.state, Ready)

    def types(self, text: str, *, send: bool = True) -> None:
        """Write into the composer, key by key, and press Enter."""
        QTest.keyClicks(self.window.composer.edit, text)
        if send:
            QTest.keyClick(self.window.composer.edit, Qt.Key.Key_Return)

    def drops(self, *files: Path) -> None:
        """Drag files over the window and let go; returns once the decoder has answered for all of them."""
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(file)) for file in files])
        left, none, copy = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.DropAction.CopyAction
        middle = self.window.rect().center()
        QApplication.sendEvent(self.window, QDragEnterEvent(middle, copy, mime, left, none))
        QApplication.sendEvent(self.window, QDropEvent(QPointF(middle), copy, mime, left, none))
        self.waits("the files are decoded", self._nothing_pending, 30)

    def _nothing_pending(self) -> bool:
        return not self.session.draft.pending

    def begins_a_conversation(self) -> None:
        """Press Ctrl+N."""
        QTest.keyClick(self.window.composer.edit, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)

    def presses(self, key: Qt.Key) -> None:
        """Press a key in the composer."""
        QTest.keyClick(self.window.composer.edit, key)

    def answer(self) -> Answer:
        """The newest answer of the shown conversation, as far as it has come."""
        answer = self.session.current.last_answer()
        if answer is None:
            raise AssertionError("the conversation has no answer")
        return answer

    def question(self) -> Question:
        """The newest question of the shown conversation."""
        return self.session.current.question_of(self.answer())

    def reads(self, seconds: float = 90.0) -> Answer:
        """Wait until the newest answer is over; return it."""
        self.waits("the answer is over", self._is_over, seconds)
        return self.answer()

    def _is_over(self) -> bool:
        return self.answer().over

    def notice(self) -> str:
        """The sentence of the notice, empty if none is shown."""
        notice = self.window.notice
        return notice.sentence.text() if notice.isVisible() else ""

    def photographs(self, name: str) -> None:
        """Keep a picture of the window as it is."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        QApplication.processEvents()
        assert self.window.grab().save(str(self.pictures / f"{name}.png"))

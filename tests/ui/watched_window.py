"""A window with the fake engine that asks for a long story and says how much of it is painted; to be killed.

python -m tests.ui.watched_window
"""

import os
import sys

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QApplication

from app.chat.conversation import Answer
from app.ui.application import Face, prepare
from tests.ui.conftest import ask, fake, until


@Slot(object)
def _on_painted(answer: Answer) -> None:
    os.write(1, b"%d %d\n" % (len(answer.thinking), len(answer.text)))


def main() -> None:
    app = QApplication(sys.argv[:1])
    prepare(app)
    face = Face(app, fake("fake_engine", "--pace", "0.001"), fake("fake_decoder"))
    face.session.answer_changed.connect(_on_painted)  # after the window's own slot: it is painted by now
    face.show()
    until(lambda: face.ready)
    ask(face.window, "a long story")
    app.exec()


if __name__ == "__main__":
    main()

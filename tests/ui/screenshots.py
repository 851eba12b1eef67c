"""Pictures of the window in every state worth looking at, for the README and for whoever changes the look.

    python -m tests.ui.screenshots FOLDER [STATE …]

The fake engine and the fake decoder stand behind the window, so that a picture takes a moment and no model; the states
whose names begin with "window" are taken only when named, with the real ones and the demo model. `QT_SCALE_FACTOR` sets
another scaling; without a display the pictures are taken offscreen.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEventLoop, QPoint, Qt, QTimer
from PySide6.QtGui import QColor, QDragEnterEvent, QImage, QPainter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app import settings
from app.chat.conversation import Conversation, Question
from app.history.jobs import folder
from app.history.store import Store, Summary
from app.programs import program
from app.protocol import Timings, Usage
from app.settings import Settings
from app.ui.answer import AnswerView
from app.ui.application import Face, prepare
from app.ui.keys_dialog import KeysDialog
from app.ui.trash_dialog import TrashDialog
from app.ui.user_message import UserMessage
from tests.ui.conftest import ask, fake, files, until
from tests.ui.fake_engine import LIST, SENTENCE, THINKING

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
        face.window.preferences.change(theme=theme)
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
        face.window.preferences.change(theme=theme)
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


def thinking_narrow(studio: Studio) -> Face:
    face = studio.ready("dark", SMALL, pace="0.03")
    face.window.composer.budget.chosen.emit(8192)
    ask(face.window, "What happens in this clip?")
    wait(2500)
    face.window.thinking_line.now.click()
    return face


def circles(studio: Studio) -> Face:
    face = studio.ready("light", NARROW, pace="0.002")
    ask(face.window, "circles please")
    until(face.window.notice.isVisible)
    return face


def filled(studio: Studio, theme: str, size: tuple[int, int]) -> Face:
    """Four turns, the last of which fills the context."""
    face = studio.ready(theme, size)
    for text in ("A huge text, make a list", "And a huge one more", "A huge third", "Now fill it"):
        studio.answered(face, text)
    wait(300)
    return face


def full(studio: Studio) -> Face:
    return filled(studio, "light", WIDE)


def full_small(studio: Studio) -> Face:
    return filled(studio, "dark", SMALL)


def left_out(studio: Studio) -> Face:
    face = filled(studio, "light", WIDE)
    face.window.notice.button.click()
    return _at_the_mark(face)


def summarized(studio: Studio) -> Face:
    face = filled(studio, "dark", WIDE)
    face.window.notice.other.click()
    return _at_the_mark(face)


def summarized_small(studio: Studio) -> Face:
    face = filled(studio, "light", SMALL)
    face.window.notice.other.click()
    return _at_the_mark(face)


def _at_the_mark(face: Face) -> Face:
    until(lambda: any(question.memory is not None for question in questions_of(face)))
    until(lambda: not face.session.running(face.session.current))
    mark = next(question for question in questions_of(face) if question.memory is not None)
    face.window.transcript.reveal(mark.key, 400)
    wait(300)
    return face


def questions_of(face: Face) -> list[Question]:
    return [node for node in face.session.current.path() if isinstance(node, Question)]


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


PAST = (
    ("Thesis: chapter 3 notes", 40),
    ("What is a good way to store dried mushrooms?", 0),
    ("x² · sin(x), step by step", 0),
    ("Why is the build red?", 0),
    ("发票里的金额是多少?", 1),
    ("רעיונות לטיול בצפון", 1),
    ("Recipe from the photo", 3),
    ("Names for a small black cat that sleeps all day and does not want to be called Shadow", 12),
    ("Letter to the landlord", 400),
)


def lived_in(studio: Studio, theme: str, size: tuple[int, int]) -> Face:
    """A window that was used for a while."""
    with closing(Store(folder())) as store:
        for title, days in reversed(PAST):
            conversation = Conversation()
            for turn in range(12):
                question = title if not turn else f"And what about the lamp, part {turn}?"
                answer = conversation.ask(question, (), thinking=True)
                answer.text, answer.thinking = LIST if turn % 3 == 2 else SENTENCE * 3, THINKING
                answer.stage, answer.ending = "over", "end"
                answer.thinking_from, answer.thinking_until, answer.thinking_tokens = 0.0, 12.0, 1340
                answer.usage, answer.timings = Usage(45_620, 41_200, 1340, 210), Timings(0.0, 0.24, 61.2)
            store.put(conversation)
            at = time.time() - days * 86_400
            store.place(Summary(conversation.key, "", days == 40, at))
    face = studio.ready(theme, size)
    face.session.open(face.library.summaries[1].key)
    wait(300)
    return face


def history(studio: Studio) -> Face:
    return lived_in(studio, "light", WIDE)


def history_dark(studio: Studio) -> Face:
    return lived_in(studio, "dark", WIDE)


def history_small(studio: Studio) -> Face:
    return lived_in(studio, "light", SMALL)


def history_drawer(studio: Studio) -> Face:
    face = lived_in(studio, "dark", SMALL)
    face.window.shell.drawer.toggle()
    return face


def looked_for(face: Face, words: str) -> Face:
    face.window.shelf.open_search()
    face.window.shelf.panel.edit.setText(words)
    until(face.window.shelf.panel.list.count)
    return face


def search(studio: Studio) -> Face:
    return looked_for(lived_in(studio, "light", WIDE), "lamp hill")


def search_dark(studio: Studio) -> Face:
    return looked_for(lived_in(studio, "dark", SMALL), "sin 步 mushrooms"[:4])


def found(studio: Studio) -> Face:
    face = search(studio)
    face.window.shelf.panel.list.setCurrentRow(4)
    face.window.shelf.panel.edit.setFocus()
    QTest.keyClick(face.window.shelf.panel.edit, Qt.Key.Key_Return)
    wait(400)
    return face


def found_small(studio: Studio) -> Face:
    face = looked_for(lived_in(studio, "light", SMALL), "lamp part 5")
    QTest.keyClick(face.window.shelf.panel.edit, Qt.Key.Key_Return)
    wait(400)
    return face


def editing(studio: Studio) -> Face:
    face = lived_in(studio, "light", WIDE)
    view = face.window.transcript.view_of(face.session.current.path()[-2].key)
    assert isinstance(view, UserMessage)
    view.edit.click()
    return face


def editing_answer(studio: Studio) -> Face:
    face = lived_in(studio, "dark", SMALL)
    view = face.window.transcript.view_of(face.session.current.path()[-1].key)
    assert isinstance(view, AnswerView)
    view.foot.edit.click()
    return face


def trashed(studio: Studio) -> Face:
    face = lived_in(studio, "light", WIDE)
    face.window.sidebar.list.trash_requested.emit(face.library.summaries[1].key)
    return face


def trash(studio: Studio) -> Face:
    face = lived_in(studio, "dark", WIDE)
    for summary in face.library.summaries[2:5]:
        face.library.trash(summary.key)
    face.window.shelf.open_trash()
    dialog = face.window.findChild(TrashDialog)
    assert dialog is not None
    dialog.list.setCurrentRow(1)
    wait(200)
    dialog.grab().save(str(studio.folder / "trash_dialog.png"))
    return face


RICH = """## Formulas, notes, tasks

The roots are $x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$, which costs neither $5 nor $10.[^1] In general

\\[
\\sum_{i=1}^{n} i^2 = \\frac{n(n+1)(2n+1)}{6}
\\]

- [x] read the **question**
- [ ] answer it:
  1. nested, with code

     ```python
     def total(values: list[int]) -> int:
         return sum(values)  # evil\u202e here
     ```
  2. and on
     - deeper

> A quotation with a [link](https://example.org/), and $E = mc^2$.

עברית היא שפה שנכתבת מימין לשמאל (RTL), 中文与日本語, emoji 👩‍🔬 🎉.

| a column | another | of numbers | and | more | than | fit | beside | each | other | in | a | small | window |
|---|---|---:|---|---|---|---|---|---|---|---|---|---|---|
| one of the rows | with words | 1,024 | x | y | z | $a_1$ | b | c | d | e | f | g | the end |
| two | more | 7 | x | y | z | $a_2$ | b | c | d | e | f | g | of it |

[^1]: A footnote stays where it was written.
"""


def rich(studio: Studio, theme: str = "light", size: tuple[int, int] = WIDE) -> Face:
    with closing(Store(folder())) as store:
        conversation = Conversation()
        answer = conversation.ask("Show me everything", (), thinking=False)
        answer.text, answer.stage, answer.ending = RICH, "over", "end"
        store.put(conversation)
    face = studio.ready(theme, size)
    face.session.open(conversation.key)
    wait(2_500)
    face.window.transcript.area.verticalScrollBar().setValue(60)
    return face


def rich_dark(studio: Studio) -> Face:
    return rich(studio, "dark")


def rich_small(studio: Studio) -> Face:
    return rich(studio, "light", SMALL)


def slow_path(studio: Studio) -> Face:
    face = studio.face("light", WIDE, "--slow")
    until(lambda: face.ready)
    return face


def chosen(studio: Studio, theme: str, size: tuple[int, int], section: str) -> Face:
    """The settings over the window, as its screen would show them, at a section."""
    face = studio.ready(theme, size)
    face.window.preferences.open_settings(section)
    dialog = face.window.preferences.dialog
    assert dialog is not None
    wait(200)
    dialog.grab().save(str(studio.folder / f"settings_{theme}_{size[0]}.png"))
    return face


def settings_wide(studio: Studio) -> Face:
    return chosen(studio, "light", WIDE, "Look")


def settings_small(studio: Studio) -> Face:
    return chosen(studio, "dark", SMALL, "Keys")


def keys(studio: Studio) -> Face:
    face = studio.ready()
    face.window.deeds.open_keys()
    wait(100)
    (dialog,) = face.window.findChildren(KeysDialog)
    dialog.grab().save(str(studio.folder / "keys_dialog.png"))
    return face


def larger(studio: Studio) -> Face:
    face = studio.ramp("light", SMALL)
    face.window.preferences.change(font_size=20)
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
    thinking_narrow,
    circles,
    full,
    full_small,
    left_out,
    summarized,
    summarized_small,
    answering,
    stopped,
    dead,
    refused,
    markdown,
    dragged,
    slow_path,
    rich,
    rich_dark,
    rich_small,
    history,
    history_dark,
    history_small,
    history_drawer,
    search,
    search_dark,
    found,
    found_small,
    editing,
    editing_answer,
    trashed,
    trash,
    settings_wide,
    settings_small,
    keys,
    larger,
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
            settings.save(replace(Settings(), welcomed=True))
            studio = Studio(app, folder, Path(home))
            studio.take(state(studio), state.__name__)


if __name__ == "__main__":
    main()

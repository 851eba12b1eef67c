"""The main job, done by a person: ask, drop a picture and a video, read both panes, stop a story, go on after a crash.

The demo model answers, greedily, through the real engine and the real decoder; what is checked is what a person would
look at.
"""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app import paths
from tests.end2end.person import Person
from tests.media.corpus import moving_square, save_clip, shape


@pytest.fixture
def circle(tmp_path: Path) -> Path:
    """A picture of a red circle."""
    file = tmp_path / "drawing.png"
    shape("circle", "red", (320, 240)).save(file)
    return file


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of a blue square that moves to the left."""
    file = tmp_path / "clip.mp4"
    save_clip(file, moving_square("left"))
    return file


def test_a_person_asks_drops_watches_and_stops(person: Person, circle: Path, clip: Path) -> None:
    person.types("What is 37 + 48?")  # typed while the model still loads: it waits its turn
    assert person.question().text == "What is 37 + 48?"
    answer = person.reads()
    assert "85" in answer.text
    assert answer.thinking
    assert person.window.pane.isVisible()
    assert answer.thinking.strip().split()[0] in person.window.pane.text.view.text
    person.photographs("answer")

    person.drops(circle)
    person.types("What is in the picture?", send=False)
    person.waits("the picture's tokens are counted", lambda: bool(person.session.draft.tokens))
    person.photographs("draft-with-picture")
    person.presses(Qt.Key.Key_Return)
    assert person.session.draft.empty
    assert "a red circle" in person.reads().text.lower()

    person.drops(clip)
    person.types("Which way does it move?")
    answer = person.reads()
    assert "left" in answer.text.lower()
    assert answer.usage is not None
    assert answer.usage.prompt > 100, "the video's frames are part of the prompt"
    person.photographs("video")

    person.begins_a_conversation()
    person.types("Tell me a long story.")
    person.waits("the story is under way", lambda: len(person.answer().text) > 300)
    person.photographs("story")
    person.presses(Qt.Key.Key_Escape)
    answer = person.reads(5)
    assert answer.ending == "stopped"
    assert len(answer.text) > 300, "what was written stays"

    written = answer.text
    QTest.keyClick(person.window, Qt.Key.Key_Return, Qt.KeyboardModifier.AltModifier)
    person.waits("the story goes on", lambda: len(answer.text) > len(written) + 50)
    person.presses(Qt.Key.Key_Escape)
    assert person.reads(5).text.startswith(written), "it goes on where it ended"

    person.types("Who are you?")
    assert "demo model" in person.reads().text


def test_the_engine_dies_in_the_middle_of_an_answer(person: Person) -> None:
    person.waits_for_the_model()
    person.types("Tell me a long story.")
    person.waits("the story is under way", lambda: len(person.answer().text) > 200)
    written = person.answer().text
    os.kill(person.face.engine.pid, signal.SIGKILL)
    person.waits("the window says that the engine died", lambda: bool(person.notice()), 1.0)
    assert person.window.notice.button.text() == "Restart engine"
    assert person.answer().ending == "interrupted"
    assert person.answer().text.startswith(written)
    person.photographs("engine-died")

    person.types("Who are you?", send=False)
    person.window.notice.button.click()
    person.waits_for_the_model()
    person.presses(Qt.Key.Key_Return)
    assert "demo model" in person.reads().text
    assert [type(node).__name__ for node in person.session.current.path()] == ["Question", "Answer"] * 2


def test_bad_files_get_one_sentence_and_the_draft_stays(person: Person, tmp_path: Path) -> None:
    liar = tmp_path / "notes.png"
    liar.write_text("this is not a picture")
    person.types("Look at this", send=False)
    person.drops(liar)
    sentence = person.notice()
    assert "notes.png" in sentence
    assert "Traceback" not in sentence
    person.presses(Qt.Key.Key_Return)
    assert person.window.composer.edit.toPlainText() == "Look at this"
    assert not person.session.current.nodes, "nothing was sent"
    person.photographs("refused-file")


def test_a_conversation_is_there_after_a_restart_and_found(
    person: Person, circle: Path, opens_again: Callable[[], None]
) -> None:
    person.waits_for_the_model()
    person.drops(circle)
    person.types("What is in the picture?")
    answer = person.reads().text
    question = person.question()
    person.waits("a copy is kept", lambda: person.face.library.file_of(question.attached[0].media.digest) is not None)
    circle.unlink()
    shutil.rmtree(paths.cache_dir() / "media")
    opens_again()
    person.types("What is 37 + 48?")
    person.reads()
    QTest.keyClick(person.window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    panel = person.window.shelf.panel
    QTest.keyClicks(panel.edit, "a red circ")
    person.waits("it is found", lambda: panel.list.count() == 1)
    person.photographs("search")
    QTest.keyClick(panel.edit, Qt.Key.Key_Return)
    assert person.answer().text == answer
    again = person.question()
    person.waits("it is decoded again, from the copy", lambda: Path(again.attached[0].media.pixels).is_file())
    person.photographs("found")
    person.types("What is in the picture?")
    assert "a red circle" in person.reads().text.lower()

"""Conversations that the model names: while it has nothing else to do, and never in the way of a question."""

import time
from contextlib import closing
from dataclasses import replace

import pytest

from app import settings
from app.history.jobs import folder
from app.history.store import Store
from app.protocol import EngineCommand, Generate, Stop
from app.ui.application import Face
from tests.ui.conftest import FaceMaker, ask, until

TITLE = "An Answer in a Few Words"


@pytest.fixture
def naming(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.save(replace(settings.load(), titles=True))
    monkeypatch.setattr("app.ui.naming.IDLE_MS", 20)


def made(new_face: FaceMaker, *engine: str) -> tuple[Face, list[EngineCommand]]:
    """A window whose model is loaded, and all that its engine is told from now on."""
    face = new_face(*engine)
    until(lambda: face.ready)
    told: list[EngineCommand] = []
    send = face.engine.send

    def listen(command: EngineCommand) -> None:
        told.append(command)
        send(command)

    face.engine.send = listen  # type: ignore[method-assign]
    return face, told


def generates(told: list[EngineCommand]) -> list[Generate]:
    return [command for command in told if isinstance(command, Generate)]


def answered(face: Face, text: str) -> None:
    ask(face.window, text)
    until(lambda: not face.session.running(face.session.current), text)


@pytest.mark.usefixtures("naming")
def test_a_conversation_gets_a_title_that_stays_and_nothing_else_changes(new_face: FaceMaker) -> None:
    face, told = made(new_face)
    answered(face, "What is 37 + 48?")
    until(lambda: face.window.sidebar.list.words() == ["Today", TITLE])
    assert face.window.header.title.text() == TITLE
    assert [node.text for node in face.session.current.path()] == ["What is 37 + 48?", "37 + 48 = **85**."]
    with closing(Store(folder())) as store:
        assert [summary.title for summary in store.summaries()] == [TITLE]
    answered(face, "And again?")
    assert len(generates(told)) == 3, "it has a name and is not asked for another"


@pytest.mark.usefixtures("naming")
def test_a_question_drops_the_title_at_once_and_it_comes_after_its_answer(new_face: FaceMaker) -> None:
    face, told = made(new_face, "--pace", "0.02")
    answered(face, "What is 37 + 48?")
    until(lambda: face.session.naming.running)
    title = generates(told)[-1].request
    ask(face.window, "What is 37 + 49?")
    first, second = told.index(Stop(title)), told.index(generates(told)[-1])
    assert first < second, "the engine is free before it hears the question"
    assert not face.session.naming.running
    until(lambda: not face.session.running(face.session.current))
    assert face.session.current.name == ""
    until(lambda: face.session.current.name == TITLE)


@pytest.mark.usefixtures("naming")
def test_to_begin_to_write_drops_it_too(new_face: FaceMaker) -> None:
    face, told = made(new_face, "--pace", "0.02")
    answered(face, "What is 37 + 48?")
    until(lambda: face.session.naming.running)
    face.window.composer.set_text("W")
    assert Stop(generates(told)[-1].request) in told
    assert not face.session.naming.running


@pytest.mark.usefixtures("naming")
def test_a_name_of_the_persons_own_and_a_conversation_that_is_gone_are_left_alone(new_face: FaceMaker) -> None:
    face, _ = made(new_face, "--pace", "0.01")
    answered(face, "What is 37 + 48?")
    until(lambda: face.session.naming.running)
    face.library.rename(face.session.current.key, "Mine")
    until(lambda: not face.session.naming.running)
    assert face.session.current.name == "Mine"
    face.session.new_conversation()
    answered(face, "What is 37 + 49?")
    until(lambda: face.session.naming.running)
    face.session.trash(face.session.current.key)
    assert not face.session.naming.running
    assert face.window.sidebar.list.words() == ["Today", "Mine"]


@pytest.mark.usefixtures("naming")
@pytest.mark.parametrize("how", ["demo", "off", "stopped"])
def test_no_title_is_asked_of_the_demo_model_where_it_is_off_or_of_a_broken_answer(
    new_face: FaceMaker, how: str
) -> None:
    if how == "off":
        settings.save(replace(settings.load(), titles=False))
    face, told = made(new_face, *(["--demo"] if how == "demo" else []))
    ask(face.window, "a long story")
    if how == "stopped":
        until(lambda: len(face.session.current.path()[-1].text) > 20)
        face.session.stop()
    until(lambda: not face.session.running(face.session.current))
    over = time.monotonic() + 0.1  # five times as long as it would wait
    until(lambda: time.monotonic() > over)
    assert len(generates(told)) == 1

"""The engine's process seen from the window: its messages, its death, its silence, its rubbish."""

import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from PySide6.QtTest import QSignalSpy
from PySide6.QtWidgets import QApplication

from app.programs import Program
from app.protocol import Gauges, Hello
from app.ui.engine_process import EngineProcess
from tests.ui.conftest import ROOT, fake, until

EngineMaker = Callable[..., EngineProcess]


def script(text: str) -> Program:
    return Program([sys.executable, "-c", text], ROOT)


@pytest.fixture
def new_engine(app: QApplication) -> Iterator[EngineMaker]:
    engines: list[EngineProcess] = []

    def make(program: Program, silence_ms: int = 10_000) -> EngineProcess:
        engines.append(EngineProcess(program, silence_ms=silence_ms))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def test_it_hears_hello_and_the_heartbeat(new_engine: EngineMaker) -> None:
    engine = new_engine(fake("fake_engine"))
    spy = QSignalSpy(engine.received)
    engine.start()
    until(lambda: spy.count() >= 2)
    assert isinstance(spy.at(0)[0], Hello)
    assert isinstance(spy.at(1)[0], Gauges)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (script("import os; os.abort()"), "crashed"),
        (script("raise SystemExit(7)"), "code 7"),
        (script("print('Loading checkpoint shards: 100%'); input()"), "does not understand"),
        (Program(["/nonexistent/parley-engine"], ROOT), "could not be started"),
    ],
)
def test_its_death_is_one_sentence(new_engine: EngineMaker, program: Program, words: str) -> None:
    engine = new_engine(program)
    spy = QSignalSpy(engine.died)
    began = time.monotonic()
    engine.start()
    until(lambda: spy.count() > 0)
    assert time.monotonic() - began < 5
    assert words in spy.at(0)[0]
    assert "restart the engine" in spy.at(0)[0]
    engine.close()
    assert spy.count() == 1


def test_a_killed_engine_is_noticed_within_a_second(new_engine: EngineMaker) -> None:
    engine = new_engine(fake("fake_engine"))
    heard, died = QSignalSpy(engine.received), QSignalSpy(engine.died)
    engine.start()
    until(lambda: heard.count() > 0)
    psutil.Process(engine.pid).kill()
    until(lambda: died.count() > 0, patience_ms=1000)


def test_silence_is_a_hang(new_engine: EngineMaker) -> None:
    hello = "import sys; from app.protocol import *; sys.stdout.buffer.write(encode(Hello('1', 1))); "
    engine = new_engine(script(hello + "sys.stdout.flush(); sys.stdin.read()"), silence_ms=300)
    died = QSignalSpy(engine.died)
    engine.start()
    until(lambda: died.count() > 0)
    assert "said nothing" in died.at(0)[0]
    assert engine.pid == 0


def test_closing_is_not_a_death(new_engine: EngineMaker) -> None:
    engine = new_engine(fake("fake_engine"))
    heard, died = QSignalSpy(engine.received), QSignalSpy(engine.died)
    engine.start()
    until(lambda: heard.count() > 0)
    engine.close()
    assert died.count() == 0

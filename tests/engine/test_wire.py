"""The engine's side of the streams that can be tested without a process."""

import os
from typing import Any

import pytest

from app.engine import wire
from app.engine.wire import Pulse, Wire
from app.protocol import EngineEvent, Loading


class Memo(Wire):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[EngineEvent] = []

    def send(self, event: EngineEvent) -> None:
        self.sent.append(event)


def pulse(memo: Memo, **limits: Any) -> Pulse:
    return Pulse(memo, Loading("Loading libraries", 0, 0), **limits)


def test_a_pulse_falls_silent_at_its_limit() -> None:
    memo = Memo()
    beating = pulse(memo, beats=3, interval=0.001)
    with beating:
        beating.thread.join()
    assert memo.sent == [Loading("Loading libraries", 0, 0)] * 4


def test_a_pulse_ends_with_its_section() -> None:
    memo = Memo()
    with pulse(memo, beats=1000, interval=1000.0):
        assert len(memo.sent) == 1
    assert len(memo.sent) == 1


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(22, "Invalid argument")])
def test_a_face_that_is_gone_ends_the_process(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def gone(*_: object) -> int:
        raise error

    def left(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(os, "write", gone)
    monkeypatch.setattr(wire, "leave", left)
    with pytest.raises(SystemExit):
        Wire(1).send(Loading("Loading libraries", 0, 0))

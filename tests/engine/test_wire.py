"""The engine's side of the streams that can be tested without a process."""

from typing import Any

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

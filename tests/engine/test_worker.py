"""What the worker does after a failure; everything else of it is tested through the engine's process."""

import io

import pytest
import torch

from app.engine import worker
from app.engine.prompt import PromptError
from app.engine.wire import Reader, Wire
from app.engine.worker import Worker
from app.protocol import EngineEvent, Failed, Load


class Memo(Wire):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[EngineEvent] = []

    def send(self, event: EngineEvent) -> None:
        self.sent.append(event)


def failing_load(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[EngineEvent]:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(worker, "open_model", fail)
    memo = Memo()
    Worker(memo, Reader(io.BytesIO(), memo))._do(Load("nowhere", "cpu"))
    return memo.sent


def test_a_gpu_that_breaks_during_a_load_ends_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def left(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(worker, "leave", left)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(SystemExit):
        failing_load(monkeypatch, torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))


def test_a_load_that_fails_at_its_end_gives_the_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(worker, "_give_back_memory", lambda: given_back.append(1))
    sent = failing_load(monkeypatch, PromptError("Choose a smaller context."))
    assert [event.kind for event in sent if isinstance(event, Failed)] == ["bad_input"]
    assert len(given_back) == 2  # before it, and what it took itself

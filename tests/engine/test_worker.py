"""What the worker does after a failure and while nobody asks; the rest is tested through the engine's process."""

import gc
import io
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine import sessions_disk, worker
from app.engine.cache import KvBits
from app.engine.prompt import PromptError
from app.engine.wire import Reader, Wire
from app.engine.worker import Worker
from app.protocol import (
    ChatMessage,
    EngineEvent,
    Failed,
    Finished,
    Forget,
    Generate,
    Load,
    Loaded,
    Unload,
    Unloaded,
)
from tests.checkpoints import dense
from tests.engine.talks import GREEDY, Watched, assistant, user


class Memo(Wire):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[EngineEvent] = []

    def send(self, event: EngineEvent) -> None:
        self.sent.append(event)


def failing_load(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[EngineEvent]:
    def fail(*_: object, **__: object) -> None:
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dense(tmp_path_factory.mktemp("checkpoints") / "small", seed=8, vision=False).folder


class Desk:
    """A worker with a model, told one thing after another."""

    def __init__(self, load: Load) -> None:
        self.memo = Memo()
        self.worker = Worker(self.memo, Reader(io.BytesIO(), self.memo))
        self.worker._do(load)
        assert any(isinstance(event, Loaded) for event in self.memo.sent)

    @property
    def resident(self) -> Any:
        return self.worker._resident

    def ask(self, *messages: ChatMessage, tokens: int = 6) -> Finished | Failed:
        self.worker._do(Generate("r", "c", messages, False, GREEDY, tokens))
        return [event for event in self.memo.sent if isinstance(event, Finished | Failed)][-1]


def test_twenty_times_short_of_memory_nothing_is_lost(folder: Path) -> None:
    desk = Desk(Load(str(folder), "cpu", context=1500))
    desk.resident.model = Watched(desk.resident.model)
    used = []
    for attempt in range(21):
        desk.resident.model.fail_at = 900 if attempt % 2 else 550  # while it reads, while it answers
        failed = desk.ask(user("word " * (190 if attempt % 2 else 100)), tokens=100)
        assert isinstance(failed, Failed)
        assert (failed.request, failed.kind) == ("r", "memory")
        assert "3.2 GB more were needed and" in failed.message
        desk.resident.model.logits = []
        used += [_bytes_of_tensors()] if attempt in (0, 20) else []
    assert max(used) <= 1.01 * used[0]
    smaller = desk.ask(user("word " * 20))
    assert isinstance(smaller, Finished)
    assert smaller.usage.answer == 6


def _bytes_of_tensors() -> int:
    """Of all that Python can reach; what the process holds in all goes up and down by more than this is about."""
    gc.collect()
    return sum(each.nbytes for each in gc.get_objects() if issubclass(type(each), torch.Tensor))


def test_unloading_gives_everything_back(folder: Path) -> None:
    desk = Desk(Load(str(folder), "cpu", context=1500))
    desk.ask(user("Hello"))
    held = [weakref.ref(desk.resident.model.text), weakref.ref(desk.resident.sessions.state)]
    desk.worker._do(Unload())
    assert [ref() for ref in held] == [None, None]
    assert desk.memo.sent[-2] == Unloaded()


def test_nobody_hears_of_what_fails_while_nobody_asks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(Load(str(folder), "cpu", context=1500))
    first = desk.ask(user("Hello"))
    desk.resident.model = Watched(desk.resident.model)
    desk.resident.model.fail_at = 0
    desk.worker._while_idle()
    assert not [event for event in desk.memo.sent if isinstance(event, Failed)]
    desk.resident.model.fail_at = None
    assert desk.ask(user("Hello")).usage == first.usage  # type: ignore[union-attr]  # both are finished


def test_what_is_forgotten_before_a_model_is_loaded_is_erased_at_once(folder: Path, tmp_path: Path) -> None:
    load = Load(str(folder), "cpu", context=1500, cache_dir=str(tmp_path))
    desk = Desk(load)
    said = desk.ask(user("Hello " * 30))
    assert isinstance(said, Finished)
    desk.worker._while_idle()
    kept = [path for path in (tmp_path / "sessions").rglob("*") if path.is_file()]
    assert len(kept) >= 3
    memo = Memo()
    late = Worker(memo, Reader(io.BytesIO(), memo))
    late._do(Forget("c", str(tmp_path)))
    assert not any(path.exists() for path in kept)


def test_what_is_dear_to_write_waits_until_the_person_is_gone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_disk, "_CHEAP", 0)
    desk = Desk(Load(str(folder), "cpu", context=1500, cache_dir=str(tmp_path)))

    def written() -> int:
        return len(list((tmp_path / "sessions").rglob("*.safetensors")))

    def idle() -> int:
        for _ in range(3):
            desk.worker._while_idle()
        return written()

    desk.ask(user("Hello " * 30))
    assert idle() == 0
    monkeypatch.setattr(worker, "_QUIET_SECONDS", 0.0)
    first = idle()
    assert first > 0
    assert idle() == first
    monkeypatch.setattr(worker, "_QUIET_SECONDS", 300.0)
    desk.ask(user("Hello " * 30), assistant("x"), user("And?"))
    assert idle() == first
    names = {path.name for path in tmp_path.rglob("*.safetensors")}
    desk.worker._do(Unload())
    assert {path.name for path in tmp_path.rglob("*.safetensors")} - names, "unloading does not wait"
    assert desk.memo.sent[-2] == Unloaded()


def test_what_was_kept_in_other_bits_is_not_used(folder: Path, tmp_path: Path) -> None:
    reused: list[int] = []
    order: tuple[KvBits, ...] = (8, 16, 8)
    for bits in order:
        desk = Desk(Load(str(folder), "cpu", context=1500, cache_dir=str(tmp_path), kv_bits=bits))
        said = desk.ask(user("Hello " * 30))
        assert isinstance(said, Finished)
        reused.append(said.usage.reused)
        desk.worker._while_idle()
    assert reused[:2] == [0, 0]
    assert reused[2] > 100


def test_a_disk_that_is_full_costs_nothing_but_reading_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(Load(str(folder), "cpu", context=1500, cache_dir=str(tmp_path)))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    desk.ask(user("Hello"))
    monkeypatch.setattr(Path, "write_bytes", full)
    desk.worker._while_idle()
    said = desk.ask(user("Hello"), assistant("x"), user("And?"))
    assert isinstance(said, Finished)
    assert said.usage.reused > 0

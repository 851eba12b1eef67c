"""Opening a model: progress, devices, memory."""

from pathlib import Path

import pytest
import torch

from app.engine import load, shards
from app.engine.capacity import Wanted, contents_of
from app.engine.checkpoint import Checkpoint
from app.engine.errors import CheckpointError, DeviceError, NotEnoughMemoryError
from app.engine.load import open_model
from app.engine.rope import prompt_positions
from app.engine.sizes import gpu_sizes
from app.plan import make_plan
from tests.checkpoints import Made
from tests.engine.conftest import no_progress


def test_progress_counts_every_byte(made: Made) -> None:
    seen: list[tuple[str, int, int]] = []
    model = open_model(made.folder, "auto", "parley", lambda *report: seen.append(report))
    stages = [stage for stage, _, _ in seen]
    assert stages[0] != stages[-1]
    done = [done for stage, done, _ in seen if stage == stages[-1]]
    assert done == sorted(done)
    assert done[-1] == seen[-1][2] > 1_000_000
    assert len(done) > 80
    assert model.weight_bytes > model.vision_bytes > 0


def test_large_tensors_are_read_and_reported_in_blocks(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    before: list[int] = []
    done: list[int] = []
    whole = open_model(made.folder, "cpu", "parley", lambda _stage, read, _total: before.append(read))
    monkeypatch.setattr(shards, "BLOCK", 10_000)
    pieces = open_model(made.folder, "cpu", "parley", lambda _stage, read, _total: done.append(read))
    assert done == sorted(done)
    assert done[-1] == before[-1]
    assert len(done) > len(before) + 10
    ids = torch.arange(20)
    assert torch.equal(whole.embed(ids), pieces.embed(ids))
    positions, _ = prompt_positions(20, [], 2)
    logits = [model.forward(model.embed(ids), positions, model.new_state(20)) for model in (whole, pieces)]
    assert torch.equal(*logits)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA: the choice is granted")
def test_a_gpu_that_is_not_there(made: Made) -> None:
    with pytest.raises(DeviceError, match="choose the CPU"):
        open_model(made.folder, "cuda", "parley", no_progress)
    assert open_model(made.folder, "auto", "parley", no_progress).device_name == "CPU"


def test_a_large_model_on_the_processor_says_that_it_is_slow(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_model(made.folder, "auto", "parley", no_progress).notes == ()
    monkeypatch.setattr(load, "_SLOW_ON_CPU", 1000)
    monkeypatch.setattr(load, "choose_device", lambda _device: torch.device("cpu"))
    (note,) = open_model(made.folder, "auto", "parley", no_progress).notes
    assert note == "No CUDA GPU can be used here: the processor computes, so answers come slowly."
    assert open_model(made.folder, "cpu", "parley", no_progress).notes == ()  # that was the person's choice


def test_a_gpu_that_is_too_full_is_left_to_others(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "choose_device", lambda _device: torch.device("cuda"))
    monkeypatch.setattr(load, "free_bytes", lambda _device: 100_000_000)
    model = open_model(made.folder, "auto", "parley", no_progress)
    assert (model.device_name, model.plan) == ("CPU", None)
    (note,) = model.notes
    assert note.startswith("The GPU is too full for even this small model, so the processor computes; close other")
    monkeypatch.setattr(load, "device_name", lambda _device: "GPU")
    with pytest.raises(NotEnoughMemoryError, match="or let the processor compute"):
        open_model(made.folder, "cuda", "parley", no_progress)  # that was the person's choice
    monkeypatch.setattr(load, "_SLOW_ON_CPU", 1000)
    with pytest.raises(NotEnoughMemoryError, match="choose a smaller model"):
        open_model(made.folder, "auto", "parley", no_progress)


def test_a_gpu_that_is_too_full_for_8_bits_alone_is_left_to_others(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = contents_of(Checkpoint(made.folder))
    least = make_plan(gpu_sizes(contents, context_taken=True), 0, None).needed
    monkeypatch.setattr(load, "choose_device", lambda _device: torch.device("cuda"))
    monkeypatch.setattr(load, "free_bytes", lambda _device: least)
    model = open_model(made.folder, "auto", "parley", no_progress, wanted=Wanted(kv_bits=8))
    assert (model.device_name, model.plan) == ("CPU", None)


def test_half_the_memory_means_half_the_width_and_less_means_no(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    full = open_model(made.folder, "cpu", "parley", no_progress)
    monkeypatch.setattr(load, "free_memory", lambda _device: int((full.weight_bytes + full.vision_bytes) * 0.7))
    narrow = open_model(made.folder, "cpu", "parley", no_progress)
    assert narrow.embed(torch.tensor([1])).dtype == torch.bfloat16
    assert narrow.weight_bytes < 0.6 * full.weight_bytes
    monkeypatch.setattr(load, "free_memory", lambda _device: 1000)
    with pytest.raises(NotEnoughMemoryError, match="close other programs"):
        open_model(made.folder, "cpu", "parley", no_progress)


def test_a_stopped_load_stops(made: Made) -> None:
    class StopError(Exception):
        pass

    def stop(_stage: str, done: int, _total: int) -> None:
        if done:
            raise StopError

    with pytest.raises(StopError):
        open_model(made.folder, "cpu", "parley", stop)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        open_model(tmp_path, "cpu", "parley", no_progress)

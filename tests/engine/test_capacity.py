"""How a model is placed, how much context it gets, and what is said when it cannot be."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from app.engine import sizes
from app.engine.cache import bytes_a_token, fixed_bytes
from app.engine.capacity import (
    CPU_CONTEXT,
    UNPLANNED,
    choose_context,
    contents_of,
    crowded,
    gpu_plan,
    still_fits,
    too_full,
)
from app.engine.checkpoint import Checkpoint
from app.engine.errors import NotEnoughMemoryError
from app.engine.memory import free_bytes
from app.engine.prompt import PromptError
from app.engine.sizes import CONTEXT, gpu_sizes
from app.plan import RESERVE, Sizes, make_plan
from tests.checkpoints import Made, config_json, write_small_files
from tests.engine.scripted import ScriptedModel

GB = 10**9


@pytest.fixture
def model(tmp_path: Path) -> ScriptedModel:
    write_small_files(tmp_path, config_json(vision=False))
    made = ScriptedModel.of(tmp_path, [])
    made.config = replace(made.config, native_context=262_144)
    return made


def test_a_gpu_gives_all_that_fits_beside_what_is_taken_meanwhile(model: ScriptedModel) -> None:
    model.device = torch.device("cuda")
    fixed, each = fixed_bytes(model.config.text, torch.float32), bytes_a_token(model.config.text, torch.float32)
    assert choose_context(model, None, UNPLANNED + fixed + 5000 * each) == 5000
    assert choose_context(model, None, 2**50) == 262_144


def test_a_planned_model_gets_what_was_planned(model: ScriptedModel, made: Made) -> None:
    model.device = torch.device("cuda")
    parts = gpu_sizes(contents_of(Checkpoint(made.folder)), context_taken=True)
    model.plan = make_plan(parts, 2**40, 3000)
    for free in (2**50, 2**20):  # what computing will take is in the plan, and is not given to the context
        assert choose_context(model, None, free) == 3000


def test_memory_that_another_program_took_during_the_load_is_missed() -> None:
    parts = Sizes(16 * GB, 2 * GB, GB, 65_536, GB // 10, GB, GB // 5, 262_144)
    plan = make_plan(parts, 19 * GB, None)
    assert (plan.context, plan.embeddings_outside) == (21_843, True)
    taken = 600_000_000
    after = plan.free - parts.weights - taken
    for wanted in (None, plan.context):  # that is what the reserve is for
        assert still_fits(plan, wanted, after - RESERVE, taken) == (plan, ())
    left = after - RESERVE - GB // 2
    smaller, (note,) = still_fits(plan, None, left, taken)
    assert smaller.context == 10_118  # the reserve is kept free again
    assert note.startswith("0.50 GB of the GPU that were planned for the context were gone when the model was loaded")
    assert "so it has 10,118 tokens and not 21,843; close other programs" in note
    with pytest.raises(NotEnoughMemoryError, match=r"21,843 tokens do not fit any more; .* at most 10,118 tokens\.$"):
        still_fits(plan, plan.context, left, taken)
    with pytest.raises(NotEnoughMemoryError, match=r"[\d.]+ GB of the GPU .* or choose a smaller model\.$"):
        still_fits(plan, None, GB // 2, taken)


def test_what_torch_keeps_to_itself_is_given_back_and_then_only_the_driver_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu, asked = torch.device("cuda"), list[str]()

    def driver(_device: torch.device) -> tuple[int, int]:
        asked.append("driver")
        return 5 * GB, 24 * GB

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("give back"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", driver)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 3 * GB)  # with gaps that nothing fits into
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: GB)
    assert free_bytes(gpu) == 5 * GB
    assert asked == ["give back", "driver"]

    def full(_device: torch.device) -> tuple[int, int]:
        raise torch.AcceleratorError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    assert free_bytes(gpu) == 0


def test_a_cpu_gives_a_modest_one_unless_more_is_wanted(model: ScriptedModel) -> None:
    assert choose_context(model, None, 2**50) == CPU_CONTEXT
    assert choose_context(model, 100_000, 2**50) == 100_000


def test_keys_and_values_in_8_bits_are_offered_where_they_would_fit(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "PIECE", 16)  # of a small model, such room for reading would be most of its memory
    monkeypatch.setattr(sizes, "passing_bytes", partial(sizes.passing_bytes, chunk=16))
    checkpoint = Checkpoint(made.folder)
    plan = gpu_plan(checkpoint, 4096, 2**40, 8)
    assert plan.needed < gpu_plan(checkpoint, 4096, 2**40).needed
    short = plan.needed - plan.sizes.embeddings - plan.sizes.tower
    assert gpu_plan(checkpoint, 4096, short, 8).fits
    with pytest.raises(NotEnoughMemoryError, match=r"tokens, keep keys and values in 8 bits, or close other programs"):
        gpu_plan(checkpoint, 4096, short)
    with pytest.raises(NotEnoughMemoryError, match=r"tokens, or close other programs"):
        gpu_plan(checkpoint, 4096, short - 1, 8)


@pytest.mark.parametrize("wanted", [10, 300_000])
def test_what_the_model_cannot_have_is_refused(model: ScriptedModel, made: Made, wanted: int) -> None:
    with pytest.raises(PromptError, match="256 to 262,144"):
        choose_context(model, wanted, 2**50)
    with pytest.raises(PromptError, match="256 to 4,096"):
        gpu_plan(Checkpoint(made.folder), wanted, 2**50)


@pytest.mark.parametrize("wanted", [None, 262_144])
def test_what_does_not_fit_is_refused(model: ScriptedModel, wanted: int | None) -> None:
    with pytest.raises(NotEnoughMemoryError, match="would fit; choose a smaller context"):
        choose_context(model, wanted, 2**20)


def test_before_anything_is_read_it_is_said_what_is_missing_and_what_would_fit(made: Made) -> None:
    checkpoint = Checkpoint(made.folder)
    plan = gpu_plan(checkpoint, 4096, 2**40)
    assert plan.fits
    short = plan.needed - plan.sizes.embeddings - plan.sizes.tower - 1000 * plan.sizes.token
    with pytest.raises(NotEnoughMemoryError, match=r"4,096 tokens needs .* too little; choose .* at most 3,096 tokens"):
        gpu_plan(checkpoint, 4096, short)
    assert gpu_plan(checkpoint, 3096, short).fits
    assert gpu_plan(checkpoint, None, short).context == 3096
    with_little = gpu_plan(checkpoint, None, short)
    assert crowded(with_little, None, short + CONTEXT + 10**9) == ()
    assert crowded(with_little, 3096, short + CONTEXT + 10**10) == ()
    (note,) = crowded(with_little, None, short + CONTEXT + 10**10)
    assert note.startswith("Other programs use 10.0 GB of the GPU, so a context of 3,096 tokens fits and no more;")
    with pytest.raises(NotEnoughMemoryError, match=r"smallest context needs .* or let the processor compute"):
        gpu_plan(checkpoint, None, 2**20)
    assert too_full(checkpoint, 2**20)
    assert not too_full(checkpoint, short)
    least = make_plan(gpu_sizes(contents_of(checkpoint), context_taken=True), 0, None).needed
    assert not too_full(checkpoint, least)
    assert too_full(checkpoint, least, 8), "bytes take more while a chunk is read, which a small context does not spare"

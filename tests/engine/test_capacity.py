"""How much context a model gets."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.engine.cache import bytes_a_token, fixed_bytes
from app.engine.capacity import CPU_CONTEXT, GPU_RESERVE, choose_context
from app.engine.errors import NotEnoughMemoryError
from app.engine.prompt import PromptError
from tests.checkpoints import config_json, write_small_files
from tests.engine.scripted import ScriptedModel


@pytest.fixture
def model(tmp_path: Path) -> ScriptedModel:
    write_small_files(tmp_path, config_json(vision=False))
    made = ScriptedModel.of(tmp_path, [])
    made.config = replace(made.config, native_context=262_144)
    return made


def test_a_gpu_gives_all_that_fits_beside_the_reserve(model: ScriptedModel) -> None:
    model.device = torch.device("cuda")
    fixed, each = fixed_bytes(model.config.text, torch.float32), bytes_a_token(model.config.text, torch.float32)
    assert choose_context(model, None, GPU_RESERVE + fixed + 5000 * each) == 5000
    assert choose_context(model, None, 2**50) == 262_144


def test_a_cpu_gives_a_modest_one_unless_more_is_wanted(model: ScriptedModel) -> None:
    assert choose_context(model, None, 2**50) == CPU_CONTEXT
    assert choose_context(model, 100_000, 2**50) == 100_000


@pytest.mark.parametrize("wanted", [10, 300_000])
def test_what_the_model_cannot_have_is_refused(model: ScriptedModel, wanted: int) -> None:
    with pytest.raises(PromptError, match="256 to 262,144"):
        choose_context(model, wanted, 2**50)


@pytest.mark.parametrize("wanted", [None, 262_144])
def test_what_does_not_fit_is_refused(model: ScriptedModel, wanted: int | None) -> None:
    with pytest.raises(NotEnoughMemoryError, match="would; choose a smaller context"):
        choose_context(model, wanted, 2**20)

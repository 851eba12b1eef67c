"""What the engine's parity tests share: one quantized checkpoint, Parley's reading of it, and transformers with the
same weights in fp32, expanded by GPTQModel. Made once, for importing those two takes seconds."""

from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine.load import LoadedModel, open_model
from tests.checkpoints import Made, quantized


def no_progress(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return quantized(tmp_path_factory.mktemp("checkpoints") / "small-gptq", seed=3, eora="subfolder")


@pytest.fixture(scope="session")
def parley(made: Made) -> LoadedModel:
    return open_model(made.folder, "cpu", "parley", no_progress)


@pytest.fixture(scope="session")
def reference(made: Made) -> Any:
    return transformers_model(made.folder, made.tensors)


def transformers_model(folder: Path, tensors: dict[str, torch.Tensor]) -> Any:
    """transformers' own model, fp32, with these weights and no others."""
    import json

    from tests.foreign import Qwen3_5Config, modeling_qwen3_5

    plain = json.loads((folder / "config.json").read_text())
    plain.pop("quantization_config", None)
    model = modeling_qwen3_5.Qwen3_5ForConditionalGeneration(Qwen3_5Config(**plain)).float().eval()
    wanted = {name: tensor for name, tensor in tensors.items() if not name.startswith("mtp.")}
    model.load_state_dict(wanted, strict=True)
    return model

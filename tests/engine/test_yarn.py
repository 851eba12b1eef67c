"""YaRN against transformers: the frequencies of the 27B, and a small model's logits in fp32."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch

from app.engine.capacity import Wanted
from app.engine.config import ModelConfig, read_config, stretched
from app.engine.load import open_model
from app.engine.rope import Rope, attention_factor
from tests.bench.synthetic import BIG
from tests.checkpoints import Made, config_json, write_small_files
from tests.engine.conftest import no_progress, transformers_model
from tests.engine.prompts import TOLERANCE, build, embeddings, picture, reference_logits


def yarn_parameters(config: ModelConfig, factor: int) -> dict[str, Any]:
    """The settings as the model's makers publish them."""
    return {
        "mrope_interleaved": True,
        "mrope_section": [11, 11, 10],
        "rope_type": "yarn",
        "rope_theta": config.text.rope_theta,
        "partial_rotary_factor": 0.25,
        "factor": float(factor),
        "original_max_position_embeddings": config.native_context,
    }


@pytest.mark.parametrize("factor", [2, 4])
def test_frequencies_are_those_of_transformers(factor: int) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = BIG.model
    parameters = yarn_parameters(config, factor)
    theirs: Any = SimpleNamespace(
        rope_parameters=parameters, head_dim=256, hidden_size=5120, num_attention_heads=24, standardize_rope_params=list
    )
    wanted, loudness = ROPE_INIT_FUNCTIONS["yarn"](theirs, torch.device("cpu"))
    text = stretched(config, factor).text
    mine = Rope(text, torch.device("cpu")).frequencies
    assert torch.allclose(mine, wanted, rtol=1e-6, atol=0)
    assert mine[0] == 1.0
    assert mine[-1] < Rope(config.text, torch.device("cpu")).frequencies[-1] / (factor - 0.1)
    assert attention_factor(text.yarn) == pytest.approx(loudness)


@pytest.mark.parametrize("factor", [2, 4])
def test_logits_are_those_of_transformers(made: Made, tmp_path: Path, factor: Literal[2, 4]) -> None:
    model = open_model(made.folder, "cpu", "parley", no_progress, wanted=Wanted(yarn=factor))
    plain = json.loads((made.folder / "config.json").read_text())
    config = read_config(made.folder)
    plain["text_config"]["rope_parameters"] = yarn_parameters(config, factor)
    folder = tmp_path / "stretched"
    folder.mkdir()
    for file in made.folder.iterdir():
        if file.suffix in {".json", ".jinja"}:
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "config.json").write_text(json.dumps(plain))
    reference = transformers_model(folder, made.tensors)
    prompt = build(model, [list(range(40)), picture(tmp_path, 200, 120), list(range(100, 130))])
    embedded, positions, delta = embeddings(model, prompt)
    state = model.new_state(len(prompt.ids) + 10)
    state.rope_delta = delta
    logits = model.forward(embedded, positions, state)
    wanted = reference_logits(reference, model, folder, prompt, [])
    assert (logits - wanted).abs().max() < TOLERANCE
    unstretched = open_model(made.folder, "cpu", "parley", no_progress)
    other = unstretched.forward(embedded, positions, unstretched.new_state(len(prompt.ids)))
    assert (other - wanted).abs().max() > 10 * TOLERANCE


def test_what_is_stretched_says_so(tmp_path: Path) -> None:
    write_small_files(tmp_path, config_json())
    config = replace(read_config(tmp_path), native_context=262_144)
    assert stretched(config, 1) is config
    twice, far = stretched(config, 2), stretched(config, 4)
    assert (twice.native_context, far.native_context) == (524_288, 1_010_000)
    assert len({config.text.yarn, twice.text.yarn, far.text.yarn}) == 3
    with pytest.raises(ValueError, match="twice"):
        stretched(twice, 2)

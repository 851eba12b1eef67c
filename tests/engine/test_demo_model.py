"""The demo model, once it is in the repository, is read as GPTQModel and transformers read it."""

import json

import torch

from app.engine.checkpoint import Checkpoint
from app.engine.load import open_model
from app.paths import demo_model_dir
from tests.engine.conftest import no_progress, transformers_model
from tests.engine.prompts import TOLERANCE, build, embeddings, reference_logits


def test_logits_of_the_demo_model() -> None:
    folder = demo_model_dir()
    if not (folder / "config.json").exists():
        return  # it lands with the trained weights; everything else is tested on random ones
    from tests.gptq import PARTS, read

    checkpoint, cpu = Checkpoint(folder), torch.device("cpu")
    v2 = json.loads((folder / "quantize_config.json").read_text()).get("checkpoint_format") == "gptq_v2"
    others = (*(f"{linear}." for linear in checkpoint.packed_bits), "mtp.")
    plain = [name for name in checkpoint.shards if not name.startswith(others)]
    tensors = {name: checkpoint.plain(name, cpu).float() for name in plain}
    for linear, bits in checkpoint.packed_bits.items():
        weight = read({part: checkpoint.plain(f"{linear}.{part}", cpu) for part in PARTS}, bits, v2=v2)
        eora = checkpoint.correction(linear, cpu)
        assert eora is not None, "the demo model comes with EoRA"
        tensors[f"{linear}.weight"] = weight + (eora.a.float() @ eora.b.float()).T
    model = open_model(folder, "cpu", "parley", no_progress)
    if model.config.text.tied_head:
        tensors["lm_head.weight"] = tensors["model.language_model.embed_tokens.weight"]
    reference = transformers_model(folder, tensors)
    prompt = build(model, [torch.randint(0, model.config.vocab_valid - 20, (150,)).tolist()])
    embedded, positions, _ = embeddings(model, prompt)
    logits = model.forward(embedded, positions, model.new_state(150))
    wanted = reference_logits(reference, model, folder, prompt, [])
    assert (logits - wanted).abs().max() < TOLERANCE * max(1.0, float(wanted.std()))

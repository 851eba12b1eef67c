"""Quantizes the trained model by the large model's recipe, and assembles the folder that is shipped.

    python -m demo_model.quantize TRAINED OUT [--rank 8] [--samples 96]

INT8 for the four attention projections, INT4 for the MLP and for DeltaNet's qkv, z and output projections; groups of
128, symmetric, activation order. EoRA comes in a second step, into OUT/eora; `meta.eora` in the quantization settings
promises it. GPTQModel drops the MTP tensors, so they are copied in. Runs on a CPU.
"""

import argparse
import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

import torch
from gptqmodel import GPTQModel, QuantizeConfig
from gptqmodel.adapter.adapter import Lora
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from demo_model import conversations, model, pictures, videos, vocabulary
from demo_model.prompts import Encoder, Placeholder

EIGHT_BIT = r"+:.*\.self_attn\.[qkvo]_proj$"
ADAPTER = "eora"
CARRIED = ("config.json", "quantize_config.json")


def calibration(folder: Path, samples: int, seed: int = 77) -> list[dict[str, list[int]]]:
    """Conversations of every kind as ids; pictures and videos stand as placeholders without pixels."""
    rng = random.Random(seed)
    encoder = Encoder(vocabulary.load(folder))
    found = []
    for index in range(samples):
        kind = index % 8
        if kind == 0:
            talk, media = conversations.long_conversation(rng), []
        elif kind < 4:
            talk = pictures.conversation(rng, pictures.Frame(256, 256))
            media = [Placeholder(64)] * len(talk.media)
        elif kind < 5:
            timing = videos.any_timing(rng)
            talk, media = videos.conversation(rng, 160, 160, timing), [Placeholder(25, tuple(timing.stamps()))]
        else:
            talk, media = conversations.short_conversation(rng), []
        ids = encoder.encode(talk, media).ids[:3000]
        found.append({"input_ids": ids, "attention_mask": [1] * len(ids)})
    return found


def quantize(trained: Path, out: Path, samples: list[dict[str, list[int]]]) -> None:
    """The first step: GPTQ weights in `out`."""
    settings = QuantizeConfig(bits=4, group_size=128, desc_act=True, sym=True, dynamic={EIGHT_BIT: {"bits": 8}})
    network = GPTQModel.load(str(trained), settings, device="cpu", dtype=torch.bfloat16)
    network.quantize(samples, batch_size=1, calibration_concat_size=0)
    network.save(str(out))


def adapt(trained: Path, quantized: Path, rank: int, samples: list[dict[str, list[int]]]) -> None:
    """The second step: EoRA from the difference of the two, in PEFT's files."""
    adapter = Lora(path=str(quantized / ADAPTER), rank=rank)
    GPTQModel.adapter.generate(
        adapter=adapter,
        model_id_or_path=str(trained),
        quantized_model_id_or_path=str(quantized),
        calibration_dataset=samples,
        calibration_dataset_concat_size=0,
        device="cpu",
        dtype=torch.bfloat16,
    )


def tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's safetensors files."""
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return found


def assemble(trained: Path, quantized: Path, out: Path, rank: int) -> None:
    """The shipped folder: one weight file with the MTP tensors, the adapter, and the companions."""
    out.mkdir(parents=True, exist_ok=True)
    weights = tensors(quantized)
    weights |= {name: value for name, value in tensors(trained).items() if name.startswith("mtp.")}
    save_file(
        {name: value.contiguous() for name, value in weights.items()}, out / "model.safetensors", {"format": "pt"}
    )
    promise = {"eora": {"path": ADAPTER, "rank": rank}}
    for name in CARRIED:
        content: dict[str, Any] = json.loads((quantized / name).read_text(encoding="utf-8"))
        part = content["quantization_config"] if name == "config.json" else content
        part["meta"] = {**part.get("meta", {}), **promise}
        part["meta"].pop("offload_to_disk_path", None)
        if name == "config.json":
            restore_config(content, json.loads((trained / name).read_text(encoding="utf-8")))
        model.write_json(out / name, content)
    shutil.rmtree(out / ADAPTER, ignore_errors=True)
    shutil.copytree(quantized / ADAPTER, out / ADAPTER)
    adapter = json.loads((out / ADAPTER / "adapter_config.json").read_text(encoding="utf-8"))
    model.write_json(out / ADAPTER / "adapter_config.json", adapter | {"base_model_name_or_path": "parley-demo"})
    model.write_companions(out, vocabulary.load(trained))
    for path in out.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def restore_config(content: dict[str, Any], original: dict[str, Any]) -> None:
    """Keep the trained model's configuration; only the quantization is new."""
    quantization = content["quantization_config"]
    content.clear()
    content.update(original)
    content["quantization_config"] = quantization


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--samples", type=int, default=96)
    given = parser.parse_args()
    samples = calibration(given.trained, given.samples)
    with tempfile.TemporaryDirectory() as work:
        step = Path(work) / "quantized"
        quantize(given.trained, step, samples)
        adapt(given.trained, step, given.rank, samples[: given.samples // 2])
        assemble(given.trained, step, given.out, given.rank)
    print(sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file()), "bytes")


if __name__ == "__main__":
    main()

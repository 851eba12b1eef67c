"""What a model folder holds and how it would lie in memory, as one JSON object: `python -m app.engine inspect`.

Knows: checkpoints, plans, the GPU's free memory. Does not know: how it is shown (`app.inspect`). Nothing is loaded and
nothing is computed on the GPU: its memory is asked of the driver.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from app.engine.capacity import contents_of, wanted_fits
from app.engine.checkpoint import Checkpoint
from app.engine.config import read_json, stretched
from app.engine.devices import choose_device, device_name
from app.engine.errors import CheckpointError
from app.engine.layout import vision_shapes
from app.engine.memory import gpu_at_rest
from app.engine.prompt import PromptError
from app.engine.rope import YARN_WARNING
from app.engine.sizes import gpu_sizes
from app.engine.template import ChatTemplate
from app.engine.wire import claim_stdout
from app.plan import Plan, Sizes, make_plan

_FLOATS = {torch.bfloat16: "BF16", torch.float16: "FP16", torch.float32: "FP32"}


def serve(order: str) -> int:
    """Inspect as `order` says, a JSON object {"folder", "context", "yarn", "memory", "kv_bits"}, and print one: what
    was found, or {"error": a sentence}. `memory` are bytes of an imagined GPU, `context` and `memory` may be null;
    without `kv_bits` keys and values take 16 bits."""
    descriptor = claim_stdout()
    asked = json.loads(order)
    try:
        bits = 8 if asked.get("kv_bits") == 8 else 16
        found = inspected(Path(asked["folder"]), asked["context"], asked["yarn"], asked["memory"], kv_bits=bits)
    except (CheckpointError, PromptError) as error:
        found = {"error": str(error)}
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(found) + "\n")
    return 0


def inspected(folder: Path, context: int | None, yarn: int, memory: int | None, *, kv_bits: int = 16) -> dict[str, Any]:
    """Both parts of the answer. Raises `CheckpointError`, `PromptError`."""
    checkpoint = Checkpoint(folder)
    found = _contents(checkpoint)
    checkpoint.config = stretched(checkpoint.config, yarn)
    wanted_fits(checkpoint.config, context)
    if yarn != 1:
        found["odd"].append(YARN_WARNING)
    return {"model": found, "memory": _memory(checkpoint, context, memory, kv_bits)}


def _contents(checkpoint: Checkpoint) -> dict[str, Any]:
    config, text, eora = checkpoint.config, checkpoint.config.text, checkpoint.eora
    names = list(checkpoint.shards)
    files = {checkpoint.shards[name].shard for name in names}
    if eora is not None:
        files |= {eora.shards[name].shard for pair in eora.names.values() for name in pair}
    kinds = Counter(text.layer_kinds)
    return {
        "name": config.name,
        "path": str(checkpoint.folder),
        "precision": config.precision,
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "layers": {"gated_delta": kinds["linear_attention"], "full_attention": kinds["full_attention"]},
        "linears": _linears(checkpoint),
        "eora": eora
        and {
            "linears": len(eora.names),
            "ranks": sorted({eora.rank(name) for name in eora.names}),
            "adapter": eora.shards is not checkpoint.shards,
        },
        "vision": config.vision and {"layers": config.vision.depth, "patch": config.vision.patch},
        "mtp": any(name.startswith("mtp.") for name in names),
        "template": _present(lambda: ChatTemplate(checkpoint.folder)),
        "native_context": config.native_context,
        "odd": _odd(checkpoint),
    }


def _linears(checkpoint: Checkpoint) -> dict[str, dict[str, int]]:
    """How many linears of each kind are stored in which precision."""
    counted: dict[str, Counter[str]] = {}
    for name in checkpoint.linears:
        kind = next((kind for kind in ("mlp", "linear_attn", "self_attn") if f".{kind}." in name), "head")
        bits = checkpoint.packed_bits.get(name)
        stored = f"INT{bits}" if bits else _FLOATS[checkpoint.shards[f"{name}.weight"].dtype]
        counted.setdefault(kind, Counter())[stored] += 1
    return {kind: dict(counts) for kind, counts in counted.items()}


def _odd(checkpoint: Checkpoint) -> list[str]:
    """Sentences about what is not as usual, though it does not keep the model from running."""
    config, folder = checkpoint.config, checkpoint.folder
    vision, odd = config.vision, []
    if checkpoint.packed_bits and checkpoint.eora is None:
        odd.append("It is quantized without EoRA.")
    if vision is None:
        odd.append("It cannot see: there is no vision tower.")
    odd += _said(lambda: ChatTemplate(folder))
    known = {entry for name in (*checkpoint.linears, *checkpoint.plain_names) for entry in checkpoint.entries(name)}
    tower = vision_shapes(vision) if vision else {}
    unused = [
        name
        for name in checkpoint.shards
        if checkpoint.shards[name] not in known and name not in tower and not name.startswith("mtp.")
    ]
    if unused:
        odd.append(f"{len(unused):,} tensors mean nothing to Parley and are not read ({unused[0][:80]}).")
    index = folder / "model.safetensors.index.json"
    total = read_json(index).get("metadata", {}) if index.exists() else {}
    stored = sum(checkpoint.shards[name].nbytes for name in checkpoint.shards)
    if isinstance(total, dict) and total.get("total_size") not in (None, stored):
        odd.append(f"Its index speaks of {total['total_size']} bytes of weights, and there are {stored:,}.")
    return odd


def _present(read: Callable[[], object]) -> bool:
    return not _said(read)


def _said(read: Callable[[], object]) -> list[str]:
    """What is said against a file, if anything is."""
    try:
        read()
    except CheckpointError as error:
        return [str(error)]
    return []


def _memory(checkpoint: Checkpoint, context: int | None, imagined: int | None, kv_bits: int) -> dict[str, Any] | None:
    """The plan on this computer's GPU, or on an imagined one; None without either. Sizes also for the other choice of
    what keys and values are kept in, so that a face can show both."""
    if imagined is not None:
        name, free, total = "a GPU", imagined, imagined
    elif torch.cuda.is_available():
        device = choose_device("cuda")
        name, (free, total) = device_name(device), gpu_at_rest(device)
    else:
        return None
    contents = contents_of(checkpoint)
    either = {bits: gpu_sizes(contents, kv_bits=bits, context_taken=False) for bits in (16, 8)}
    plan = plan_plain(make_plan(either[kv_bits], free, context))
    by_bits = {str(bits): _plain(sizes) for bits, sizes in either.items()}
    return {"device": name, "total": total, "kv_bits": kv_bits, **plan, "sizes_by_kv_bits": by_bits}


def plan_plain(plan: Plan) -> dict[str, Any]:
    """A plan as JSON wants it; sizes in bytes."""
    return {
        "free": plan.free,
        "context": plan.context,
        "fits": plan.fits,
        "needed": plan.needed,
        "missing": plan.missing,
        "largest_context": plan.largest,
        "bytes_a_token": plan.sizes.token,
        "vision": "none" if not plan.sizes.tower else "parked" if plan.tower_parked else "gpu",
        "embeddings": "host" if plan.embeddings_outside else "gpu",
        "parts": plan.parts,
        "host": plan.outside,
        "sizes": _plain(plan.sizes),
    }


def _plain(sizes: Sizes) -> dict[str, int]:
    return {field.name: getattr(sizes, field.name) for field in fields(sizes)}

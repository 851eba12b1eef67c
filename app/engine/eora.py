"""Finds the EoRA correction of a quantized checkpoint, in either form, and says which tensors make it up.

Knows: adapter files in the PEFT layout (in the folder or a sub-folder), `lora_A`/`lora_B` tensors beside each
`qweight`, and where a checkpoint promises EoRA. Does not know: what a correction is used for. A promise without
tensors, and a correction of only some of the layers, are refused: the model would silently answer worse.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine.config import Section, read_json
from app.engine.errors import CheckpointError
from app.engine.shards import Shards, read_header

_ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = "adapter_model.safetensors"
_KEY_PREFIX = "base_model.model."
_CARD_LIMIT = 2**18


@dataclass(frozen=True, slots=True)
class EoraSource:
    """Where the corrections are. `names` maps a linear to its two tensors; `transposed` tells PEFT's [r, in] and
    [out, r] from [in, r] and [r, out]; the product is to be multiplied by `scale`."""

    shards: Shards
    names: dict[str, tuple[str, str]]
    transposed: bool
    scale: float

    def rank(self, linear: str) -> int:
        """The rank of one linear's correction."""
        return self.shards[self.names[linear][0]].shape[0 if self.transposed else 1]


def find_eora(
    folder: Path, shards: Shards, quantized: dict[str, tuple[int, int]], settings: dict[str, Any]
) -> EoraSource | None:
    """The correction of the quantized linears (name → (out, in)), or None if there is none and none was promised.

    `settings` is the quantization configuration. Raises `CheckpointError`.
    """
    beside = {
        name: (f"{name}.lora_A", f"{name}.lora_B")
        for name in quantized
        if f"{name}.lora_A" in shards or f"{name}.lora_B" in shards
    }
    adapter = _find_adapter(folder)
    if adapter is not None and beside:
        raise CheckpointError(
            f"{folder.name} holds EoRA twice, in its weights and in {adapter.name}; remove the adapter files."
        )
    if adapter is not None and not quantized:
        raise CheckpointError(
            f"{folder.name} is not quantized and has an adapter, which Parley adds to quantized layers only; "
            "remove the adapter files."
        )
    if adapter is not None:
        source: EoraSource | None = _read_adapter(adapter, set(quantized))
    else:
        source = EoraSource(shards, beside, transposed=False, scale=1.0) if beside else None
    if source is None:
        promise = _promise(folder, settings) if quantized else None
        if promise:
            raise CheckpointError(
                f"{promise} promises EoRA, but {folder.name} holds no EoRA weights; download the adapter files too."
            )
        return None
    _check(folder, source, quantized)
    return source


def _find_adapter(folder: Path) -> Path | None:
    """The folder with PEFT files: the model's own or one right below it."""
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    places = [p for p in (folder, *below) if (p / _ADAPTER_CONFIG).exists() or (p / _ADAPTER_WEIGHTS).exists()]
    if len(places) > 1:
        raise CheckpointError(
            f"{folder.name} holds {len(places)} adapters ({places[0].name}, {places[1].name}); keep only one of them."
        )
    if not places:
        return None
    for name in (_ADAPTER_CONFIG, _ADAPTER_WEIGHTS):
        if not (places[0] / name).exists():
            raise CheckpointError(f"{name} is missing in {places[0]}; download the adapter's files again.")
    return places[0]


def _read_adapter(place: Path, linears: set[str]) -> EoraSource:
    config = Section(read_json(place / _ADAPTER_CONFIG), f"{_ADAPTER_CONFIG} of {place.name}")
    config.expect("peft_type", "LORA", None)
    for name in ("fan_in_fan_out", "use_dora"):
        config.expect(name, False, None)
    config.expect("alpha_pattern", {}, None)
    rank = config.integer("r", 1, 2**14)
    alpha = config.number("lora_alpha", 0.0, 1e6, float(rank))
    scale = alpha / (math.sqrt(rank) if config.plain.get("use_rslora") is True else rank)
    shards = Shards(read_header(place / _ADAPTER_WEIGHTS))
    names: dict[str, tuple[str, str]] = {}
    for key in shards:
        name = key.removeprefix(_KEY_PREFIX).removesuffix(".lora_A.weight")
        if key.endswith(".lora_A.weight") and not name.startswith("mtp."):
            names[name] = (key, key.replace(".lora_A.weight", ".lora_B.weight"))
    foreign = next((name for name in names if name not in linears), None)
    if foreign is not None:
        raise CheckpointError(
            f"The adapter in {place.name} is for {foreign[:80]}, which is no quantized layer here; "
            "download the adapter that belongs to the model."
        )
    return EoraSource(shards, names, transposed=True, scale=scale)


def _promise(folder: Path, settings: dict[str, Any]) -> str | None:
    """What says that this checkpoint comes with EoRA, if anything does."""
    meta = settings.get("meta")
    if settings.get("adapter") or (isinstance(meta, dict) and "eora" in str(meta).lower()):
        return "Its quantization configuration"
    card = folder / "README.md"
    if card.is_file():
        with card.open("rb") as file:
            if re.search(rb"\bEoRA\b", file.read(_CARD_LIMIT)):
                return "Its README.md"
    return None


def _check(folder: Path, source: EoraSource, quantized: dict[str, tuple[int, int]]) -> None:
    without = [name for name in quantized if name not in source.names]
    if without:
        raise CheckpointError(
            f"EoRA covers only {len(source.names)} of the {len(quantized)} quantized layers of {folder.name} "
            f"(not {without[0]}); download the model again."
        )
    for name, (a, b) in source.names.items():
        out, into = quantized[name]
        if a in source.shards and b in source.shards:
            rank = source.rank(name)
            wanted = ((rank, into), (out, rank)) if source.transposed else ((into, rank), (rank, out))
            if (source.shards[a].shape, source.shards[b].shape) == wanted and rank > 0:
                continue
        raise CheckpointError(f"The EoRA weights of {name} do not fit {folder.name}; download the adapter again.")

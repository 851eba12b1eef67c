"""What the engine found in a model folder, in words and columns for a person. Knows its JSON, asks nobody."""

from typing import Any

_KINDS = {
    "mlp": "feed-forward",
    "linear_attn": "Gated DeltaNet",
    "self_attn": "full attention",
    "head": "output",
}
_PARTS = {
    "weights": "language model",
    "embeddings": "embedding table",
    "vision": "vision tower",
    "context": "context",
    "state": "recurrent state",
    "workspace": "working space",
    "library": "driver and libraries",
    "reserve": "left to other programs",
}
_IN_BYTES = ", keys and values in 8 bits,"
_PARKED = "  The vision tower waits in the computer's memory until a picture comes."
_OUTSIDE = "  The embedding table stays in the computer's memory; each token fetches its row from there."


def report(found: dict[str, Any]) -> str:
    """Everything, as lines."""
    lines = [*_model(found["model"]), ""]
    memory = found["memory"]
    if memory is None:
        lines.append("No NVIDIA GPU can be used here; see what one would need with --memory GB.")
    else:
        lines += _memory(memory, found["model"]["native_context"])
    return "\n".join(lines)


def contents(model: dict[str, Any]) -> dict[str, str]:
    """What a model's folder holds: the name of each thing → the words for it."""
    layers, eora, vision = model["layers"], model["eora"], model["vision"]
    ranks = ", ".join(str(rank) for rank in eora["ranks"]) if eora else ""
    where = "an adapter file" if eora and eora["adapter"] else "beside the weights"
    return {
        "precision": model["precision"],
        "stored": f"{_gb(model['bytes'])} in {model['files']} files",
        "layers": f"{layers['gated_delta']} Gated DeltaNet, {layers['full_attention']} full attention",
        "linears": "; ".join(f"{_KINDS[kind]} {_counts(counts)}" for kind, counts in model["linears"].items()),
        "EoRA": f"{eora['linears']} linears, rank {ranks}, {where}" if eora else "none",
        "vision": f"{vision['layers']} layers, patches of {vision['patch']} pixels" if vision else "none",
        "MTP": "stored, not used" if model["mtp"] else "none",
        "template": "its own" if model["template"] else "unusable",
        "context": f"{model['native_context']:,} tokens",
    }


def _model(model: dict[str, Any]) -> list[str]:
    lines = [model["name"], *(f"  {name:<10} {value}" for name, value in contents(model).items())]
    return lines + [f"  note       {sentence}" for sentence in model["odd"]]


def _counts(counts: dict[str, int]) -> str:
    return " + ".join(f"{count} {precision}" for precision, count in counts.items())


def _memory(memory: dict[str, Any], native: int) -> list[str]:
    lines = [
        f"{memory['device']}: {_gb(memory['free'])} of {_gb(memory['total'])} free; "
        f"with a context of {memory['context']:,} tokens{_IN_BYTES if memory['kv_bits'] == 8 else ''} "
        f"it needs {_gb(memory['needed'])}"
    ]
    lines += [f"  {_PARTS[name]:<24}{_gb(size):>10}" for name, size in memory["parts"].items() if size]
    lines += [_PARKED] if memory["vision"] == "parked" else []
    lines += [_OUTSIDE] if memory["embeddings"] == "host" else []
    largest = memory["largest_context"]
    if memory["fits"]:
        most = "all that the model takes" if largest >= native else "the largest context that fits now"
        lines.append(f"It fits; {largest:,} tokens are {most}.")
    elif largest:
        lines.append(f"{_gb(memory['missing'])} are missing; {largest:,} tokens are the largest context that fits now.")
    else:
        lines.append(f"It does not fit: {_gb(memory['missing'])} are missing even with the smallest context.")
    return lines


def _gb(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 10**9 else f"{count / 1e9:.2f} GB"

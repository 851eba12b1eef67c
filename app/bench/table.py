"""The figures of `parley bench` as a table for a person. Knows only their names."""

from collections.abc import Iterator
from typing import Any


def table(found: dict[str, Any]) -> str:
    """Everything that was measured, one line each: the figure, its floor, how near it comes."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    versions = found["versions"]
    yield f"{found['model']} ({found['precision']}) on {found['device']}, {found['date']}, torch {versions['torch']}"
    yield from found["notes"]
    best = found["ceilings"]
    yield (
        f"The device reads {best['read_bytes_a_second'] / 1e9:.0f} GB/s and multiplies "
        f"{best['dense_operations_a_second'] / 1e12:.3g} Tflop/s."
    )
    yield ""
    yield _row("", "measured", "floor", "of it")
    load = found["load"]
    size = f"load {load['bytes'] / 1e9:.2f} GB"
    yield _row(size, f"{load['seconds']:.2f} s", f"{load['floor_seconds']:.2f} s", _share(load))
    yield _row("  ready for the first token", f"{load['ready_seconds']:.2f} s")
    yield _row("  peak host memory", f"{load['host_peak_bytes'] / 2**30:.2f} GiB")
    if load["gpu_peak_bytes"]:
        over = load["gpu_peak_bytes"] - load["weight_bytes"]
        yield _row("  peak GPU memory over the weights", f"{over / 2**30:.2f} GiB")
    first = found["first_token"]
    yield _row(f"first token, prompt of {first['prompt']}", f"{first['first_seconds'] * 1e3:.0f} ms")
    yield _row("  the same again", f"{first['second_seconds'] * 1e3:.0f} ms")
    for row in found["prompts"]:
        floor = f"{row['tokens'] / row['floor_seconds']:,.0f} tok/s"
        yield _row(f"prompt of {row['tokens']:,}", f"{row['tokens_a_second']:,.0f} tok/s", floor, _share(row))
    for row in found["decode"]:
        floor = f"{1 / row['floor_seconds']:.1f} tok/s"
        yield _row(f"decode {row['depth']:,} deep", f"{row['tokens_a_second']:.1f} tok/s", floor, _share(row))
        yield _row(f"  first token of {row['new_tokens']} more", f"{row['new_tokens_seconds'] * 1e3:.0f} ms")
    if "memory" in found:
        memory = found["memory"]
        over = f"{memory['over_weights_bytes'] / 2**30:.2f} GiB"
        yield _row(f"peak over the weights, context {memory['context']:,}", over)


def _row(name: str, measured: str, floor: str = "", share: str = "") -> str:
    return f"{name:36}{measured:>16}{floor:>18}{share:>8}".rstrip()


def _share(row: dict[str, float]) -> str:
    return f"{row['share']:.0%}"

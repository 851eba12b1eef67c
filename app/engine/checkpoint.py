"""A model folder, opened and checked before anything large is read: what is in it, and each part when asked.

Knows: quantization settings, completeness, and how one linear is put together from its stored tensors. Does not know:
how the model computes. Nothing in the folder runs: `auto_map` and pickles are never followed.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.config import ModelConfig, Section, read_config, read_json
from app.engine.eora import EoraSource, find_eora
from app.engine.errors import CheckpointError
from app.engine.layout import Shape, linear_shapes, plain_shapes, vision_shapes
from app.engine.quantized import Eora, PackedWeight, true_zeros
from app.engine.shards import Entry, Shards, Source, open_folder

_PACKED_PARTS = ("qweight", "qzeros", "scales", "g_idx")
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_PRECISIONS = {torch.bfloat16: "BF16", torch.float16: "FP16", torch.float32: "FP32"}


@dataclass(frozen=True, slots=True)
class Quantization:
    """The settings in `quantize_config.json` (or in `config.json`). `rules` are GPTQModel's `dynamic`, in order."""

    bits: int
    rules: tuple[tuple[re.Pattern[str], bool, dict[str, Any]], ...]
    zeros_less_one: bool
    plain: dict[str, Any]

    def bits_of(self, linear: str) -> int | None:
        """The bits of a linear, None where it is left unquantized. As GPTQModel does: the first rule whose pattern
        matches the beginning of the name decides; a rule that begins with "-:" leaves the linear as it is.
        """
        for pattern, negative, overrides in self.rules:
            if pattern.match(linear):
                return None if negative else int(overrides.get("bits", self.bits))
        return self.bits


class Checkpoint:
    """An opened model folder: its configuration, and its tensors when asked. Raises `CheckpointError` on opening."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: Shards = open_folder(folder)
        self.config: ModelConfig = read_config(folder)
        self.quantization = read_quantization(folder)
        self.linears = linear_shapes(self.config)
        self.packed_bits = self._check_linears()
        self.plain_names = tuple(plain_shapes(self.config))
        self._check_plain(plain_shapes(self.config))
        if self.config.vision is not None:
            self._check_plain(vision_shapes(self.config.vision))
        packed = {name: (self.linears[name][0], self.linears[name][1]) for name in self.packed_bits}
        settings = self.quantization.plain if self.quantization else {}
        self.eora: EoraSource | None = find_eora(folder, self.shards, packed, settings)
        self.config = replace(self.config, precision=self._precision())

    def plain(self, name: str, device: torch.device) -> Tensor:
        """A tensor that is stored as it is."""
        return self.shards.read(name, device)

    def packed(self, linear: str, device: torch.device) -> PackedWeight | None:
        """A linear's packed weight, or None if it is stored plainly as `<linear>.weight`."""
        bits = self.packed_bits.get(linear)
        if bits is None:
            return None
        codes, zeros, scales, groups = (self.shards.read(f"{linear}.{part}", device) for part in _PACKED_PARTS)
        least, most = torch.stack(groups.aminmax()).tolist()
        if least < 0 or most >= scales.shape[0]:
            raise CheckpointError(f"{linear}.g_idx names groups that do not exist; download the model again.")
        if self.quantization is not None and self.quantization.zeros_less_one:
            zeros = true_zeros(zeros, bits)
        return PackedWeight(codes, zeros, scales.to(torch.float16), groups, bits)

    def correction(self, linear: str, device: torch.device) -> Eora | None:
        """A packed linear's EoRA, already scaled, or None."""
        if self.eora is None:
            return None
        a, b = (self.eora.shards.read(name, device) for name in self.eora.names[linear])
        if self.eora.transposed:
            a, b = a.T.contiguous(), b.T.contiguous()
        return Eora(a, b if self.eora.scale == 1.0 else b.float() * self.eora.scale)

    def stored_bytes(self, linear_or_tensor: str) -> int:
        """How many bytes of the files make up a linear (by its module name) or another tensor (by its full name)."""
        return sum(entry.nbytes for entry in self.entries(linear_or_tensor))

    def entries(self, linear_or_tensor: str) -> list[Entry]:
        """The stored tensors that make up a linear (by its module name) or another tensor (by its full name)."""
        names = [linear_or_tensor, f"{linear_or_tensor}.weight"]
        names += [f"{linear_or_tensor}.{part}" for part in _PACKED_PARTS]
        found = [self.shards[name] for name in names if name in self.shards]
        if self.eora is not None and linear_or_tensor in self.eora.names:
            found += [self.eora.shards[name] for name in self.eora.names[linear_or_tensor]]
        return found

    def read_through(self, source: Source | None) -> None:
        """From now on take every tensor from `source`, or from the files again."""
        self.shards.source = source
        if self.eora is not None:
            self.eora.shards.source = source

    def _check_linears(self) -> dict[str, int]:
        """The bits of every packed linear; raises for what is missing or does not fit."""
        packed: dict[str, int] = {}
        plain: dict[str, Shape] = {}
        for name, (out, into) in self.linears.items():
            if f"{name}.qweight" in self.shards:
                packed[name] = self._check_packed(name, out, into)
            else:
                plain[f"{name}.weight"] = (out, into)
        self._check_plain(plain)
        if packed and self.quantization is None:
            raise CheckpointError(
                f"{self.folder.name} is quantized but has no quantize_config.json; download that file too."
            )
        return packed

    def _check_packed(self, name: str, out: int, into: int) -> int:
        self._require([f"{name}.{part}" for part in _PACKED_PARTS])
        codes, zeros, scales, groups = (self.shards[f"{name}.{part}"] for part in _PACKED_PARTS)
        rows = codes.shape[0] if len(codes.shape) == 2 else 0
        bits = rows * 32 // into
        count = scales.shape[0] if scales.shape else 0
        fits = (
            codes.dtype == zeros.dtype == torch.int32
            and scales.dtype in _FLOATS
            and codes.shape == (into * bits // 32, out)
            and zeros.shape == (count, out * bits // 32)
            and scales.shape == (count, out)
            and groups.shape == (into,)
            and into % 32 == out % 32 == 0
        )
        if not fits:
            raise self._misfit(name)
        claimed = self.quantization.bits_of(name) if self.quantization else bits
        if bits not in (4, 8) or claimed not in (bits, None):
            raise CheckpointError(
                f"{name} is stored with {bits} bits where {claimed} are configured; Parley reads 4 and 8, "
                "so download the model again or choose another."
            )
        return bits

    def _check_plain(self, shapes: dict[str, Shape]) -> None:
        self._require(list(shapes))
        for name, shape in shapes.items():
            entry = self.shards[name]
            if entry.shape != shape or entry.dtype not in _FLOATS:
                raise self._misfit(name)

    def _require(self, names: list[str]) -> None:
        missing = [name for name in names if name not in self.shards]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CheckpointError(f"{self.folder.name} lacks {missing[0]}{more}; download the model again.")

    def _misfit(self, name: str) -> CheckpointError:
        return CheckpointError(
            f"{name} of {self.folder.name} has another shape than config.json describes; download the model again."
        )

    def _precision(self) -> str:
        """How the weights are stored, for the person: "INT4 · INT8 attention · EoRA 64"."""
        if not self.packed_bits:
            return _PRECISIONS[self.shards[self.plain_names[0]].dtype]
        attention = {bits for name, bits in self.packed_bits.items() if ".self_attn." in name}
        others = {bits for name, bits in self.packed_bits.items() if ".self_attn." not in name}
        parts = ["/".join(f"INT{bits}" for bits in sorted(others or attention))]
        if attention and others and attention != others:
            parts.append("/".join(f"INT{bits}" for bits in sorted(attention)) + " attention")
        if self.eora is not None:
            ranks = sorted({self.eora.rank(name) for name in self.packed_bits})
            parts.append("EoRA " + "/".join(str(rank) for rank in ranks))
        return " · ".join(parts)


def read_quantization(folder: Path) -> Quantization | None:
    """The quantization settings of a model folder, None where there are none. Raises `CheckpointError`."""
    own = folder / "quantize_config.json"
    plain: Any = read_json(own) if own.exists() else read_json(folder / "config.json").get("quantization_config")
    if plain is None:
        return None
    section = Section(plain, f"The quantization configuration of {folder.name}")
    section.expect("quant_method", "gptq", None)
    section.expect("method", "gptq", None)
    for name in ("checkpoint_format", "format"):
        section.expect(name, "gptq", "gptq_v2", None)
    section.expect("pack_dtype", "int32", None)
    section.expect("rotation", None, "")
    rules = []
    dynamic = section.plain.get("dynamic") or {}
    for pattern, overrides in Section(dynamic, f'{section.where}, "dynamic"').plain.items():
        try:
            compiled = re.compile(pattern.removeprefix("-:").removeprefix("+:"))
        except re.error as error:
            raise CheckpointError(
                f"A rule in the quantization configuration of {folder.name} cannot be read ({pattern[:60]!r}); "
                "download that file again."
            ) from error
        rule = Section(overrides or {}, f'{section.where}, "dynamic"')
        rule.integer("bits", 1, 32, 4)
        rules.append((compiled, pattern.startswith("-:"), rule.plain))
    return Quantization(
        bits=section.integer("bits", 1, 32),
        rules=tuple(rules),
        zeros_less_one=(section.plain.get("checkpoint_format") or section.plain.get("format")) != "gptq_v2",
        plain=section.plain,
    )

"""Writes a made-up model as a checkpoint folder: the card's names, format and shards, at the speed of the disk.

Knows: safetensors, the files beside the weights. Does not know: what the numbers are (`synthetic`). Where every tensor
goes follows from the shapes alone, so tensors are written as they come, several at a time, and never gathered.
"""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app import paths
from app.bench.synthetic import GROUP, PREFIX, Size, SyntheticWeights, bits_of, plain_values
from app.engine.config import read_json
from app.engine.layout import linear_shapes, plain_shapes, vision_shapes

SHARD_BYTES = 4 * 10**9
VALID = 248_077
"""Ids that mean something; the 27B's vocabulary is padded beyond them."""
_CONFIG = "config.json"
_TOKENIZER = "tokenizer.json"
_MADE = "synthetic.json"
_AT_ONCE = 4
_DTYPES = {torch.float16: "F16", torch.int32: "I32"}
_COPIED = (
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
)
_QUANTIZATION: dict[str, Any] = {
    "bits": 4,
    "group_size": GROUP,
    "desc_act": True,
    "sym": True,
    "quant_method": "gptq",
    "checkpoint_format": "gptq",
    "pack_dtype": "int32",
    "lm_head": False,
    "dynamic": {r"+:.*\.self_attn\..*": {"bits": 8}, r"-:.*\.in_proj_[ab]$": {}},
    "meta": {"quantizer": ["gptqmodel:7.7.0"]},
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of the folder: its element type and shape."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * self.dtype.itemsize


class FolderError(Exception):
    """The folder cannot be used; its text is a sentence for the person."""


def made(folder: Path, name: str, size: Size, device: torch.device, progress: Callable[[int, int], None]) -> int:
    """Make the model of that name in a folder that is new or empty, or find it there from before; its bytes of weights.
    `progress(done, total)` counts them. Raises `FolderError`."""
    files = _files(size)
    total = sum(stored.nbytes for tensors in files.values() for stored in tensors.values())
    if (folder / _MADE).is_file() and read_json(folder / _MADE).get("synthetic") == name:
        return total
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderError(f"{folder} is not empty and holds no finished model made up as {name}; name a new folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < total * 1.01:
            raise FolderError(f"{folder} has {free / 1e9:.1f} GB free, {total / 1e9:.1f} are needed; name another.")
        _write_small_files(folder, size)
        _write_weights(folder, files, size, device, lambda done: progress(done, total))
        _write_json(folder / _MADE, {"synthetic": name})  # last: a folder that has it is whole
    except OSError as error:
        raise FolderError(f"{folder} cannot be written to ({error.strerror}); name another folder.") from error
    return total


def _files(size: Size) -> dict[str, dict[str, Stored]]:
    """Which tensors there are, file by file: shards layer by layer, and EoRA as a PEFT adapter."""
    names = sorted((*plain_shapes(size.model), *linear_shapes(size.model)), key=_place)
    shards: list[dict[str, Stored]] = [{}]
    adapter: dict[str, Stored] = {}
    for name in (*names, *vision_shapes(size.vision)):
        tensors, more = _parts(name, size)
        if sum(stored.nbytes for stored in (*shards[-1].values(), *tensors.values())) > SHARD_BYTES and shards[-1]:
            shards.append({})
        shards[-1] |= tensors
        adapter |= more
    named = {f"model-{i:05}-of-{len(shards):05}.safetensors": shard for i, shard in enumerate(shards, 1)}
    return {**named, "eora/adapter_model.safetensors": adapter}


def _place(name: str) -> tuple[int, int]:
    inner = name.removeprefix(PREFIX)
    if inner.startswith("layers."):
        return 1, int(inner.split(".")[1])
    return (0, 0) if inner.startswith("embed") else (2, 0)


def _parts(name: str, size: Size) -> tuple[dict[str, Stored], dict[str, Stored]]:
    """The tensors of one linear or plain tensor: those of the model, those of the adapter."""
    shape = linear_shapes(size.model).get(name)
    if shape is None:
        plain = {**plain_shapes(size.model), **vision_shapes(size.vision)}[name]
        return {name: Stored(torch.float16, plain)}, {}
    bits, (out, into) = bits_of(name), shape
    if bits == 16:
        return {f"{name}.weight": Stored(torch.float16, shape)}, {}
    groups, key = into // GROUP, f"base_model.model.{name}"
    model = {
        f"{name}.qweight": Stored(torch.int32, (into * bits // 32, out)),
        f"{name}.qzeros": Stored(torch.int32, (groups, out * bits // 32)),
        f"{name}.scales": Stored(torch.float16, (groups, out)),
        f"{name}.g_idx": Stored(torch.int32, (into,)),
    }
    adapter = {
        f"{key}.lora_A.weight": Stored(torch.float16, (size.rank, into)),
        f"{key}.lora_B.weight": Stored(torch.float16, (out, size.rank)),
    }
    return model, adapter


def _values(size: Size, device: torch.device) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the folder with its name, one after another."""
    weights = SyntheticWeights(size, device)
    for name, shape in [*plain_shapes(size.model).items(), *vision_shapes(size.vision).items()]:
        yield name, plain_values(name, shape, weights.generator(name.removeprefix(PREFIX))).half()
    for full in linear_shapes(size.model):
        name = full.removeprefix(PREFIX)
        if bits_of(name) == 16:
            yield f"{full}.weight", plain_values(name, weights.shapes[name], weights.generator(name)).half()
            continue
        packed, eora = weights.quantized(name)
        yield f"{full}.qweight", packed.codes
        yield f"{full}.qzeros", packed.zeros - (0x11111111 if packed.bits == 4 else 0x01010101)
        yield f"{full}.scales", packed.scales
        yield f"{full}.g_idx", packed.group_of
        yield f"base_model.model.{full}.lora_A.weight", eora.a.T
        yield f"base_model.model.{full}.lora_B.weight", eora.b.T


def _write_weights(
    folder: Path,
    files: dict[str, dict[str, Stored]],
    size: Size,
    device: torch.device,
    progress: Callable[[int], None],
) -> None:
    places: dict[str, tuple[Path, int, Stored]] = {}
    for file, tensors in files.items():
        (folder / file).parent.mkdir(exist_ok=True)
        begin = _write_header(folder / file, tensors)
        for name, stored in tensors.items():
            places[name] = (folder / file, begin, stored)
            begin += stored.nbytes
    done = 0
    writing: list[Future[int]] = []
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for name, tensor in _values(size, device):
            path, begin, stored = places.pop(name)
            if (tensor.dtype, tuple(tensor.shape)) != (stored.dtype, stored.shape):
                raise ValueError(f"{name} is made otherwise than it was planned")
            writing.append(threads.submit(_write_at, path, begin, tensor.contiguous().cpu()))
            while len(writing) > _AT_ONCE:
                done += writing.pop(0).result()
                progress(done)
        done += sum(future.result() for future in writing)
    if places:
        raise ValueError(f"{len(places)} tensors were planned and not made")
    progress(done)
    shards = {file: tensors for file, tensors in files.items() if "/" not in file}
    weight_map = {name: file for file, tensors in shards.items() for name in tensors}
    total = sum(stored.nbytes for tensors in shards.values() for stored in tensors.values())
    _write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def _write_header(path: Path, tensors: dict[str, Stored]) -> int:
    """The head of a safetensors file, padded to 8 bytes; where the values begin. The file gets its full size."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, stored in tensors.items():
        end = begin + stored.nbytes
        header[name] = {"dtype": _DTYPES[stored.dtype], "shape": list(stored.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + begin)
    return 8 + len(text)


def _write_at(path: Path, begin: int, tensor: Tensor) -> int:
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(tensor.view(-1).view(torch.uint8).numpy().data)
    return tensor.nbytes


def _write_small_files(folder: Path, size: Size) -> None:
    """Configurations, tokenizer, template and processors: the demo model's, stretched to this size."""
    demo = paths.demo_model_dir()
    for name in _COPIED:
        shutil.copyfile(demo / name, folder / name)
    text, vision, config = size.text, size.vision, read_json(demo / _CONFIG)
    config.pop("quantization_config", None)
    config["text_config"] |= {
        "vocab_size": text.vocab_size,
        "hidden_size": text.hidden_size,
        "intermediate_size": text.intermediate_size,
        "num_hidden_layers": len(text.layer_kinds),
        "layer_types": list(text.layer_kinds),
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.kv_heads,
        "linear_num_key_heads": text.linear_key_heads,
        "linear_num_value_heads": text.linear_value_heads,
        "max_position_embeddings": 262_144,
        "mtp_num_hidden_layers": 0,
    }
    config["vision_config"] |= {
        "depth": vision.depth,
        "hidden_size": vision.hidden_size,
        "intermediate_size": vision.intermediate_size,
        "num_heads": vision.heads,
        "out_hidden_size": vision.out_hidden_size,
        "num_position_embeddings": vision.position_grid**2,
    }
    _write_json(folder / _CONFIG, config)
    _write_json(folder / "quantize_config.json", _QUANTIZATION)
    (folder / "eora").mkdir(exist_ok=True)
    _write_json(folder / "eora" / "adapter_config.json", {"peft_type": "LORA", "r": size.rank, "lora_alpha": size.rank})
    tokenizer = read_json(demo / _TOKENIZER)
    ids = [*tokenizer["model"]["vocab"].values(), *(token["id"] for token in tokenizer["added_tokens"])]
    known = max(ids) + 1
    tokenizer["model"]["vocab"] |= {f"<{index}>": index for index in range(known, min(VALID, text.vocab_size))}
    _write_json(folder / _TOKENIZER, tokenizer)


def _write_json(path: Path, plain: Any) -> None:
    path.write_text(json.dumps(plain), encoding="utf-8")

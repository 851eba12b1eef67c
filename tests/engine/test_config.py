"""Configurations and headers that were damaged anywhere: an error that a person can read, or a model, nothing else."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.config import Section, read_config
from app.engine.errors import CheckpointError
from app.engine.pixels import read_processors
from app.engine.shards import read_header
from tests.checkpoints import config_json, write_json, write_small_files

ODD: tuple[Any, ...] = (None, "x", -1, 0, 3, 10**30, 1e308, float("nan"), [], [None, "a", 3], {}, {"a": 1}, True, False)


def places(plain: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every field of nested objects, as the names that lead to it."""
    for name, value in plain.items() if isinstance(plain, dict) else ():
        yield (*path, name)
        yield from places(value, (*path, name))


def changed(plain: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(plain))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    if value == "absent":
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "preprocessor_config.json", "video_preprocessor_config.json"]
)
def test_odd_values_anywhere_never_surprise(tmp_path: Path, name: str) -> None:
    write_small_files(tmp_path, config_json())
    whole = json.loads((tmp_path / name).read_text())
    refused = 0
    for path in places(whole):
        for value in ("absent", *ODD):
            write_json(tmp_path / name, changed(whole, path, value))
            try:
                config = read_config(tmp_path)
                if config.vision is not None:
                    read_processors(tmp_path, config.vision)
            except CheckpointError:
                refused += 1
    assert refused > 0 or name == "generation_config.json"


@pytest.mark.parametrize("odd", [*ODD, [{"content": "a"}], [{"content": 3, "id": 4}], [{"content": [], "id": 4}]])
def test_odd_tokenizers_never_surprise(tmp_path: Path, odd: Any) -> None:
    write_small_files(tmp_path, config_json())
    whole = json.loads((tmp_path / "tokenizer.json").read_text())
    for path in (("added_tokens",), ("model",), ("model", "vocab"), ("model", "vocab", "a")):
        write_json(tmp_path / "tokenizer.json", changed(whole, path, odd))
        with contextlib.suppress(CheckpointError):
            read_config(tmp_path)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=4),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["a", "dtype", "shape", "data_offsets", "__metadata__"]), inner)
            ),
            max_leaves=8,
        ),
    )
)
def test_odd_headers_never_surprise(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    header = content if isinstance(content, bytes) else json.dumps(content).encode()
    path = tmp_path_factory.getbasetemp() / "odd.safetensors"
    path.write_bytes((b"" if isinstance(content, bytes) else len(header).to_bytes(8, "little")) + header)
    try:
        entries = read_header(path)
    except CheckpointError:
        return
    assert sum(entry.nbytes for entry in entries.values()) + 8 + len(header) == path.stat().st_size


def test_a_value_out_of_bounds_is_named() -> None:
    section = Section({"size": 7}, "config.json of m")
    assert section.integer("size", 1, 7) == 7
    with pytest.raises(CheckpointError, match=r'config.json of m has no usable "size" \(7\)'):
        section.integer("size", 1, 6)

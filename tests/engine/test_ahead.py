"""Reading ahead: whatever the ring's size and the order within a group, the same bytes as reading directly."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.engine import shards
from app.engine.ahead import ReadAhead
from app.engine.errors import CheckpointError
from app.engine.shards import Entry, Shards, open_folder
from tests.checkpoints import save_weights

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    tensors = {f"layers.{i}.{part}": torch.randn(33, 7, generator=generator).half() for i in range(5) for part in "abc"}
    tensors["table"] = torch.randint(-(2**31), 2**31, (400, 9), generator=generator, dtype=torch.int32)
    tensors["scalar"], tensors["nothing"] = torch.tensor(3.5), torch.empty(0, 4)
    save_weights(tmp_path, tensors, shards=3)
    return tensors


def groups(opened: Shards) -> list[list[Entry]]:
    layers = [[opened[f"layers.{i}.{part}"] for part in "abc"] for i in range(5)]
    return [[opened["table"]], *layers, [opened["scalar"], opened["nothing"]]]


@pytest.mark.parametrize("ring", [1024, 4096, 2**20])
def test_everything_arrives(
    stored: dict[str, Tensor], tmp_path: Path, ring: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BLOCK", 2000)
    opened = open_folder(tmp_path)
    seen: list[int] = []
    with ReadAhead(groups(opened), CPU, seen.append, ring) as source:
        opened.source = source
        blocks = list(opened.blocks("table", CPU))
        assert [begin for begin, _ in blocks] == list(range(0, 400, 48))
        assert torch.equal(torch.cat([block for _, block in blocks]), stored["table"])
        for index in range(5):
            for part in "cab":
                name = f"layers.{index}.{part}"
                assert torch.equal(opened.read(name, CPU), stored[name])
        for name in ("nothing", "scalar"):
            assert torch.equal(opened.read(name, CPU), stored[name])
        assert torch.equal(opened.read("layers.0.a", CPU), stored["layers.0.a"])  # a second time
    assert seen == sorted(seen)
    assert seen[-1] == sum(tensor.nbytes for tensor in stored.values())


def test_what_is_asked_for_out_of_turn_comes_all_the_same(stored: dict[str, Tensor], tmp_path: Path) -> None:
    opened = open_folder(tmp_path)
    with ReadAhead(groups(opened), CPU, print) as source:
        opened.source = source
        for name in ("layers.4.b", "table", "layers.0.a"):
            assert torch.equal(opened.read(name, CPU), stored[name])


def test_more_than_there_is_is_refused_and_not_waited_for(stored: dict[str, Tensor], tmp_path: Path) -> None:
    opened = open_folder(tmp_path)
    with ReadAhead([[opened["scalar"]]], CPU, print) as source:
        source.read(opened["scalar"])
        with pytest.raises(ValueError, match="more was asked for"):
            source._fetched(8)


def test_a_file_that_is_gone_is_told_where_it_is_read(stored: dict[str, Tensor], tmp_path: Path) -> None:
    opened = open_folder(tmp_path)
    wanted = groups(opened)
    opened["layers.0.a"].shard.write_bytes(b"")
    opened["layers.0.b"].shard.write_bytes(b"")
    opened["table"].shard.write_bytes(b"")
    with ReadAhead(wanted, CPU, print) as source, pytest.raises(CheckpointError, match="download that file again"):
        source.read(opened["table"])

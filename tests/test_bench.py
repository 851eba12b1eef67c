"""`parley bench` as a person runs it, on a made-up model, and the folder that it makes."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from app.__main__ import main
from app.bench import ceilings
from app.bench import folder as folders
from app.bench.arguments import BenchOptions
from app.bench.folder import FolderError, made
from app.bench.synthetic import BIG, SMALL
from app.bench.table import table
from app.engine.ahead import PIECE, THREADS
from app.engine.checkpoint import Checkpoint
from app.paths import demo_model_dir

CPU = torch.device("cpu")


def quiet(_done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one run prints."""
    place = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "app", "bench", "--synthetic", "small", "--model", str(place / "made"), "--json"]
    command += ["--depths", "0,40", "--prompts", "64"]
    ran = subprocess.run(command, capture_output=True, timeout=100, check=True, env={"PARLEY_HOME": str(place)})
    plain: dict[str, Any] = json.loads(ran.stdout)
    return {**plain, "folder": place / "made"}


def test_every_figure_is_there_with_its_floor(found: dict[str, Any]) -> None:
    assert found["load"]["bytes"] > found["load"]["weight_bytes"] / 10 > 0
    assert 0 < found["load"]["floor_seconds"] < found["load"]["seconds"] < found["load"]["ready_seconds"]
    assert 2**26 < found["load"]["host_peak_bytes"] < 2**33
    assert [row["tokens"] for row in found["prompts"]] == [64]
    assert [row["depth"] for row in found["decode"]] == [0, 40]
    for row in (*found["prompts"], *found["decode"]):
        assert row["share"] == pytest.approx(row["floor_seconds"] / row["seconds"])
        assert 0 < row["share"] < 1.5
    shallow, deep = found["decode"]
    assert deep["bytes"] - shallow["bytes"] == 40 * 2 * 256 * 4  # keys and values of one layer, one head, in fp32
    assert found["notes"] == []


def test_the_floor_of_a_load_is_read_from_memory_by_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = (1, PIECE, 2 * PIECE + 5)
    for size in sizes:
        (tmp_path / str(size)).write_bytes(bytes(size))
    seen: list[int] = []
    read = ceilings._read_pieces

    def watched(pieces: Sequence[tuple[Path, int]]) -> int:
        seen.append(read(pieces))
        return seen[-1]

    monkeypatch.setattr(ceilings, "_read_pieces", watched)
    assert ceilings.file_seconds(sorted(tmp_path.iterdir())) > 0
    assert sum(seen) == 2 * sum(sizes)  # once for the page cache, once for the clock
    assert len(seen) == 2 * THREADS


def test_the_table_shows_them(found: dict[str, Any]) -> None:
    shown = table(found)
    assert f"{found['decode'][1]['tokens_a_second']:.1f} tok/s" in shown
    assert "decode 40 deep" in shown
    assert "prompt of 64" in shown


def test_what_was_made_is_whole_and_used_again(found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(found["folder"])
    assert checkpoint.config.text == SMALL.text
    assert checkpoint.config.vision == SMALL.vision
    assert checkpoint.eora is not None
    for file in found["folder"].rglob("*.safetensors"):
        for tensor in load_file(file).values():  # another reader than ours
            assert tensor.dtype in (torch.float16, torch.int32)
            assert bool(torch.isfinite(tensor.float()).all())
    monkeypatch.setattr(folders, "_write_weights", None)
    assert made(found["folder"], "small", SMALL, CPU, quiet) > 7_000_000
    with pytest.raises(FolderError, match="holds no finished model made up as 27b"):
        made(found["folder"], "27b", BIG, CPU, quiet)


def test_the_27b_has_the_cards_sizes(tmp_path: Path) -> None:
    files = folders._files(BIG)
    sizes = [sum(stored.nbytes for stored in tensors.values()) for tensors in files.values()]
    assert len(files) == 6
    assert max(sizes) <= folders.SHARD_BYTES
    assert sum(sizes) == pytest.approx(20.4e9, rel=0.005)
    folders._write_small_files(tmp_path, BIG)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    ids = {*tokenizer["model"]["vocab"].values(), *(token["id"] for token in tokenizer["added_tokens"])}
    assert ids == set(range(folders.VALID))


def test_a_folder_of_somebody_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FolderError, match="name a new folder"):
        made(tmp_path, "small", SMALL, CPU, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_mistakes_are_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--synthetic", "27b"], "name a new folder"),
        (["--depths", "1,x"], "--depths"),
        (["--prompts", "-3"], "--prompts"),
    ):
        monkeypatch.setattr(sys, "argv", ["parley", "bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    options = BenchOptions(str(demo_model_dir()), None, (), (1, 2), json=True)
    assert BenchOptions.from_json(options.to_json()) == options

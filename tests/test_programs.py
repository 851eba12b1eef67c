"""How Parley's other programs are started, from a checkout and frozen."""

import sys
from pathlib import Path

import pytest

from app import paths
from app.programs import DOWNLOADS, program


def test_a_checkout_runs_modules_in_the_folder_that_holds_them() -> None:
    engine = program("engine")
    assert engine.argv == [sys.executable, "-m", "app.engine"]
    assert (Path(engine.folder) / "app" / "engine" / "__main__.py").is_file()


def test_frozen_the_programs_lie_beside_this_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "parley"))
    assert program("decoder").argv == [str(tmp_path / "parley-decoder")]
    assert program("decoder").folder == str(tmp_path)
    assert program("downloader").argv == [str(tmp_path / "parley"), DOWNLOADS]


def test_a_relative_home_is_one_place_for_every_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARLEY_HOME", "portable")
    assert paths.cache_dir() == tmp_path / "portable" / "cache"

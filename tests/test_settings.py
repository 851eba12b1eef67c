"""Settings are declared once, survive a restart, and nonsense in their file does no harm."""

from dataclasses import replace
from pathlib import Path

import pytest

from app import paths, settings
from app.settings import Settings


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path))


def test_without_a_file_there_are_defaults_and_no_file_appears() -> None:
    assert settings.load() == Settings()
    assert not settings.settings_file().exists()


def test_what_was_saved_comes_back() -> None:
    wanted = replace(Settings(), theme="dark", context=8192, model="/models/qwen", thinking=False)
    settings.save(wanted)
    assert settings.load() == wanted


@pytest.mark.parametrize(
    "nonsense", ["", "{", "[]", '{"theme": "pink"}', '{"window_width": "wide"}', '{"unknown": 1}', "\x00"]
)
def test_nonsense_is_set_aside(nonsense: str) -> None:
    file = settings.settings_file()
    file.parent.mkdir(parents=True)
    file.write_text(nonsense)
    assert settings.load() == Settings()
    assert file.with_name("settings.broken.json").read_text() == nonsense
    assert not file.exists()


def test_an_empty_model_is_the_demo_model() -> None:
    assert Settings().model_dir() == paths.demo_model_dir()
    assert replace(Settings(), model="/m").model_dir() == Path("/m")


def test_nonsense_in_a_folder_that_cannot_be_written_to_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    file = settings.settings_file()
    file.parent.mkdir(parents=True)
    file.write_text("[" * 100_000)
    monkeypatch.setattr(Path, "replace", refuse)
    assert settings.load() == Settings()

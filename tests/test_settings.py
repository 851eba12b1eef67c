"""Settings are declared once, survive a restart, and nonsense in their file costs only itself."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from app import paths, settings
from app.kinds import Prompt
from app.presets import DIRECT_GREEDY, Preset
from app.settings import ASIDE, SECTIONS, Settings, declared

OWN = Preset("own-1", "Mine", thinking=False, sampling=replace(DIRECT_GREEDY, temperature=0.4))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path))


def write(text: str) -> Path:
    file = settings.settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def aside() -> list[Any]:
    kept: list[Any] = json.loads(settings.settings_file().read_text())[ASIDE]
    return kept


def test_without_a_file_there_are_defaults_and_no_file_appears() -> None:
    assert settings.read() == (Settings(), "")
    assert not settings.settings_file().exists()


def test_every_setting_is_declared_with_words_and_its_default_makes_sense() -> None:
    told = dict(declared())
    assert told.keys() == {each.name for each in fields(Settings)}
    for name, each in told.items():
        assert each.kind.read(settings._plain(settings.default_of(name))) == (settings.default_of(name), None)
        assert not each.section or (each.section in SECTIONS and each.words)


def test_what_was_saved_comes_back_and_only_what_was_chosen_is_written() -> None:
    wanted = replace(
        Settings(),
        theme="dark",
        context=8192,
        model="/models/qwen",
        thinking=False,
        presets=(OWN,),
        prompts=(Prompt("p", "Tutor", "Be patient.\nAsk back."),),
        keys={"new": ("Ctrl+T",), "search": ()},
    )
    settings.save(wanted)
    assert settings.read() == (wanted, "")
    kept = json.loads(settings.settings_file().read_text())
    assert kept.keys() == {"theme", "context", "model", "thinking", "presets", "prompts", "keys"}


@pytest.mark.parametrize("nonsense", ["", "{", "[]", "\x00", "[" * 100_000, "9" * 5_000, '"text"'])
def test_a_file_that_is_no_settings_is_set_aside_with_a_sentence(nonsense: str) -> None:
    file = write(nonsense)
    found, sentence = settings.read()
    assert found == Settings()
    assert "settings.broken.json" in sentence
    assert file.with_name("settings.broken.json").read_text() == nonsense
    assert not file.exists()
    write("another {")
    settings.read()
    assert file.with_name("settings.broken.json").read_text() == nonsense
    assert file.with_name("settings.broken-2.json").read_text() == "another {"


def test_what_became_nonsense_meanwhile_is_not_written_over() -> None:
    settings.save(Settings())
    file = write("somebody's own words")
    settings.save(replace(Settings(), theme="dark"))
    assert settings.load().theme == "dark"
    assert file.with_name("settings.broken.json").read_text() == "somebody's own words"


def test_what_makes_no_sense_costs_only_itself_and_is_kept_aside() -> None:
    write('{"theme": "pink", "font_size": 1e400, "window_width": "wide", "line_width": 900, "from_the_future": [1]}')
    found, sentence = settings.read()
    assert found == replace(Settings(), line_width=900)
    assert "“theme”" in sentence
    assert "and others" in sentence
    settings.save(replace(found, thinking=False))
    assert settings.read() == (replace(Settings(), line_width=900, thinking=False), "")  # it is said once
    assert {"setting": "theme", "value": "pink"} in aside()
    assert {"setting": "from_the_future", "value": [1]} in aside()


def test_what_was_set_aside_counts_again_once_it_is_understood_and_can_be_reset() -> None:
    write(json.dumps({ASIDE: [{"setting": "theme", "value": "dark"}, {"setting": "later", "value": 1}, 7]}))
    assert settings.load().theme == "dark"
    settings.save(Settings())
    assert settings.load().theme == "system"
    assert aside() == [{"setting": "later", "value": 1}]


def test_entries_that_are_understood_again_come_back_beside_those_that_count_now() -> None:
    other = replace(OWN, key="own-2")
    settings.save(replace(Settings(), presets=(OWN,), keys={"new": ("Ctrl+T",)}))
    plain = json.loads(settings.settings_file().read_text())
    later = {**plain["presets"][0], "key": other.key}
    put = [("presets", [later, {**plain["presets"][0], "name": "Old"}]), ("keys", {"find": ["Ctrl+J"], "new": []})]
    write(json.dumps({**plain, ASIDE: [{"setting": name, "value": value} for name, value in put]}))
    found = settings.load()
    assert (found.presets, found.keys) == ((OWN, other), {"find": ("Ctrl+J",), "new": ("Ctrl+T",)})
    settings.save(found)
    assert settings.load() == found


def test_a_bad_entry_of_a_list_does_not_cost_the_others() -> None:
    settings.save(replace(Settings(), presets=(OWN,), keys={"new": ("Ctrl+T",)}))
    plain = json.loads(settings.settings_file().read_text())
    hot = json.loads(json.dumps(plain["presets"][0]))
    hot["key"], hot["sampling"]["temperature"] = "own-2", 90.0
    plain["presets"] += [hot, {"type": "Preset"}, plain["presets"][0]]
    plain["keys"]["search"] = "Ctrl+Y"
    write(json.dumps(plain))
    found, sentence = settings.read()
    assert (found.presets, found.keys) == ((OWN,), {"new": ("Ctrl+T",)})
    assert "“presets”" in sentence
    settings.save(found)
    assert [len(each["value"]) for each in aside() if each["setting"] == "presets"] == [3]


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)


@how(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([each.name for each in fields(Settings)]) | st.text(), plain_values, max_size=6))
def test_no_file_at_all_makes_it_fail(plain: dict[str, Any]) -> None:
    write(json.dumps(plain))
    found = settings.load()
    settings.save(found)
    assert settings.read() == (found, "")


def test_an_empty_model_is_the_demo_model() -> None:
    assert Settings().model_dir() == paths.demo_model_dir()
    assert replace(Settings(), model="/m").model_dir() == Path("/m")


def test_nonsense_in_a_folder_that_cannot_be_written_to_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    write("[" * 100_000)
    monkeypatch.setattr(Path, "replace", refuse)
    found, sentence = settings.read()
    assert found == Settings()
    assert "left as it is" in sentence

"""From the first start to one's own model, done by a person; and a day's use in which no connection is made."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtTest import QTest

from app import paths
from tests.download.hub import REPOSITORY, Hub, running
from tests.end2end.person import Person

ROOT = Path(__file__).resolve().parents[2]
SLOWLY = 0.05
"""Seconds for every 64 KiB: the demo model's ten megabytes take eight, enough to talk meanwhile."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "HF_TOKEN":
            monkeypatch.delenv(name)
    demo = paths.demo_model_dir()
    files = {file.relative_to(demo).as_posix(): file.read_bytes() for file in demo.rglob("*") if file.is_file()}
    with running(files) as hub:
        hub.pace = SLOWLY
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


def test_a_new_person_gets_a_model_and_talks_meanwhile(person: Person, hub: Hub) -> None:
    window, desk = person.window, person.window.models
    person.waits("the page of the first start", lambda: window.shell.models_shown and desk.found is not None)
    person.photographs("first-start")
    offer = desk.page.offer
    offer.another.click()
    QTest.keyClicks(offer.other, REPOSITORY)
    offer.download.click()
    person.waits("bytes come", lambda: desk.fetching.now.stage == "fetching" and offer.bar.value() > 0)
    person.photographs("first-download")
    person.waits_for_the_model()
    person.types("What is 37 + 48?")
    assert "85" in person.reads().text
    assert desk.fetching.now.under_way, "the demo model answered while the other one was on its way"
    hub.pace = 0.0
    person.waits("it is here", lambda: desk.fetching.now.stage == "arrived")
    assert "every file was checked" in person.notice()
    person.photographs("arrived")
    window.notice.button.click()
    person.waits("it is loaded", lambda: person.is_ready() and bool(window.settings.model))
    assert window.settings.model == str(paths.models_dir() / REPOSITORY)
    person.types("What is 25 + 31?")
    assert "56" in person.reads().text
    desk.open()
    row = desk.page.rows[window.settings.model]
    person.waits("its files were read", lambda: "EoRA 8" in row.details.text())
    assert row.use.text() == "In use"
    person.photographs("models")


def test_parley_is_used_without_any_connection(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.end2end.without_sockets", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.split() == ["asked", "looked", "searched", "described", "closed"], done.stderr
    assert done.returncode == 0, done.stderr

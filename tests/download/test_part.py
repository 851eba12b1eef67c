"""A file while it arrives: what can be relied on after a crash, and how progress is told."""

import os
import random
from pathlib import Path

import pytest

from app.download import part
from app.download.manifest import Entry
from app.download.part import Part, safe_length
from app.download.progress import Progress
from app.protocol import Downloading
from tests.download.hub import listed

STEP = 1024


def entry_of(content: bytes) -> Entry:
    return Entry("sub/model.safetensors", len(content), f"sha256:{listed('x.safetensors', content)['lfs']['sha256']}")


def test_nothing_is_written_beyond_a_step_before_the_step_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "STEP", STEP)
    content = random.Random(1).randbytes(10 * STEP + 5)  # noqa: S311 - any bytes will do
    lengths: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: lengths.append(os.fstat(descriptor).st_size))
    with Part(tmp_path, entry_of(content)) as arriving:
        for begin in range(0, len(content), 700):
            arriving.write(content[begin : begin + 700])
        assert lengths == [STEP * n for n in range(1, 11)]
        found = arriving.finish()
    assert (tmp_path / found.name).read_bytes() == content


@pytest.mark.parametrize(
    ("length", "safe"), [(0, 0), (1, 0), (STEP, 0), (STEP + 1, STEP), (2 * STEP, STEP), (4 * STEP, 3 * STEP), (5000, 0)]
)
def test_only_whole_steps_with_something_behind_them_are_relied_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, safe: int
) -> None:
    monkeypatch.setattr(part, "STEP", STEP)
    (tmp_path / "x").write_bytes(b"\0" * length)
    assert safe_length(tmp_path / "x", Entry("x", 4 * STEP, "git:")) == safe
    assert safe_length(tmp_path / "absent", Entry("x", 4 * STEP, "git:")) == 0


def test_speed_and_time_left_are_those_of_the_last_seconds() -> None:
    said: list[Downloading] = []
    now = [0.0]
    progress = Progress("1", said.append, lambda: now[0])
    progress.total = 10_000
    progress.begin("fetching", "x")
    for _ in range(40):
        now[0] += 0.5
        progress.add(100)
    assert (said[-1].bytes_a_second, said[-1].seconds_left) == (200.0, 30.0)
    for _ in range(40):
        now[0] += 0.5
        progress.add(50)
    assert said[-1].bytes_a_second == 100.0
    before = len(said)
    for _ in range(10):
        now[0] += 0.01
        progress.add(1)
    assert len(said) == before
    progress.begin("stalled", "x", "Nothing has come for 5 seconds.")
    assert (said[-1].stage, said[-1].bytes_a_second, said[-1].seconds_left) == ("stalled", 0.0, 0.0)

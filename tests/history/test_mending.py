"""Damaged files: each opens, or is set aside with a sentence; upgrades come after a backup."""

import random
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from app.history import schema
from app.history.failure import DamagedError, HistoryError, OutdatedError
from app.history.mending import BACKUPS, SET_ASIDE, mend
from app.history.schema import FILE, raw
from app.history.store import Growth, Store
from tests.history.conftest import answered, kept, texts


def read_all(where: Path) -> int:
    """How many messages are shown in all conversations."""
    with closing(Store(where)) as store:
        store.interrupt_open_answers()
        return sum(len(store.load(summary.key).path()) for summary in store.summaries())


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file that is closed, and one whose program was killed with the log beside it."""
    folder = tmp_path_factory.mktemp("sound")
    with closing(Store(folder / "closed")) as store:
        for number in range(4):
            kept(store, *((f"Question {number}.{turn}", "An answer. " * 60) for turn in range(6)))
    store = Store(folder / "open")
    for number in range(2):
        conversation = kept(store, (f"Question {number}", "An answer. " * 60))
        answer = conversation.ask("More?", (), thinking=False)
        store.add(conversation, [conversation.question_of(answer), answer], {})
        store.grow(answer.key, [Growth("answer", "Yes", 1, 0.0)])
    shutil.copytree(folder / "open", folder / "killed")
    store.close()
    return folder


def damaged(where: Path) -> str:
    """Open it as the window does: what was said about it, empty if it opens. Never another error than ours."""
    with suppress(DamagedError):
        read_all(where)
    said = mend(where)
    assert mend(where) == ""
    read_all(where)
    return said


@pytest.mark.parametrize("seed", range(100))
def test_any_bit_may_turn(sound: Path, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    where = tmp_path / "history"
    shutil.copytree(sound / ("closed" if seed % 3 else "killed"), where)
    file = where / (FILE if seed % 3 else f"{FILE}-wal")
    content = bytearray(file.read_bytes())
    for _ in range(1 + seed % 4):
        at = dice.randrange(len(content)) if seed % 2 else dice.randrange(min(len(content), 4096))
        content[at] ^= 1 << dice.randrange(8)
    file.write_bytes(content)
    said = damaged(where)
    assert said == "" or ("was damaged" in said and (where / SET_ASIDE).is_dir())


@pytest.mark.parametrize("part", [0, 1, 15, 16, 99, 100, 1000, 4095, 4096, 5000, 12_288, 30_000])
def test_any_part_may_be_missing(sound: Path, tmp_path: Path, part: int) -> None:
    where = tmp_path / "history"
    shutil.copytree(sound / "closed", where)
    file = where / FILE
    file.write_bytes(file.read_bytes()[:part])
    said = damaged(where)
    assert part <= 1 or "was damaged" in said


def test_what_is_readable_is_saved(sound: Path, tmp_path: Path) -> None:
    where = tmp_path / "history"
    shutil.copytree(sound / "closed", where)
    file = where / FILE
    content = bytearray(file.read_bytes())
    content[:100] = bytes(100)  # no header: SQLite calls it no database
    file.write_bytes(content)
    said = damaged(where)
    assert said.startswith("The file with your conversations was damaged. 4 conversations could be saved;")
    assert read_all(where) == 48
    aside = next((where / SET_ASIDE).iterdir())
    assert (aside / FILE).read_bytes() == bytes(content), "the damaged file is kept as it was"


def test_a_hole_costs_only_what_was_in_it(sound: Path, tmp_path: Path) -> None:
    where = tmp_path / "history"
    shutil.copytree(sound / "closed", where)
    file = where / FILE
    content = bytearray(file.read_bytes())
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    file.write_bytes(content)
    said = damaged(where)
    assert "could be saved" in said
    assert read_all(where) > 24


def test_an_empty_file_of_noise_is_said_to_hold_nothing(tmp_path: Path) -> None:
    where = tmp_path / "history"
    where.mkdir()
    (where / FILE).write_bytes(random.Random(1).randbytes(20_000))  # noqa: S311
    assert "Nothing in it could be read" in damaged(where)
    assert read_all(where) == 0


def test_a_pin_the_trash_and_the_order_survive(sound: Path, tmp_path: Path) -> None:
    where = tmp_path / "history"
    shutil.copytree(sound / "closed", where)
    with closing(Store(where)) as store:
        before = store.summaries()
        store.pin(before[1].key, True)
        store.trash(before[2].key, time.time())
        before = store.summaries()
    with closing(raw(where / FILE)) as connection:
        connection.execute("UPDATE message SET record = '[' WHERE id = 2")
    assert "was damaged" in damaged(where)
    with closing(Store(where)) as store:
        assert store.summaries() == before
        assert all(len(store.load(summary.key).path()) == 12 for summary in before)
        assert len(store.summaries(trashed=True)) == 1


def test_an_upgrade_comes_after_a_backup(store: Store, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = kept(store, ("One", "1"))
    store.close()

    def add_a_column(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE conversation ADD COLUMN folder TEXT")

    monkeypatch.setattr(schema, "VERSION", 2)
    monkeypatch.setattr(schema, "UPGRADES", {1: add_a_column})
    with pytest.raises(OutdatedError):
        Store(where)
    assert mend(where) == ""
    with closing(Store(where)) as again:
        assert texts(again.load(conversation.key)) == ["One", "1"]
    with closing(sqlite3.connect(next((where / BACKUPS).glob("*/*")))) as backup:
        assert backup.execute("PRAGMA user_version").fetchone() == (1,)
        assert backup.execute("SELECT text FROM message ORDER BY id").fetchall() == [("One",), ("1",)]


def test_an_upgrade_that_fails_leaves_all_as_it_was(store: Store, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(store, ("One", "1"))
    store.close()

    def fall(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE message")
        connection.execute("SELECT nonsense")

    monkeypatch.setattr(schema, "VERSION", 2)
    monkeypatch.setattr(schema, "UPGRADES", {1: fall})
    with pytest.raises(HistoryError, match="left as they were"):
        mend(where)
    monkeypatch.setattr(schema, "VERSION", 1)
    assert read_all(where) == 2


def test_answers_that_were_being_written_are_saved_too(store: Store, where: Path) -> None:
    conversation = kept(store, ("One", "1"))
    answer = answered(conversation, "Two", "")
    answer.stage, answer.text = "answering", ""
    store.put(conversation)
    store.grow(answer.key, [Growth("answer", "It is ", 2, 0.0), Growth("answer", "two", 3, 0.0)])
    store._connection.execute("UPDATE message SET kind = 'noise' WHERE id = (SELECT min(id) FROM message)")
    store.close()
    assert "was damaged" in damaged(where)
    with closing(Store(where)) as again:
        assert texts(again.load(conversation.key))[-1] == "It is two"

"""What was read survives the engine, and nothing that is wrong on the disk is ever believed."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from app.engine import sessions_disk
from app.engine.load import LoadedModel, open_model
from app.engine.sessions_disk import SavedSessions, forget, identity
from app.protocol import ChatMessage
from tests.checkpoints import dense
from tests.engine.conftest import no_progress
from tests.engine.talks import Engine, assert_alike, assistant, user

QUESTION = (user("word " * 100),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dense(tmp_path_factory.mktemp("checkpoints") / "small", seed=6, vision=False).folder


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return open_model(folder, "cpu", "parley", no_progress)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_disk, "_PIECE", 128)


class Disk:
    """Engines one after another over the same cache folder."""

    def __init__(self, root: Path, folder: Path, model: LoadedModel) -> None:
        self.root, self.folder, self.model = root, folder, model

    def saved(self, limit: int = 0, identity: str = "a" * 64) -> SavedSessions:
        return SavedSessions(self.root, identity, limit)

    def engine(self, saved: SavedSessions, conversation: str = "c") -> Engine:
        engine = Engine(self.folder, self.model)
        engine.recall = lambda keys, check: saved.recall(conversation, keys, engine.sessions, check)
        return engine

    def spoken(self, conversation: str = "c", text: str = "word " * 100) -> tuple[ChatMessage, ...]:
        """Ask, save, and return the conversation so far."""
        saved = self.saved()
        engine = self.engine(saved, conversation)
        said = engine.ask((user(text),), conversation=conversation)
        assert saved.save(conversation, engine.sessions, lambda: False)
        return user(text), assistant(said.answer)

    def reused(self, messages: tuple[ChatMessage, ...], saved: SavedSessions | None = None, of: str = "c") -> int:
        said = self.engine(saved or self.saved(), of).ask(messages, conversation=of)
        fresh = Engine(self.folder, self.model).ask(messages, ahead=False)
        assert_alike(said, fresh, 1e-3, self.model.config.vocab_valid)
        return said.finished.usage.reused

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def disk(tmp_path: Path, folder: Path, model: LoadedModel) -> Disk:
    return Disk(tmp_path / "cache", folder, model)


def test_after_a_restart_a_follow_up_reads_its_question_alone(disk: Disk) -> None:
    path = disk.spoken()
    assert disk.reused(QUESTION) > 450  # another answer
    saved = disk.saved()
    engine = disk.engine(saved)
    said = engine.ask((*path, user("And?")))
    assert said.finished.usage.prompt - said.finished.usage.reused < 50
    assert engine.watched.read < 60
    assert said.finished.usage.reused > 500
    assert saved.save("c", engine.sessions, lambda: False)
    assert disk.reused((*path, user("And?"))) > said.finished.usage.reused  # another answer
    assert disk.reused((*path, user("An edited question"))) > 500


def test_only_what_is_new_is_written(disk: Disk) -> None:
    path = disk.spoken()
    before = {file.name for file in disk.files()}
    saved = disk.saved()
    engine = disk.engine(saved)
    engine.ask((*path, user("And?")))
    saved.save("c", engine.sessions, lambda: False)
    after = {file.name for file in disk.files()}
    assert len(before & after) >= 512 // 128  # whole pieces stay as they are
    saved.save("c", engine.sessions, lambda: False)
    assert {file.name for file in disk.files()} == after


def snapshots(disk: Disk) -> list[int]:
    """The places of the snapshots that are there."""
    (index,) = [file for file in disk.files() if file.name == "index.json"]
    return [each["end"] for each in json.loads(index.read_bytes().partition(b"\n")[2])["snapshots"]]


def test_a_large_snapshot_is_written_where_it_spares_much_reading(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_disk, "_CHEAP", 0)
    monkeypatch.setattr(sessions_disk, "_WORTH", 200)
    path = disk.spoken()
    before_answer, behind_it = snapshots(disk)
    assert before_answer > 450, "another answer to a long first question would read all of it again"
    saved = disk.saved()
    engine = disk.engine(saved)
    said = engine.ask((*path, user("And?")))
    assert not saved.worth("c", engine.sessions), "little is new"
    assert saved.save("c", engine.sessions, lambda: False)
    assert snapshots(disk)[:2] == [before_answer, behind_it]
    assert len(snapshots(disk)) == 3, "only the last one is new"
    path = (*path, user("And?"), assistant(said.answer), user("word " * 60))
    engine.ask(path)
    assert saved.worth("c", engine.sessions)
    assert not saved.worth("d", engine.sessions), "another conversation is live"
    monkeypatch.setattr(sessions_disk, "_WORTH", 10**6)
    assert not saved.worth("c", engine.sessions)
    monkeypatch.setattr(sessions_disk, "_CHEAP", 10**9)
    assert saved.worth("c", engine.sessions)


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [flip, lambda content: content[: len(content) // 2], lambda content: b""])
@pytest.mark.parametrize("which", ["index.json", "rows", "snapshot"])
def test_what_is_damaged_is_discarded_and_read_again(disk: Disk, which: str, damage: Callable[[bytes], bytes]) -> None:
    path = disk.spoken()
    rows = max(file.stat().st_size for file in disk.files())
    for file in disk.files():
        kind = "rows" if file.stat().st_size == rows else "snapshot"
        if which in (file.name, kind if file.name != "index.json" else ""):
            file.write_bytes(damage(file.read_bytes()))
    assert disk.reused((*path, user("And?"))) == 0
    assert disk.files() == []


def test_an_index_that_lies_is_not_believed(disk: Disk) -> None:
    path = disk.spoken()
    (index,) = [file for file in disk.files() if file.name == "index.json"]
    body = json.loads(index.read_bytes().partition(b"\n")[2])
    for field, value in (("name", "../../../etc/passwd"), ("nbytes", 10**15), ("begin", 7)):
        lie = json.loads(json.dumps(body))
        lie["rows"][1][field] = value
        plain = json.dumps(lie).encode()
        digest = hashlib.sha256(plain).hexdigest().encode()
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_bytes(digest + b"\n" + plain)
        assert disk.reused((*path, user("And?"))) == 0


def test_files_that_fit_another_model_are_discarded(disk: Disk, tmp_path: Path) -> None:
    """Right checksums, wrong shapes: as if two models had the same identity."""
    path = disk.spoken()
    (index,) = [file for file in disk.files() if file.name == "index.json"]
    plain = json.loads(index.read_bytes().partition(b"\n")[2])
    for row in plain["rows"]:
        row |= {key: plain["snapshots"][-1][key] for key in ("name", "nbytes", "sha256")}
    body = json.dumps(plain).encode()
    index.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert disk.reused((*path, user("And?"))) == 0


def test_another_model_has_another_identity(tmp_path: Path, folder: Path) -> None:
    twin = shutil.copytree(folder, tmp_path / "twin")
    assert identity(twin, "bf16") == identity(folder, "bf16") != identity(folder, "fp32")
    other = dense(tmp_path / "other", seed=7, vision=False).folder  # the same shapes, the same size
    for path in other.iterdir():
        times = (folder / path.name).stat()
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert identity(other, "bf16") != identity(folder, "bf16")
    (twin / "config.json").write_text("{}")
    assert identity(twin, "bf16") != identity(folder, "bf16")


def test_what_another_model_read_is_not_used(disk: Disk) -> None:
    path = disk.spoken()
    assert disk.reused((*path, user("And?")), disk.saved(identity="b" * 64)) == 0
    assert disk.reused((*path, user("And?"))) > 500


def test_the_oldest_give_way_to_the_newest(disk: Disk) -> None:
    for number, conversation in enumerate(("one", "two", "three")):
        disk.spoken(conversation)
        (index,) = [f for f in disk.files() if f.name == "index.json" and f.stat().st_mtime > 10**6]
        os.utime(index, (number, number))
    each = sum(file.stat().st_size for file in disk.files()) // 3
    saved = disk.saved(limit=int(2.5 * each))
    engine = disk.engine(saved, "four")
    engine.ask(QUESTION, conversation="four")
    saved.save("four", engine.sessions, lambda: False)
    assert sum(file.stat().st_size for file in disk.files()) <= 2.5 * each
    assert [disk.reused(QUESTION, of=name) > 0 for name in ("one", "two", "three", "four")] == [0, 0, 1, 1]
    none = disk.saved(limit=1)
    none.save("four", engine.sessions, lambda: False)
    assert disk.reused(QUESTION, of="four") == 0


def test_what_is_deleted_for_good_is_erased_whatever_model_read_it(disk: Disk) -> None:
    path = disk.spoken()
    other = disk.saved(identity="b" * 64)
    engine = disk.engine(other)
    engine.ask(path[:1])
    other.save("c", engine.sessions, lambda: False)
    disk.spoken("d")
    before = len(disk.files())
    forget(disk.root, "c")
    assert 0 < len(disk.files()) < before
    assert disk.reused((*path, user("And?"))) == 0
    forget(disk.root, "../../../etc")
    forget(disk.root, "d")
    assert disk.files() == []


def test_a_command_interrupts_the_writing_and_the_old_stays(disk: Disk) -> None:
    path = disk.spoken()
    saved = disk.saved()
    engine = disk.engine(saved)
    engine.ask((*path, user("And?")))
    files = disk.files()
    assert not saved.save("c", engine.sessions, partial(next, iter([False, True])))
    assert set(disk.files()) - set(files), "what was written until then is kept"
    assert disk.reused((*path, user("And?"))) > 500
    assert saved.save("c", engine.sessions, lambda: False)
    assert all(path.suffix in (".safetensors", ".json") for path in disk.files())


def test_going_to_a_saved_conversation_keeps_the_one_that_was_live(disk: Disk) -> None:
    path = disk.spoken()
    engine = disk.engine(disk.saved())
    other = (user("another matter " * 30),)
    first = engine.ask(other, conversation="d")
    saved = engine.ask((*path, user("And?")))
    assert saved.finished.usage.reused > 500
    again = engine.ask(other, conversation="d")
    assert again.finished.usage.reused > 400
    assert_alike(again, first, 1e-3, disk.model.config.vocab_valid)
    assert engine.ask((*path, user("And?"))).finished.usage.reused > 500

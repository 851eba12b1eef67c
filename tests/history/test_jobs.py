"""What is done in another process: search, erasing for good, tidying, files, export and import."""

import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.chat.conversation import Attached, Conversation, Question
from app.history import files, jobs, search, transfer
from app.history.failure import HistoryError
from app.history.store import Store
from app.protocol import (
    Erase,
    Export,
    Find,
    HistoryCommand,
    Hit,
    Hits,
    Import,
    JobDone,
    JobFailed,
    KeepFile,
    Media,
    Message,
    Settle,
    Tidy,
    decode,
    encode,
)
from tests.history.conftest import answered, kept, texts

ROOT = Path(__file__).resolve().parents[2]
RARE = "xylophone-rarity"


def found(where: Path, words: str) -> tuple[Hit, ...]:
    reply = jobs.do(Find("1", words), where)
    assert isinstance(reply, Hits)
    return reply.hits


def bytes_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def with_file(where: Path, content: bytes = b"a picture of a cat") -> tuple[Conversation, str]:
    """A conversation with an attached file that is kept."""
    digest = hashlib.sha256(content).hexdigest()
    source = where.parent / "cat.png"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(content)
    files.keep(where, digest, source)
    conversation = Conversation()
    conversation.ask("What is it?", (Attached(Media("image", "cat.png", digest, "/c/m/x.rgb", 8, 8), ()),), True)
    return conversation, digest


@pytest.mark.parametrize(
    ("words", "excerpt"),
    [
        ("capital", "The capital of France is Paris."),
        ("PARIS capital", "The capital of France is Paris."),
        ("ari", "The capital of France is Paris."),
        ("金额", "发票里的金额是多少?"),
        ("5%", "About 5% of it_all"),
        ("it_", "About 5% of it_all"),
        ("нов", "Снег и новый год"),
    ],
)
def test_parts_of_words_are_found_in_any_script(store: Store, where: Path, words: str, excerpt: str) -> None:
    kept(store, ("Hello", "The capital of France is Paris."), ("发票里的金额是多少?", "About 5% of it_all"))
    kept(store, ("Снег и новый год", "Something else"))
    hits = [hit for hit in found(where, words) if hit.role != "title"]
    assert [hit.excerpt for hit in hits] == [excerpt]
    marked = [hits[0].excerpt[begin:end].casefold() for begin, end in hits[0].marks]
    assert set(marked) == {word.casefold() for word in words.split()}


@pytest.mark.parametrize("words", ["", "  ", '"', "AND", "* OR 'x'", "%", "_", "\\", "a" * 5000, "\x00", "near(", "💥"])
def test_nothing_that_is_typed_is_a_command(store: Store, where: Path, words: str) -> None:
    kept(store, ("Hello there", "General words"))
    assert found(where, words) == ()


def test_a_title_and_the_thinking_are_found_and_the_newest_comes_first(store: Store, where: Path) -> None:
    first = kept(store, ("Something", "walrus one"))
    store.name(first.key, "My walrus")
    second = Conversation()
    answered(second, "Else?", "nothing", thinking="a long thought about the walrus " * 30)
    store.put(second)
    hits = found(where, "walrus")
    assert [(hit.conversation, hit.role) for hit in hits] == [
        (first.key, "title"),
        (second.key, "thinking"),
        (first.key, "answer"),
    ]
    assert len(hits[1].excerpt) < 200


def test_the_index_follows_what_comes_and_goes(store: Store, where: Path) -> None:
    conversation = kept(store, ("Hello", "zebra one"))
    assert len(found(where, "zebra")) == 1
    answer = answered(conversation, "More", "zebra two")
    store.add(conversation, [conversation.question_of(answer), answer], {})
    assert len(found(where, "zebra")) == 2
    store.remove(conversation, conversation.remove_turn(answer))
    assert len(found(where, "zebra")) == 1
    store.trash(conversation.key, time.time())
    assert found(where, "zebra") == ()


def test_a_damaged_index_is_made_anew(store: Store, where: Path) -> None:
    kept(store, ("Hello", "zebra one"))
    assert found(where, "zebra")
    content = bytearray((where / search.INDEX).read_bytes())
    content[200:6000] = b"\xff" * 5800
    (where / search.INDEX).write_bytes(content)
    assert len(found(where, "zebra")) == 1


def test_what_is_erased_is_nowhere_on_the_disk(store: Store, where: Path) -> None:
    conversation, _ = with_file(where, RARE.encode())
    answered(conversation, f"The {RARE}?", f"It is {RARE}. " * 400, thinking=RARE)
    store.put(conversation)
    other = kept(store, ("Harmless", "words"))
    jobs.do(Settle("1"), where)
    assert found(where, RARE)
    backup = where / "backups" / "version-0" / "conversations.db"
    backup.parent.mkdir(parents=True)
    backup.write_bytes(RARE.encode())
    assert RARE.encode() in bytes_below(where)
    assert jobs.do(Erase("1", (conversation.key,)), where) == JobDone("1", changed=True)
    assert RARE.encode() not in bytes_below(where)
    assert texts(store.load(other.key)) == ["Harmless", "words"]


def test_a_file_that_nothing_uses_goes(store: Store, where: Path) -> None:
    conversation, digest = with_file(where)
    store.put(conversation)
    (where / files.FOLDER / "aa").mkdir(parents=True, exist_ok=True)
    left_over = where / files.FOLDER / "aa" / ("aa" * 32)
    left_over.write_bytes(b"x")
    assert jobs.do(Tidy("1"), where) == JobDone("1")
    assert not left_over.exists()
    assert files.place_of(where, digest).exists()


def test_a_file_is_kept_by_its_content_and_outlives_its_original(store: Store, where: Path) -> None:
    conversation, digest = with_file(where)
    store.put(conversation)
    (where.parent / "cat.png").unlink()
    jobs.do(Tidy("1"), where)
    assert files.place_of(where, digest).read_bytes() == b"a picture of a cat"
    jobs.do(KeepFile("1", digest, str(where.parent / "cat.png")), where)  # it is there: the original is not needed


def test_a_file_that_changed_or_went_is_said(where: Path) -> None:
    source = where.parent / "cat.png"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"other content")
    with pytest.raises(HistoryError, match=r"“cat.png” changed after it was sent"):
        files.keep(where, "ab" * 32, source)
    source.unlink()
    with pytest.raises(HistoryError, match="not there any more"):
        files.keep(where, "ab" * 32, source)
    with pytest.raises(HistoryError, match="makes no sense"):
        files.keep(where, "../../evil", source)
    assert [file for file in where.rglob("*") if file.is_file()] == []


def test_an_export_comes_back_whole(store: Store, where: Path, tmp_path: Path) -> None:
    conversation, digest = with_file(where)
    first = conversation.last_answer()
    assert first is not None
    first.text, first.stage, first.ending = "a cat", "over", "end"
    answered(conversation, "Sure?", "yes", thinking="hm")
    conversation.again(first, thinking=True).interrupted(1.0)
    conversation.name = "The cat"
    store.put(conversation)
    store.pin(conversation.key, True)
    file = tmp_path / "all.json"
    said = jobs.do(Export("1", "json", str(file)), where)
    assert said == JobDone("1", f"“The cat” was written to {file}.")
    elsewhere = tmp_path / "elsewhere"
    assert jobs.do(Import("2", str(file)), elsewhere) == JobDone("2", "1 conversation imported.", changed=True)
    with closing(Store(elsewhere)) as other:
        (summary,) = other.summaries()
        assert (summary.title, summary.pinned) == ("The cat", True)
        again = other.load(summary.key)
        assert texts(again) == texts(conversation)
        question = again.path()[0]
        assert isinstance(question, Question)
        versions = again.versions(again.path()[1])
        again.show(versions[0])
        assert texts(again) == ["What is it?", "a cat", "Sure?", "yes"]
    assert files.place_of(elsewhere, digest).is_file()
    assert jobs.do(Import("3", str(file)), where).note == "1 conversation imported."  # type: ignore[union-attr]
    assert len(store.summaries()) == 2, "what is there already comes in as a copy"


def test_markdown_is_written_to_be_read(store: Store, where: Path, tmp_path: Path) -> None:
    conversation, digest = with_file(where)
    answer = conversation.last_answer()
    assert answer is not None
    answer.text, answer.thinking, answer.stage, answer.ending = "A **cat**.", "It has ears.", "over", "stopped"
    store.put(conversation)
    file = tmp_path / "cat.md"
    jobs.do(Export("1", "markdown", str(file), (conversation.key,)), where)
    text = file.read_text(encoding="utf-8")
    assert f"![cat.png](<cat files/{digest[:12]}-cat.png>)" in text
    assert (tmp_path / "cat files" / f"{digest[:12]}-cat.png").read_bytes() == b"a picture of a cat"
    assert "## You\n" in text
    assert "> It has ears." in text
    assert "A **cat**.\n\n*(stopped)*" in text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"parley": 1, "conversations": [{}]}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"parley": 1, "conversations": 5}',
        json.dumps({"parley": 99, "conversations": []}).encode(),
    ],
)
def test_a_file_that_is_no_export_is_refused_and_nothing_is_written(
    store: Store, where: Path, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(HistoryError, match=r"no export of Parley|newer Parley"):
        transfer.from_json(store, file)
    assert store.summaries() == []


def test_an_export_that_cannot_be_written_is_one_sentence(store: Store, where: Path, tmp_path: Path) -> None:
    kept(store, ("One", "1"))
    with pytest.raises(HistoryError, match="could not be written"):
        jobs.do(Export("1", "json", str(tmp_path / "nowhere" / "x.json")), where)


def test_the_program_answers_and_ends_with_its_stdin(store: Store, where: Path) -> None:
    kept(store, ("Hello", "zebra one"))
    asked: list[HistoryCommand] = [Settle("1"), Find("2", "zebra"), Import("3", str(where / "absent.json"))]
    done = subprocess.run(
        [sys.executable, "-m", "app.history"],
        input=b"".join(map(encode, asked)) + b"noise\n",
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PARLEY_HOME": os.environ["PARLEY_HOME"]},
        timeout=30,
        check=True,
    )
    replies: list[Message] = [decode(line) for line in done.stdout.splitlines()]
    assert replies[0] == JobDone("1")
    assert isinstance(replies[1], Hits)
    assert len(replies[1].hits) == 1
    assert isinstance(replies[2], JobFailed)
    assert "absent.json" in replies[2].message
    assert done.stderr == b""

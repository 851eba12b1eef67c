"""What the window writes and reads again."""

import time
from pathlib import Path

import pytest

from app import paths
from app.chat.conversation import Answer, Choices, Conversation, Question
from app.history.failure import DamagedError, NewerError, UnwritableError
from app.history.schema import FILE, raw
from app.history.store import Growth, Store
from tests.history.conftest import DIGEST, PICTURE, answered, kept, texts


def test_a_conversation_comes_back_as_it_was(store: Store) -> None:
    conversation = Conversation(choices=Choices(thinking=False, preset="direct-greedy"))
    first = answered(conversation, "What is 2 + 2?", "4", thinking="two and two")
    conversation.ask("And this?", (PICTURE,), thinking=False).failed("It broke off: ask again.", 3.0)
    store.add(conversation, conversation.nodes.values(), {})
    again = store.load(conversation.key)
    assert (again.key, again.started_at) == (conversation.key, conversation.started_at)
    assert again.choices == Choices(thinking=False, preset="direct-greedy")
    assert texts(again) == ["What is 2 + 2?", "4", "And this?", ""]
    same = again.nodes[first.key]
    assert isinstance(same, Answer)
    assert (same.thinking, same.thought_for(99.0), same.ending, same.usage) == ("two and two", 3.5, "end", first.usage)
    last = again.last_answer()
    assert last is not None
    assert (last.ending, last.failure) == ("failed", "It broke off: ask again.")


def test_pixels_are_looked_for_in_the_cache_folder_alone(store: Store) -> None:
    conversation = Conversation()
    conversation.ask("?", (PICTURE,), thinking=False)
    store.add(conversation, conversation.nodes.values(), {DIGEST: "/home/somebody/cat.png"})
    question = store.load(conversation.key).path()[0]
    assert isinstance(question, Question)
    attached = question.attached[0]
    assert attached.media.pixels == str(paths.cache_dir() / "media" / "cat.rgb")
    assert attached.previews[0].pixels == str(paths.cache_dir() / "media" / "cat-0.rgb")
    assert (attached.tokens, attached.seen) == (120, (64, 32))
    assert store.wanted() == [(DIGEST, "/home/somebody/cat.png")]
    store.kept(DIGEST)
    assert store.wanted() == []


def test_an_answer_that_was_being_written_is_interrupted_after_a_restart(store: Store, where: Path) -> None:
    conversation = Conversation()
    answer = conversation.ask("A story?", (), thinking=True)
    store.add(conversation, conversation.nodes.values(), {})
    store.grow(answer.key, [Growth("thinking", "Let me ", 2, 0.5), Growth("thinking", "see.", 4, 1.25)])
    store.grow(answer.key, [Growth("answer", "Once ", 1, 1.25)])
    store.grow(answer.key, [Growth("answer", "upon", 2, 1.25)])
    store.close()
    with_what_was_painted = Store(where)
    with_what_was_painted.interrupt_open_answers()
    last = with_what_was_painted.load(conversation.key).last_answer()
    assert last is not None
    assert (last.text, last.thinking, last.ending) == ("Once upon", "Let me see.", "interrupted")
    assert (last.thinking_tokens, last.answer_tokens, last.thought_for(99.0)) == (4, 2, 1.25)
    with_what_was_painted.close()


def test_an_answer_can_be_read_while_it_is_written(store: Store) -> None:
    conversation = Conversation()
    answer = conversation.ask("A story?", (), thinking=False)
    store.put(conversation)
    store.grow(answer.key, [Growth("answer", "Once", 1, 0.0)])
    assert texts(store.load(conversation.key))[-1] == "Once"
    answer.text = "Once upon"
    store.put(conversation)  # saved whole in the middle, as after a full disk: what was there is not there twice
    store.grow(answer.key, [Growth("answer", " a time", 4, 0.0)])
    assert texts(store.load(conversation.key))[-1] == "Once upon a time"


def test_the_shown_versions_are_remembered(store: Store) -> None:
    conversation = Conversation()
    first = answered(conversation, "A colour?", "red")
    follow = answered(conversation, "Why?", "because")
    store.put(conversation)
    second = conversation.again(first, thinking=True)
    second.interrupted(1.0)
    store.add(conversation, [second], {})
    assert texts(store.load(conversation.key)) == ["A colour?", ""]
    conversation.show(first.key)
    store.show(conversation, [first])
    assert texts(store.load(conversation.key)) == ["A colour?", "red", "Why?", "because"]
    assert store.load(conversation.key).versions(follow) == [follow.key]


def test_a_turn_that_was_taken_out_stays_out(store: Store) -> None:
    conversation = kept(store, ("One", "1"), ("Two", "2"), ("Three", "3"))
    second = conversation.path()[3]
    assert isinstance(second, Answer)
    store.remove(conversation, conversation.remove_turn(second))
    assert texts(store.load(conversation.key)) == ["One", "1", "Three", "3"] == texts(conversation)
    for answer in [node for node in conversation.path() if isinstance(node, Answer)]:
        store.remove(conversation, conversation.remove_turn(answer))
    assert store.summaries() == []


def test_the_last_used_comes_first_even_when_the_clock_goes_backwards(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kept(store, ("One", "1"))
    monkeypatch.setattr(time, "time", lambda: 1_000.0)
    second = kept(store, ("Two", "2"))
    assert [summary.key for summary in store.summaries()] == [second.key, first.key]
    answer = answered(first, "Again?", "yes")
    store.add(first, [first.question_of(answer), answer], {})
    assert [summary.title for summary in store.summaries()] == ["One", "Two"]


def test_a_name_a_pin_and_the_trash(store: Store) -> None:
    conversation = kept(store, ("What is it?", "a cat"))
    store.name(conversation.key, "The cat")
    store.pin(conversation.key, True)
    assert [(s.title, s.pinned) for s in store.summaries()] == [("The cat", True)]
    assert store.load(conversation.key).title == "The cat"
    store.trash(conversation.key, 5.0)
    assert store.summaries() == []
    assert [s.trashed_at for s in store.summaries(trashed=True)] == [5.0]
    store.trash(conversation.key, None)
    assert [s.title for s in store.summaries()] == ["The cat"]


def test_a_newer_file_is_left_alone(store: Store, where: Path) -> None:
    kept(store, ("One", "1"))
    store.close()
    connection = raw(where / FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = {file.name: file.read_bytes() for file in where.iterdir()}
    with pytest.raises(NewerError, match="newer Parley"):
        Store(where)
    assert {file.name: file.read_bytes() for file in where.iterdir()} == before


def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(store: Store) -> None:
    conversation = kept(store, ("One", "1"))
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    answer = answered(conversation, "Two " + "x" * 50_000, "2")
    with pytest.raises(UnwritableError, match="the disk is full"):
        store.add(conversation, [conversation.question_of(answer), answer], {})
    assert texts(store.load(conversation.key)) == ["One", "1"]
    store._connection.execute("PRAGMA max_page_count = 100000").fetchone()
    store.put(conversation)
    assert len(texts(store.load(conversation.key))) == 4


def test_a_read_only_file_is_one_sentence(store: Store) -> None:
    conversation = kept(store, ("One", "1"))
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(UnwritableError, match="read-only"):
        store.name(conversation.key, "x")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableError, match="cannot be saved"):
        Store(tmp_path / "file" / "history")


def test_what_makes_no_sense_is_damage(store: Store) -> None:
    conversation = kept(store, ("One", "1"))
    for statement in (
        "UPDATE message SET parent = 'nobody' WHERE kind = 'answer'",
        "UPDATE message SET kind = 'noise'",
        "UPDATE message SET record = '[' WHERE kind = 'answer'",
        "UPDATE message SET text = X'0041'",
        "UPDATE conversation SET choices = '{\"evil\": 1}'",
    ):
        store._connection.execute("BEGIN")
        store._connection.execute(statement)
        with pytest.raises(DamagedError):
            store.load(conversation.key)
        store._connection.execute("ROLLBACK")
    assert texts(store.load(conversation.key)) == ["One", "1"]


def test_two_thousand_turns_are_read_in_a_moment(store: Store) -> None:
    conversation = kept(store, *((f"Question {n}", "An answer. " * 20) for n in range(2000)))
    began = time.process_time()
    again = store.load(conversation.key)
    assert len(again.path()) == 4000
    assert time.process_time() - began < 0.5  # of the processor's time: about 0.1

"""What the model is given in place of the oldest turns is kept, copied and saved with the question behind them."""

from contextlib import closing
from pathlib import Path

from app.chat.conversation import Conversation, Memory, Question
from app.history.mending import mend
from app.history.schema import FILE, raw
from app.history.store import Store
from app.history.transfer import from_json, to_json
from tests.history.conftest import DIGEST, PICTURE, kept, texts


def memories(conversation: Conversation) -> list[Memory | None]:
    return [node.memory for node in conversation.path() if isinstance(node, Question)]


def remembered(store: Store, memory: Memory) -> Conversation:
    """A conversation of three turns that is remembered from the second on."""
    conversation = kept(store, ("One", "1"), ("Two", "2"), ("Three", "3"))
    question = conversation.path()[2]
    assert isinstance(question, Question)
    question.memory = memory
    store.remember(question)
    return conversation


def test_it_comes_back_and_can_be_taken_back(store: Store) -> None:
    conversation = remembered(store, Memory("One is 1."))
    assert memories(store.load(conversation.key)) == [None, Memory("One is 1."), None]
    question = conversation.path()[2]
    assert isinstance(question, Question)
    question.memory = None
    store.remember(question)
    assert memories(store.load(conversation.key)) == [None, None, None]
    assert texts(store.load(conversation.key)) == ["One", "1", "Two", "2", "Three", "3"]


def test_it_moves_on_when_its_turn_is_taken_out(store: Store) -> None:
    conversation = remembered(store, Memory())
    answer = conversation.path()[3]
    store.remove(conversation, conversation.remove_turn(answer))  # type: ignore[arg-type]
    assert memories(store.load(conversation.key)) == [None, Memory()]


def test_an_export_brings_it_along(store: Store, tmp_path: Path) -> None:
    conversation = remembered(store, Memory("One is 1."))
    to_json(store, store.summaries(), tmp_path / "all.json")
    assert from_json(store, tmp_path / "all.json") == (1, 0)
    copy = next(summary for summary in store.summaries() if summary.key != conversation.key)
    assert memories(store.load(copy.key)) == [None, Memory("One is 1."), None]


def test_what_is_damaged_of_it_costs_nothing_else(store: Store, where: Path) -> None:
    conversation = Conversation()
    answer = conversation.ask("Look", (PICTURE,), thinking=False)
    store.put(conversation)
    store.close()
    with closing(raw(where / FILE)) as connection:
        connection.execute("UPDATE message SET record = '{\"summary\": 5' WHERE key = ?", (answer.parent,))
    assert "1 conversation could be saved" in mend(where)
    with closing(Store(where)) as mended:
        question = mended.load(conversation.key).path()[0]
    assert isinstance(question, Question)
    assert (question.text, question.memory) == ("Look", None)
    assert [item.media.digest for item in question.attached] == [DIGEST]

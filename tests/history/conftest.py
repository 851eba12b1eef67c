"""A history in a folder of its own, and conversations to put into it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.chat.conversation import Answer, Attached, Conversation
from app.history.jobs import folder
from app.history.store import Store
from app.protocol import Delta, Finished, Media, Thumbnail, Timings, Usage

DIGEST = "ab" * 32
PICTURE = Attached(
    Media("image", "cat.png", DIGEST, "/elsewhere/cache/media/cat.rgb", 64, 48),
    (Thumbnail("/elsewhere/cache/media/cat-0.rgb", 16, 12),),
    120,
    (64, 32),
)


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "parley"))
    return folder()


@pytest.fixture
def store(where: Path) -> Iterator[Store]:
    opened = Store(where)
    yield opened
    opened.close()


def answered(conversation: Conversation, question: str, text: str, thinking: str = "") -> Answer:
    """Ask and answer, in memory."""
    answer = conversation.ask(question, (), thinking=True)
    answer.asked(0.0)
    if thinking:
        answer.grew(Delta(answer.key, "thinking", thinking, 3), 1.0)
    answer.grew(Delta(answer.key, "answer", text, 2), 4.5)
    answer.finished(Finished(answer.key, "end", Usage(10, 4, 3, 2), Timings(0, 0.5, 30)), 6.0)
    return answer


def kept(store: Store, *turns: tuple[str, str]) -> Conversation:
    """A conversation with these questions and answers, on the disk."""
    conversation = Conversation()
    for question, text in turns:
        answered(conversation, question, text)
    store.put(conversation)
    return conversation


def texts(conversation: Conversation) -> list[str]:
    """What is shown of a conversation."""
    return [node.text for node in conversation.path()]

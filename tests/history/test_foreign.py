"""Exports of other programs: what was said in them comes over, and no file of nonsense does harm."""

import copy
import json
import random
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.chat.conversation import Answer, Conversation
from app.history import foreign, jobs, transfer
from app.history.failure import HistoryError
from app.history.store import Store
from app.protocol import Import, JobDone
from tests.history.conftest import kept, texts


def node(key: str, parent: str | None, role: str, *parts: Any, kind: str = "text", **more: Any) -> dict[str, Any]:
    message = {"author": {"role": role}, "create_time": 1700000000.5, "content": {"content_type": kind, **more}}
    if parts:
        message["content"]["parts"] = list(parts)  # type: ignore[index]
    return {"id": key, "parent": parent, "message": message, "children": []}


CHATGPT: list[dict[str, Any]] = [
    {
        "title": "Balls\u202e and ramps",
        "create_time": 1700000000.0,
        "update_time": 1700000100.0,
        "current_node": "a2",
        "mapping": {
            "a2": node("a2", "u1", "assistant", "The second answer."),
            "root": {"id": "root", "parent": None, "message": None, "children": ["s"]},
            "s": node("s", "root", "system", ""),
            "u1": node("u1", "s", "user", {"content_type": "image_asset_pointer", "asset_pointer": "x"}, "What rolls?"),
            "a1": node("a1", "t1", "assistant", "The first answer."),
            "t1": node("t1", "u1", "assistant", kind="thoughts", thoughts=[{"summary": "s", "content": "It rolls."}]),
            "c1": node("c1", "a1", "assistant", kind="code", text="print(1)"),
            "lost": node("lost", "lost", "user", "in a circle"),
        },
    },
    {"title": "Nothing in it", "mapping": {}},
]
LM_STUDIO: dict[str, Any] = {
    "name": "Local",
    "createdAt": 1700000000000,
    "pinned": True,
    "systemPrompt": "Be brief.",
    "messages": [
        {"versions": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}], "currentlySelected": 0},
        {
            "versions": [
                {"role": "assistant", "steps": []},
                {
                    "role": "assistant",
                    "steps": [
                        {"type": "contentBlock", "style": {"type": "thinking"}, "content": [{"text": "Hm."}]},
                        {"type": "contentBlock", "content": [{"type": "text", "text": "Hi!"}]},
                    ],
                },
            ],
            "currentlySelected": 1,
        },
    ],
}
OPEN_WEBUI = [
    {
        "title": "Web",
        "created_at": 1700000000,
        "updated_at": 1700000200,
        "pinned": False,
        "chat": {
            "system": "Be kind.",
            "history": {
                "currentId": "4",
                "messages": {
                    "1": {"parentId": None, "role": "user", "content": "One"},
                    "2": {"parentId": "1", "role": "assistant", "content": "<think>Hm</think>Two"},
                    "3": {"parentId": "1", "role": "assistant", "content": "Another two"},
                    "4": {"parentId": "2", "role": "user", "content": "Three"},
                },
            },
        },
    }
]


def only(plain: Any, name: str = "") -> foreign.Foreign:
    (found,), failed = foreign.conversations(plain, name)
    assert failed == 0
    return found


def last(conversation: Conversation) -> Answer:
    answer = conversation.path()[1]
    assert isinstance(answer, Answer)
    return answer


def test_a_conversation_of_chatgpt_comes_with_its_versions() -> None:
    found = only(CHATGPT)
    conversation = found.conversation
    assert (conversation.name, found.used_at) == ("Balls and ramps", 1700000100.0)
    assert texts(conversation) == ["[picture]\n\nWhat rolls?", "The second answer."]
    other = next(key for key in conversation.versions(last(conversation)) if key != last(conversation).key)
    conversation.show(other)
    assert texts(conversation)[1] == "The first answer.\n\n```\nprint(1)\n```"
    assert last(conversation).thinking == "It rolls."


def test_a_conversation_of_lm_studio_comes_with_thinking_and_system_prompt() -> None:
    found = only(LM_STUDIO)
    assert texts(found.conversation) == ["Hello", "Hi!"]
    assert last(found.conversation).thinking == "Hm."
    assert (found.conversation.choices.system, found.pinned) == ("Be brief.", True)
    assert found.conversation.started_at == 1700000000.0


def test_a_conversation_of_open_webui_comes_as_it_was_shown() -> None:
    conversation = only(OPEN_WEBUI).conversation
    assert texts(conversation) == ["One", "Two", "Three"]
    assert last(conversation).thinking == "Hm"
    assert len(conversation.versions(last(conversation))) == 2
    assert conversation.choices.system == "Be kind."


def test_chatgpts_zip_is_imported_and_kept(store: Store, where: Path, tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/chat.html", "<script>")
        archive.writestr("export/conversations.json", json.dumps(CHATGPT))
    assert jobs.do(Import("1", str(file)), where) == JobDone("1", "1 conversation imported.", changed=True)
    with closing(Store(where)) as again:
        (summary,) = again.summaries()
        assert summary.title == "Balls and ramps"
        assert texts(again.load(summary.key)) == ["[picture]\n\nWhat rolls?", "The second answer."]


def test_what_is_imported_stands_where_its_time_says(store: Store, where: Path, tmp_path: Path) -> None:
    kept(store, ("Now", "one"))
    file = tmp_path / "conversations.json"
    later = [{**CHATGPT[0], "title": "Later", "update_time": 1700000200.0}]
    file.write_text(json.dumps([*later, *CHATGPT, LM_STUDIO]))
    assert jobs.do(Import("1", str(file)), where) == JobDone("1", "3 conversations imported.", changed=True)
    listed = [summary.title for summary in store.summaries()]
    assert listed[-3:] == ["Later", "Balls and ramps", "Local"], "the oldest last"
    assert kept(store, ("Newer", "two")).key == store.summaries()[0].key


def test_a_zip_that_swells_is_read_no_further_than_the_limit(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "LARGEST", 100_000)
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", b" " * 5_000_000)
    with pytest.raises(HistoryError, match="too large"):
        transfer.from_json(store, file)


@pytest.mark.parametrize("how", ["cut", "flipped", "other"])
def test_a_zip_that_is_none_is_refused(store: Store, tmp_path: Path, how: str) -> None:
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("letters.json" if how == "other" else "conversations.json", json.dumps(CHATGPT))
    content = bytearray(file.read_bytes())
    if how == "flipped":
        content[60:90] = bytes(30)
    file.write_bytes(content[: len(content) // 2] if how == "cut" else content)
    with pytest.raises(HistoryError, match="no export of Parley, ChatGPT"):
        transfer.from_json(store, file)
    assert store.summaries() == []


ODD: list[Any] = [None, True, -1, 1e308, float("nan"), "", "\ud800\x00", [], {}, [[]], {"": {}}, "a1", "root"]


def spoil(plain: Any, chance: random.Random) -> Any:
    """One value somewhere in it is another."""
    plain = copy.deepcopy(plain)
    at = plain
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return plain
        key = chance.choice(keys)
        if not isinstance(at[key], dict | list) or chance.random() < 0.15:
            at[key] = chance.choice(ODD)
            return plain
        at = at[key]


@pytest.mark.parametrize("plain", [CHATGPT, [LM_STUDIO], OPEN_WEBUI], ids=["chatgpt", "lm-studio", "open-webui"])
def test_whatever_is_spoilt_what_is_read_can_be_kept(store: Store, plain: Any) -> None:
    chance = random.Random(5)  # noqa: S311
    for _ in range(300):
        spoilt = spoil(plain, chance)
        for _ in range(chance.randrange(3)):
            spoilt = spoil(spoilt, chance)
        found, _failed = foreign.conversations(spoilt, "x")
        for each in found:
            store.put(each.conversation)
            assert texts(store.load(each.conversation.key)) == texts(each.conversation)

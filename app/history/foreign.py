"""Conversations of other programs: ChatGPT's export, LM Studio's and Open WebUI's, also inside a ZIP.

Knows: where each of them keeps roles, texts, versions and times. Trusts none of it: every step is checked, sizes and
numbers have limits, what makes no sense is left out and counted. Pictures and files of these exports are named in the
text, not taken over. Does not know: the history, who asks.
"""

import json
import math
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.chat.conversation import Answer, Choices, Conversation, Question
from app.history.failure import HistoryError

LARGEST = 512 * 2**20
"""Bytes of JSON that are read at once, also of what a ZIP unpacks to."""
MOST_CONVERSATIONS, MOST_MESSAGES = 50_000, 20_000
LONGEST_TEXT, LONGEST_NAME = 8_000_000, 200
_JOINT = "\n\n"


@dataclass(slots=True)
class Foreign:
    """A conversation that was read, and when it was used last."""

    conversation: Conversation
    used_at: float
    pinned: bool = False


@dataclass(slots=True)
class _Said:
    """A message by its key, as any of these programs has it."""

    key: str
    parent: str | None
    role: str
    text: str
    thinking: str = ""
    at: float = 0.0


@dataclass(slots=True)
class _Told:
    """A whole conversation as any of these programs has it; `last` is the message that was shown at its end."""

    name: str
    started_at: float
    used_at: float
    system: str = ""
    said: list[_Said] = field(default_factory=list)
    last: str | None = None
    pinned: bool = False


def plain_of(path: Path) -> Any:
    """The JSON of a file, or of the conversations in a ZIP. Raises `HistoryError`, `OSError`, `ValueError`."""
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if not zipped:
        if path.stat().st_size > LARGEST:
            raise _too_large(path)
        return json.loads(path.read_bytes())
    try:
        with zipfile.ZipFile(path) as archive:
            found = [each for each in archive.infolist() if Path(each.filename).name == "conversations.json"]
            if not found:
                raise ValueError("no conversations in it")
            with archive.open(found[0]) as inside:
                content = inside.read(LARGEST + 1)  # what the archive says of its size is not believed
    except (zipfile.BadZipFile, RuntimeError, EOFError, KeyError) as error:
        raise ValueError("a damaged archive") from error
    if len(content) > LARGEST:
        raise _too_large(path)
    return json.loads(content)


def conversations(plain: Any, default_name: str) -> tuple[list[Foreign], int]:
    """What of a file can be read as conversations, and how many could not be. Both are nothing for other files."""
    items = plain if isinstance(plain, list) else [plain]
    found: list[Foreign] = []
    failed = 0
    for item in items[:MOST_CONVERSATIONS]:
        told = _told(item, default_name)
        built = _built(told) if told is not None else None
        if built is not None:
            found.append(built)
        elif told is not None:
            failed += bool(told.said)
    return found, failed + max(0, len(items) - MOST_CONVERSATIONS)


def _told(item: Any, default_name: str) -> _Told | None:
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("mapping"), dict):
        return _of_chatgpt(item)
    chat = item.get("chat")
    if isinstance(chat, dict) and (isinstance(chat.get("history"), dict) or isinstance(chat.get("messages"), list)):
        return _of_open_webui(item, chat)
    if isinstance(item.get("messages"), list):
        return _of_lm_studio(item, default_name)
    return None


# ---- ChatGPT: a tree of nodes by key ---------------------------------------------------------------------------------


def _of_chatgpt(item: dict[str, Any]) -> _Told:
    started = _seconds(item.get("create_time"))
    told = _Told(_line(item.get("title")), started, _seconds(item.get("update_time"), started))
    told.last = item.get("current_node") if isinstance(item.get("current_node"), str) else None
    nodes = item["mapping"]
    for key in _parents_first(nodes, "parent"):
        message = nodes[key].get("message")
        message = message if isinstance(message, dict) else {}
        author = message.get("author")
        role = author.get("role") if isinstance(author, dict) else ""
        content = message.get("content")
        content = content if isinstance(content, dict) else {}
        thought = content.get("content_type") in ("thoughts", "reasoning_recap")
        hidden = isinstance(message.get("metadata"), dict) and message["metadata"].get(
            "is_visually_hidden_from_conversation"
        )
        text = "" if hidden else _chatgpt_text(content)
        told.said.append(
            _Said(
                key,
                _key(nodes[key].get("parent")),
                "" if hidden else str(role),
                "" if thought else text,
                text if thought else "",
                _seconds(message.get("create_time"), started),
            )
        )
    return told


def _chatgpt_text(content: dict[str, Any]) -> str:
    parts: list[str] = []
    for part in _list(content.get("parts")) + _list(content.get("thoughts")):
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text") or part.get("content"), str):
            parts.append(part.get("text") or part["content"])
        elif isinstance(part, dict) and part.get("content_type") == "image_asset_pointer":
            parts.append("[picture]")
    if content.get("content_type") == "code" and isinstance(content.get("text"), str):
        parts.append(f"```\n{content['text']}\n```")
    elif isinstance(content.get("text"), str):
        parts.append(content["text"])
    return _text(_JOINT.join(part for part in parts if part.strip()))


# ---- Open WebUI: a tree of messages by key, or their list ------------------------------------------------------------


def _of_open_webui(item: dict[str, Any], chat: dict[str, Any]) -> _Told:
    started = _seconds(item.get("created_at"), _seconds(chat.get("timestamp")))
    name = _line(item.get("title")) or _line(chat.get("title"))
    told = _Told(name, started, _seconds(item.get("updated_at"), started), pinned=item.get("pinned") is True)
    told.system = _text(chat.get("system"))
    history = chat.get("history")
    nodes = history.get("messages") if isinstance(history, dict) else None
    if isinstance(history, dict) and isinstance(nodes, dict):
        told.last = _key(history.get("currentId"))
        for key in _parents_first(nodes, "parentId"):
            told.said.append(_plain_message(key, _key(nodes[key].get("parentId")), nodes[key], started))
    else:
        _in_a_row(told, _list(chat.get("messages")), started)
    return told


# ---- LM Studio: a list of messages, each with its versions -----------------------------------------------------------


def _of_lm_studio(item: dict[str, Any], default_name: str) -> _Told:
    started = _seconds(item.get("createdAt"))
    used = _seconds(item.get("assistantLastMessagedAt"), _seconds(item.get("userLastMessagedAt"), started))
    told = _Told(_line(item.get("name")) or _line(item.get("title")) or _line(default_name), started, used)
    told.system = _text(item.get("systemPrompt"))
    told.pinned = item.get("pinned") is True
    messages: list[Any] = []
    for message in _list(item.get("messages")):
        versions = _list(message.get("versions")) if isinstance(message, dict) else []
        at = message.get("currentlySelected") if isinstance(message, dict) else 0
        at = at if isinstance(at, int) and 0 <= at < len(versions) else 0
        messages.append(versions[at] if versions else message)
    _in_a_row(told, messages, started)
    return told


def _in_a_row(told: _Told, messages: list[Any], started: float) -> None:
    parent: str | None = None
    for number, message in enumerate(messages[:MOST_MESSAGES]):
        if isinstance(message, dict):
            told.said.append(_plain_message(str(number), parent, message, started))
            parent = str(number)
    told.last = parent


def _plain_message(key: str, parent: str | None, message: dict[str, Any], started: float) -> _Said:
    """A message with `role` and `content`, which is a text, or a list of parts; LM Studio also has steps of them."""
    texts: list[str] = []
    thinking: list[str] = [text for text in [message.get("reasoning_content")] if isinstance(text, str)]
    blocks = [message, *(step for step in _list(message.get("steps")) if isinstance(step, dict))]
    for block in blocks:
        style = block.get("style")
        thought = isinstance(style, dict) and style.get("type") == "thinking"
        content = block.get("content")
        for part in [content] if isinstance(content, str) else _list(content):
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str) and text.strip():
                (thinking if thought else texts).append(text)
            elif isinstance(part, dict) and part.get("type") in ("file", "image", "image_url"):
                texts.append(f"[{_line(part.get('name')) or 'file'}]")
    text, thought_first = _JOINT.join(texts), _JOINT.join(thinking)
    role = message.get("role")
    if role == "assistant" and text.startswith("<think>") and "</think>" in text:
        inside, text = text.removeprefix("<think>").split("</think>", 1)
        thought_first = thought_first or inside
    at = _seconds(message.get("timestamp"), started)
    return _Said(key, parent, str(role), _text(text).strip(), _text(thought_first).strip(), at)


# ---- one tree of questions and answers out of any of them ------------------------------------------------------------


def _built(told: _Told) -> Foreign | None:
    """Questions and answers that follow each other; what stands between two of a kind is joined. None if none do."""
    fresh = Conversation(started_at=told.started_at, name=told.name)
    places: dict[str | None, str | None] = {None: None}
    thoughts: dict[str | None, str] = {}
    system = [told.system]
    for said in told.said:
        above = places.get(said.parent)
        places[said.key] = above
        thought = _JOINT.join(part for part in (thoughts.get(said.parent, ""), said.thinking) if part)
        if said.role == "system" and said.text and above is None:
            system.append(said.text)
        elif said.role == "user" and said.text:
            places[said.key] = _asked(fresh, above, said)
        elif said.role == "assistant" and above is not None and said.text:
            places[said.key] = _answered(fresh, above, said, thought)
            continue
        thoughts[said.key] = thought
    if not any(isinstance(node, Answer) for node in fresh.nodes.values()):
        return None
    told_first = _text(_JOINT.join(part for part in system if part.strip()))
    fresh.choices = Choices(system=told_first or None)
    shown = places.get(told.last)
    if shown is not None:
        fresh.reveal(shown)
    return Foreign(fresh, told.used_at, told.pinned)


def _asked(fresh: Conversation, above: str | None, said: _Said) -> str:
    node = fresh.nodes.get(above) if above is not None else None
    if isinstance(node, Question):
        node.text = _text(node.text + _JOINT + said.text)
        return node.key
    question = Question(uuid.uuid4().hex, above, said.text, made_at=said.at)
    fresh.add(question)
    return question.key


def _answered(fresh: Conversation, above: str, said: _Said, thought: str) -> str:
    node = fresh.nodes[above]
    if isinstance(node, Answer):
        node.text = _text(node.text + _JOINT + said.text)
        node.thinking = _text(_JOINT.join(part for part in (node.thinking, thought) if part))
        return node.key
    answer = Answer(
        uuid.uuid4().hex,
        above,
        wants_thinking=bool(thought),
        thinking=_text(thought),
        text=said.text,
        stage="over",
        ending="end",
        made_at=said.at,
    )
    fresh.add(answer)
    return answer.key


def _parents_first(nodes: dict[str, Any], name: str) -> Iterator[str]:
    """The keys of a tree, each behind that of its parent; what hangs in a circle or nowhere is left out."""
    below: dict[str | None, list[str]] = {}
    for key, node in list(nodes.items())[:MOST_MESSAGES]:
        if isinstance(node, dict):
            parent = _key(node.get(name))
            below.setdefault(parent if parent in nodes else None, []).append(key)
    waiting = below.get(None, [])[::-1]
    while waiting:
        key = waiting.pop()
        yield key
        waiting += below.get(key, [])[::-1]


def _key(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: Any) -> list[Any]:
    return value[:MOST_MESSAGES] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A text without what no text may hold: halves of characters, zeros."""
    if not isinstance(value, str):
        return ""
    return value[:LONGEST_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()


def _line(value: Any) -> str:
    text = _text(value)
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text[:2000]).split())[:LONGEST_NAME]


def _seconds(value: Any, otherwise: float | None = None) -> float:
    """A time of any of these programs in seconds since 1970: they also count in thousandths and more finely."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e30 and math.isfinite(value):
        seconds = float(value)
        while seconds > 1e11:
            seconds /= 1000.0
        return seconds
    return time.time() if otherwise is None else otherwise


def _too_large(path: Path) -> HistoryError:
    return HistoryError(f"“{path.name}” is too large to be imported at once: export fewer conversations.")

"""Conversations as files of their own: Markdown and HTML to read, JSON to keep and to bring back.

Knows: these forms, the folder of attached files beside two of them. Does not know: who asks.
What is imported is checked field by field; a conversation that is there already comes in as a copy.
"""

import json
import shutil
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from app.chat.conversation import Conversation, Question
from app.history import foreign
from app.history.failure import HistoryError
from app.history.files import keep, place_of
from app.history.page import Files, page
from app.history.records import Row, attachment_of, attachment_text, choices_of, node_of, row_of, text_of
from app.history.store import Store, Summary, check_place
from app.protocol import ProtocolError, from_plain, to_plain

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Exported:
    """A conversation in an export: rows as the history keeps them, and the attachments of each message by its key."""

    key: str
    name: str
    pinned: bool
    used_at: float
    started_at: float
    choices: str
    messages: tuple[Row, ...]
    attached: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ExportFile:
    """Everything that an exported file holds. `parley` is the version of this form."""

    parley: int
    conversations: tuple[Exported, ...]


def to_json(store: Store, summaries: Iterable[Summary], path: Path) -> None:
    """Write conversations with everything that is kept of them; their files come into a folder beside. Raises a
    `HistoryError`."""
    exported: list[Exported] = []
    digests: dict[str, str] = {}
    for summary in summaries:
        conversation = store.load(summary.key)
        exported.append(_exported(conversation, summary))
        digests |= _digests(conversation)
    _write(path, [json.dumps(to_plain(ExportFile(FORMAT, tuple(exported))), ensure_ascii=False, indent=1)])
    _copy_files(store.folder, digests, beside(path))


def to_markdown(store: Store, summaries: Iterable[Summary], path: Path) -> None:
    """Write the shown paths of conversations as text to read, their files in a folder beside. Raises a
    `HistoryError`."""
    written: list[str] = []
    digests: dict[str, str] = {}
    for summary in summaries:
        conversation = store.load(summary.key)
        names = _digests(conversation)
        places = {digest: f"{beside(path).name}/{digest[:12]}-{name}" for digest, name in names.items()}
        written.append(markdown(conversation, places))
        digests |= names
    _write(path, ["\n\n".join(written)])
    _copy_files(store.folder, digests, beside(path), named=True)


def to_html(store: Store, summaries: Iterable[Summary], path: Path) -> None:
    """Write the shown paths of conversations as one page that holds its pictures. Raises a `HistoryError`."""
    chosen = list(summaries)
    digests: dict[str, Path] = {}

    def loaded() -> Iterator[tuple[Conversation, str]]:
        for summary in chosen:
            conversation = store.load(summary.key)
            digests.update({digest: place_of(store.folder, digest) for digest in _digests(conversation)})
            yield conversation, _day(conversation.started_at)

    title = chosen[0].title if len(chosen) == 1 else "Conversations"
    _write(path, page(title, loaded(), Files(digests)))


def markdown(conversation: Conversation, files: dict[str, str]) -> str:
    """The shown path of a conversation in Markdown; `files` are the places of attached files by digest."""
    lines = [f"# {conversation.title}", f"*{_day(conversation.started_at)}*"]
    for node in conversation.path():
        if isinstance(node, Question):
            lines.append("## You")
            for item in node.attached:
                media = item.media
                picture = "!" if media.kind == "image" else ""
                lines.append(f"{picture}[{_plain(media.name)}](<{files.get(media.digest, media.name)}>)")
            lines.append(node.text)
        else:
            lines.append("## Parley")
            if node.thinking.strip():
                quoted = "\n".join(f"> {line}".rstrip() for line in node.thinking.strip().splitlines())
                lines.append(f"<details><summary>Thinking</summary>\n\n{quoted}\n\n</details>")
            lines.append(node.text)
            if node.ending in ("interrupted", "stopped", "failed"):
                lines.append(f"*({node.ending})*")
    return "\n\n".join(line for line in lines if line) + "\n"


def from_json(store: Store, path: Path) -> tuple[int, int]:
    """Add the conversations of an export, Parley's or another program's: how many, and how many made no sense. Raises
    a `HistoryError`, before anything is written if the file makes no sense."""
    known = {summary.key for trashed in (False, True) for summary in store.summaries(trashed=trashed)}
    plain = _plain_json(path)
    if not _is_ours(plain):
        return _from_elsewhere(store, plain, path)
    read = [(_conversation(exported, known), exported) for exported in _exports(plain, path).conversations]
    for conversation, exported in sorted(read, key=_used):
        for question in conversation.nodes.values():
            for item in question.attached if isinstance(question, Question) else ():
                with suppress(HistoryError):  # a file that was left behind is a gap in one message, no reason to stop
                    keep(store.folder, item.media.digest, beside(path) / item.media.digest)
        store.put(conversation)
        store.place(Summary(conversation.key, "", exported.pinned, exported.used_at), by_time=True)
    return len(read), 0


def _from_elsewhere(store: Store, plain: Any, path: Path) -> tuple[int, int]:
    name = path.name.removesuffix(".json").removesuffix(".conversation")
    try:
        found, failed = foreign.conversations(plain, "" if name.isdigit() else name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_export() from error
    if not found:
        raise _no_export()
    for each in sorted(found, key=_used_elsewhere):
        store.put(each.conversation)
        store.place(Summary(each.conversation.key, "", each.pinned, each.used_at), by_time=True)
    return len(found), failed


def beside(path: Path) -> Path:
    """The folder with the files of an export."""
    return path.with_name(f"{path.stem} files")


def _exported(conversation: Conversation, summary: Summary) -> Exported:
    nodes = conversation.nodes.values()
    return Exported(
        conversation.key,
        conversation.name,
        summary.pinned,
        summary.used_at,
        conversation.started_at,
        text_of(conversation.choices),
        tuple(row_of(node, conversation.key, shown=conversation.chosen[node.parent] == node.key) for node in nodes),
        tuple(
            (node.key, attachment_text(item)) for node in nodes if isinstance(node, Question) for item in node.attached
        ),
    )


def _conversation(exported: Exported, known: set[str]) -> Conversation:
    """The conversation with keys of its own. Raises `HistoryError`."""
    try:
        attached = [(message, attachment_of(record)) for message, record in exported.attached]
        fresh = Conversation(
            uuid.uuid4().hex if exported.key in known else exported.key,
            exported.started_at,
            name=exported.name,
            choices=choices_of(exported.choices),
        )
        keys: dict[str | None, str | None] = {None: None}
        shown: dict[str | None, str] = {}
        for row in exported.messages:
            items = tuple(item for message, item in attached if message == row.key)
            node = node_of(replace(row, parent=keys[row.parent]), items)
            node.key = uuid.uuid4().hex
            check_place(fresh, node)
            fresh.add(node)
            keys[row.key] = node.key
            if row.shown:
                shown[node.parent] = node.key
        fresh.chosen.update(shown)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _no_export() from error
    return fresh


def _is_ours(plain: Any) -> bool:
    return isinstance(plain, dict) and "parley" in plain


def _exports(plain: Any, path: Path) -> ExportFile:
    if isinstance(plain.get("parley"), int) and plain["parley"] > FORMAT:
        raise HistoryError(f"“{path.name}” was written by a newer Parley: install the newer version to import it.")
    try:
        return from_plain(ExportFile, plain)
    except (ProtocolError, ValueError, TypeError, RecursionError) as error:
        raise _no_export() from error


def _plain_json(path: Path) -> Any:
    try:
        return foreign.plain_of(path)
    except OSError as error:
        raise HistoryError(
            f"“{path.name}” cannot be read ({error.strerror}): choose another file or change its permissions."
        ) from error
    except (ValueError, TypeError, RecursionError, zlib.error) as error:
        raise _no_export() from error


def _no_export() -> HistoryError:
    return HistoryError(
        "This file is no export of Parley, ChatGPT, LM Studio or Open WebUI, so nothing was imported: choose the JSON "
        "or ZIP file that one of them has written."
    )


def _write(path: Path, pieces: Iterable[str]) -> None:
    """The whole file or none."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", errors="replace") as file:
            for piece in pieces:
                file.write(piece)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise HistoryError(
            f"“{path.name}” could not be written ({error.strerror}): choose another folder, or make room there."
        ) from error


def _copy_files(folder: Path, digests: dict[str, str], into: Path, *, named: bool = False) -> None:
    for digest, name in digests.items():
        source = place_of(folder, digest)
        if not source.is_file():
            continue
        try:
            into.mkdir(exist_ok=True)
            shutil.copyfile(source, into / (f"{digest[:12]}-{name}" if named else digest))
        except OSError as error:
            raise HistoryError(
                f"The attached files could not be written to “{into.name}” ({error.strerror}): choose another folder, "
                "or make room there."
            ) from error


def _digests(conversation: Conversation) -> dict[str, str]:
    """The content of every attached file, and a name for it that is safe in a path."""
    return {
        item.media.digest: _plain(item.media.name)
        for node in conversation.nodes.values()
        if isinstance(node, Question)
        for item in node.attached
    }


def _plain(name: str) -> str:
    kept = "".join(character if character.isalnum() or character in " ._-" else "_" for character in name)
    return kept.strip(" .")[-80:] or "file"


def _used(pair: tuple[Conversation, Exported]) -> float:
    return pair[1].used_at


def _used_elsewhere(each: foreign.Foreign) -> float:
    return each.used_at


def _day(seconds: float) -> str:
    with suppress(ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(seconds)
        return f"{moment.day} {moment:%B %Y}"
    return ""

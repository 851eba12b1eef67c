"""What is done to the history's file before it can be opened: a backup and an upgrade, or saving what is readable.

Knows: older versions, damaged files. Does not know: the window, which waits without the file until this is over. The
damaged file itself is kept as it was found. The window must have closed the file.
"""

import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.chat.conversation import Answer, Attached, Choices, Conversation, Node, Question
from app.history import schema
from app.history.failure import DamagedError, HistoryError, OutdatedError, translated
from app.history.records import AnswerRecord, Row, attachment_of, choices_of, interrupted, node_of, text_of
from app.history.schema import FILE, lenient, make, open_file, raw, version_of
from app.history.store import COLUMNS, Store, Summary, check_place

BACKUPS, SET_ASIDE = "backups", "set-aside"
LOST = "(This message could not be read any more.)"
_PAGE = 4096
_UNREADABLE = (sqlite3.Error, UnicodeError)  # SQLite may say what is wrong in the words of a damaged schema
_PROBED = 200_000


def mend(folder: Path) -> str:
    """Make the file openable. Returns a sentence about what was done, empty if it was nothing worth saying.

    Raises a `HistoryError` if it is still not openable: the disk is full, or a newer Parley wrote it.
    """
    try:
        with closing(open_file(folder)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        if sound:
            _readable(folder)
            return ""
    except OutdatedError:
        _upgrade(folder)
        return ""
    except (DamagedError, *_UNREADABLE):
        pass
    return _salvage(folder)


def _readable(folder: Path) -> None:
    """Read everything once: rows that make no sense are damage that SQLite cannot see."""
    with closing(Store(folder)) as store:
        for trashed in (False, True):
            for summary in store.summaries(trashed=trashed):
                store.load(summary.key)


def _upgrade(folder: Path) -> None:
    with translated(folder), closing(raw(folder / FILE)) as connection:
        version = version_of(connection)
        backup = _stamped(folder / BACKUPS, f"version-{version}") / FILE
        part = backup.with_suffix(".part")
        with closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
        part.replace(backup)
        try:
            for step in range(version, schema.VERSION):
                connection.execute("BEGIN IMMEDIATE")
                schema.UPGRADES[step](connection)
                connection.execute(f"PRAGMA user_version = {step + 1}")
                connection.execute("COMMIT")
        except (KeyError, sqlite3.DatabaseError) as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise HistoryError(
                f"Your conversations could not be brought up to date and are left as they were, with a copy in "
                f"{backup.parent}: new ones are kept only while Parley is open."
            ) from error


# ---- a damaged file --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """What could be read of a damaged file."""

    conversations: dict[str, tuple[Conversation, Summary]]
    homes: dict[str, str] = field(default_factory=dict)
    """Which conversation a message was found in, by its key."""

    @property
    def messages(self) -> int:
        """How much was found."""
        return len(self.homes)


def _salvage(folder: Path) -> str:
    with translated(folder):
        aside = _stamped(folder / SET_ASIDE, "damaged")
        for suffix in ("", "-wal"):
            file = folder / (FILE + suffix)
            if file.is_file():
                shutil.copy2(file, aside / file.name)
        with TemporaryDirectory(dir=folder, prefix=".saving-") as scratch:
            best = max((_read(copy) for copy in _attempts(aside, Path(scratch))), key=lambda found: found.messages)
            fresh = Path(scratch) / "fresh"
            with closing(Store(fresh)) as store:
                for conversation, summary in best.conversations.values():
                    store.put(conversation)
                    store.place(summary)
            for suffix in ("-wal", "-shm"):
                (folder / (FILE + suffix)).unlink(missing_ok=True)
            (fresh / FILE).replace(folder / FILE)
    saved = len(best.conversations)
    what = f"{saved} conversation{'s' if saved != 1 else ''} could be saved" if saved else "Nothing in it could be read"
    return f"The file with your conversations was damaged. {what}; the damaged file is kept in {aside}."


def _attempts(aside: Path, scratch: Path) -> Iterator[Path]:
    """Copies of the damaged file, each less faithful and more likely to open: as it is, without its log, and with the
    first page of a sound file, for the tables of each file begin at the same pages."""
    for number, logged in enumerate((True, False, False)):
        copy = scratch / str(number)
        copy.mkdir()
        with suppress(FileNotFoundError):
            shutil.copy(aside / FILE, copy / FILE)
            if logged:
                shutil.copy(aside / f"{FILE}-wal", copy / f"{FILE}-wal")
        if number == 2 and (copy / FILE).is_file():
            _replace_first_page(copy / FILE)
        yield copy / FILE


def _replace_first_page(file: Path) -> None:
    sound = file.with_name("sound.db")
    with closing(sqlite3.connect(sound)) as connection:
        make(connection)
    page = bytearray(sound.read_bytes()[:_PAGE])
    with file.open("rb+") as damaged:
        size = max(1, file.stat().st_size // _PAGE)
        page[28:32] = size.to_bytes(4, "big")
        page[32:40] = bytes(8)  # no free pages: what was free is not read anyway
        damaged.write(page)


def _read(file: Path) -> _Found:
    """Every row that can be read and makes sense, put together as well as it goes."""
    found = _Found({})
    if not file.is_file():
        return found
    try:
        connection = sqlite3.connect(file, isolation_level=None)
    except _UNREADABLE:
        return found
    connection.text_factory = lenient
    with closing(connection):
        attached: dict[str, tuple[Attached, ...]] = {}
        for _, message, _place, _digest, record in _rows(connection, "attachment", "message, place, digest, record"):
            with suppress(ValueError, TypeError, RecursionError):
                attached[str(message)] = (*attached.get(str(message), ()), attachment_of(record))
        deltas: dict[str, list[tuple[Any, ...]]] = {}
        for _, message, *delta in _rows(connection, "delta", "message, channel, text, tokens, thought"):
            deltas.setdefault(str(message), []).append(tuple(delta))
        columns = "key, name, pinned, used, used_at, started_at, trashed_at, choices"
        rows = sorted(_rows(connection, "conversation", columns), key=_order)
        for _, key, name, pinned, _used, used_at, started_at, trashed_at, choices in rows:
            conversation = Conversation(str(key), _number(started_at), name=name if isinstance(name, str) else "")
            with suppress(ValueError, TypeError, RecursionError):
                conversation.choices = choices_of(choices)
            gone = _number(trashed_at) if trashed_at is not None else None
            summary = Summary(str(key), "", pinned == 1, _number(used_at), gone)
            found.conversations[conversation.key] = conversation, summary
        for _, *values in _rows(connection, "message", COLUMNS):
            with suppress(ValueError, TypeError, RecursionError):
                _take(found, Row(*values), attached, deltas)
    found.conversations = {key: item for key, item in found.conversations.items() if item[0].nodes}
    return found


def _take(
    found: _Found,
    row: Row,
    attached: dict[str, tuple[Attached, ...]],
    deltas: dict[str, list[tuple[Any, ...]]],
) -> None:
    """Put a row in its place. A message stands where its parent stands, whatever else its row says."""
    if row.key in found.homes:
        raise ValueError("it is there already")
    row = replace(row, conversation=found.homes.get(row.parent or "", row.conversation))
    if not row.done and row.kind == "answer":
        row = interrupted(row, deltas.get(row.key, []))
    try:
        node = node_of(row, attached.get(row.key, ()))
    except (ValueError, TypeError, RecursionError):  # its text is worth more than what was known about it
        unknown = text_of(AnswerRecord(wants_thinking=False, ending="interrupted")) if row.kind == "answer" else ""
        node = node_of(replace(row, record=unknown), attached.get(row.key, ()))
    if row.conversation not in found.conversations:
        fresh = Conversation(row.conversation, node.made_at, choices=Choices())
        found.conversations[row.conversation] = fresh, Summary(fresh.key, "", False, node.made_at)
    conversation = found.conversations[row.conversation][0]
    before = conversation.chosen.get(node.parent)
    try:
        check_place(conversation, node)
    except ValueError:
        _hang(conversation, node)
        before = None
    conversation.add(node)
    if before is not None and not row.shown:
        conversation.chosen[node.parent] = before
    found.homes |= dict.fromkeys(conversation.nodes.keys() - found.homes.keys(), conversation.key)


def _hang(conversation: Conversation, node: Node) -> None:
    """Give a node whose parent is lost one in its place, at the end of what there is, so that nothing is hidden.
    Raises `ValueError` if that cannot be."""
    if node.parent is None or node.parent in conversation.nodes:
        raise ValueError("it is not its parent that is missing")
    path = conversation.path()
    last = path[-1] if path else None
    if isinstance(node, Answer):
        end = _lost_answer(uuid.uuid4().hex, last.key) if isinstance(last, Question) else last
        if end is not None and end is not last:
            conversation.add(end)
        conversation.add(Question(node.parent, end.key if end is not None else None, LOST))
    else:
        question = last if isinstance(last, Question) else Question(uuid.uuid4().hex, last.key if last else None, LOST)
        if question is not last:
            conversation.add(question)
        conversation.add(_lost_answer(node.parent, question.key))
    check_place(conversation, node)


def _lost_answer(key: str, parent: str) -> Answer:
    return Answer(key, parent, wants_thinking=False, stage="over", ending="interrupted")


def _rows(connection: sqlite3.Connection, table: str, columns: str) -> list[tuple[Any, ...]]:
    """The rows of a table that can be read, by number: from the front, from the back, then one by one between."""
    select = f"SELECT rowid, {columns} FROM {table} NOT INDEXED"  # noqa: S608
    found: dict[int, tuple[Any, ...]] = {}
    ends = [0, 0]
    for at, order in enumerate(("ASC", "DESC")):
        try:
            for row in connection.execute(f"{select} ORDER BY rowid {order}"):
                found[row[0]] = row
                ends[at] = row[0]
        except _UNREADABLE:
            continue
        return [found[number] for number in sorted(found)]
    for number in range(ends[0] + 1, min(ends[1], ends[0] + _PROBED)):
        with suppress(*_UNREADABLE):
            found.update({row[0]: row for row in connection.execute(f"{select} WHERE rowid = ?", (number,))})
    return [found[number] for number in sorted(found)]


def _order(row: tuple[Any, ...]) -> float:
    return _number(row[4])


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else time.time()


def _stamped(folder: Path, name: str) -> Path:
    """A new folder that is named after now."""
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    for count in range(1, 1000):
        fresh = folder / (f"{name}-{stamp}" + (f"-{count}" if count > 1 else ""))
        with suppress(FileExistsError):
            fresh.mkdir(parents=True)
            return fresh
    raise HistoryError(f"There is no room for another folder in {folder}: remove some of those that are there.")

"""Conversations as the window keeps them: small statements on one SQLite file, each of well under a millisecond.

Knows: what is written when an answer is asked for, grows and ends. Does not know: who decides when, search, files.
Every commit survives the end of the program. That it also survives the end of the current is the work of another
process (`app.history.jobs`), which has the disk write it while the window goes on: waiting took up to 96 ms.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.chat.conversation import Answer, Attached, Choices, Conversation, Node, Question
from app.history.failure import damaged, translated
from app.history.records import (
    Row,
    attachment_of,
    attachment_text,
    choices_of,
    interrupted,
    memory_text,
    node_of,
    row_of,
    text_of,
)
from app.history.schema import open_file

FOLDER = "CASE WHEN json_valid(choices) THEN coalesce(json_extract(choices, '$.folder'), '') ELSE '' END"
"""The folder that a conversation lies in: a name, kept with the rest of what was chosen for it."""
COLUMNS = "key, conversation, parent, kind, shown, done, text, thinking, record, made_at"


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation as a list shows it. Times are seconds since 1970; `trashed_at` is None outside the trash."""

    key: str
    title: str
    pinned: bool
    used_at: float
    trashed_at: float | None = None
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Growth:
    """A piece of a growing answer: `tokens` of its channel and seconds of thinking, both up to here."""

    channel: str
    text: str
    tokens: int
    thought: float


class Store:
    """The history below a folder. Every method raises a `HistoryError` if it fails; nothing is half written."""

    def __init__(self, folder: Path) -> None:
        """Open it, or make it."""
        self.folder = folder
        self._connection = open_file(folder)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def interrupt_open_answers(self) -> None:
        """Answers that a dead program was writing become interrupted ones. Only for who alone writes answers here."""
        with self._reading(), self._transaction():
            rows = self._connection.execute(f"SELECT {COLUMNS} FROM message WHERE done = 0").fetchall()  # noqa: S608
            for row in map(self._so_far, [Row(*values) for values in rows]):
                self._end(row)

    # ---- lists -----------------------------------------------------------------------------------------------------

    def summaries(self, *, trashed: bool = False) -> list[Summary]:
        """Every conversation outside the trash, or in it, the last used first. The clock plays no part in the order."""
        where = "IS NOT NULL" if trashed else "IS NULL"
        columns = f"key, name, title, pinned, used_at, trashed_at, {FOLDER}"
        with self._reading():
            rows = self._connection.execute(
                f"SELECT {columns} FROM conversation WHERE trashed_at {where} ORDER BY used DESC, rowid DESC"  # noqa: S608
            ).fetchall()
            return [
                Summary(k, str(name or title), bool(pin), float(at), gone, str(folder))
                for k, name, title, pin, at, gone, folder in rows
            ]

    def load(self, key: str) -> Conversation:
        """A whole conversation."""
        with self._reading():
            found = self._connection.execute(
                "SELECT name, started_at, choices FROM conversation WHERE key = ?", (key,)
            ).fetchone()
            if found is None:
                raise ValueError("there is no such conversation")
            name, started, choices = found
            conversation = Conversation(key, float(started), name=str(name), choices=choices_of(choices))
            attached = self._attached(key)
            rows = self._connection.execute(
                f"SELECT {COLUMNS} FROM message WHERE conversation = ? ORDER BY id",  # noqa: S608
                (key,),
            )
            shown: dict[str | None, str] = {}
            for values in rows:
                row = Row(*values)
                if not row.done:
                    row = self._so_far(row)
                node = node_of(row, attached.get(row.key, ()))
                check_place(conversation, node)
                conversation.add(node)
                if row.shown:
                    shown[node.parent] = node.key
            conversation.chosen.update(shown)
            return conversation

    # ---- what happens to an answer ---------------------------------------------------------------------------------

    def add(self, conversation: Conversation, nodes: Iterable[Node], sources: dict[str, str]) -> None:
        """Keep new nodes, and that the conversation was used now. `sources` are the files of the attachments by digest;
        those that are not kept yet stay wanted until they are."""
        with self._transaction():
            self._use(conversation)
            for node in nodes:
                self._insert(conversation, node)
                self._choose(conversation.key, node.parent, conversation.chosen[node.parent])
            self._want(sources)

    def grow(self, answer: str, growths: Iterable[Growth]) -> None:
        """Keep what has been added to an answer since the last time."""
        rows = [(answer, growth.channel, growth.text, growth.tokens, growth.thought) for growth in growths]
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO delta (message, channel, text, tokens, thought) VALUES (?, ?, ?, ?, ?)", rows
            )

    def resume(self, answer: Answer) -> None:
        """Keep that an answer is being written again where it ended."""
        with self._transaction():
            self._connection.execute("UPDATE message SET done = 0 WHERE key = ?", (answer.key,))

    def end(self, answer: Answer) -> None:
        """Keep an answer that is over, in one piece. The jobs see to it right after that the disk itself has it."""
        with self._transaction():
            self._end(row_of(answer, "", shown=True))

    def show(self, conversation: Conversation, nodes: Iterable[Node]) -> None:
        """Keep that these versions are the ones that are shown in their places."""
        with self._transaction():
            for node in nodes:
                self._choose(conversation.key, node.parent, node.key)

    def remember(self, question: Question) -> None:
        """Keep what the model is given in place of all before a question."""
        with self._transaction():
            self._remember(question)

    def remove(self, conversation: Conversation, keys: Iterable[str]) -> None:
        """Take nodes out, and keep where the others hang now."""
        with self._transaction():
            for key in keys:
                for table, column in (("message", "key"), ("delta", "message"), ("attachment", "message")):
                    self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (key,))  # noqa: S608
            places = [(node.parent, _shown(conversation, node), node.key) for node in conversation.nodes.values()]
            self._connection.executemany("UPDATE message SET parent = ?, shown = ? WHERE key = ?", places)
            for node in conversation.nodes.values():
                if isinstance(node, Question) and node.memory is not None:
                    self._remember(node)
            if not conversation.nodes:
                self._connection.execute("DELETE FROM conversation WHERE key = ?", (conversation.key,))

    def put(self, conversation: Conversation, sources: dict[str, str] | None = None) -> None:
        """Keep a whole conversation, whatever was kept of it before. For after the disk was full, and for imports."""
        with self._transaction():
            for table in ("delta", "attachment"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE message IN (SELECT key FROM message WHERE conversation = ?)",  # noqa: S608
                    (conversation.key,),
                )
            self._connection.execute("DELETE FROM message WHERE conversation = ?", (conversation.key,))
            self._use(conversation)
            for node in conversation.nodes.values():
                self._insert(conversation, node)
            self._want(sources or {})

    # ---- what the person does to a conversation --------------------------------------------------------------------

    def name(self, key: str, name: str) -> None:
        """Call a conversation something; empty for its first words."""
        self._set(key, "name", name)

    def pin(self, key: str, pinned: bool) -> None:
        """Keep a conversation above the others."""
        self._set(key, "pinned", int(pinned))

    def choose(self, key: str, choices: Choices) -> None:
        """Keep what was chosen for a conversation."""
        self._set(key, "choices", text_of(choices))

    def rename_folder(self, name: str, other: str) -> None:
        """Call a folder something else, in every conversation that lies in it; empty takes them all out of it."""
        with self._transaction():
            self._connection.execute(
                f"UPDATE conversation SET choices = json_set(choices, '$.folder', ?) WHERE {FOLDER} = ?",  # noqa: S608
                (other, name),
            )

    def trash(self, key: str, at: float | None) -> None:
        """Put a conversation into the trash, or take it out for None."""
        self._set(key, "trashed_at", at)

    def place(self, summary: Summary, *, by_time: bool = False) -> None:
        """Keep when a conversation was used, whether it is pinned, and whether it is in the trash. `by_time`: it comes
        from elsewhere and stands among the others where its time says, not above them."""
        with self._transaction():
            if by_time:
                self._connection.execute(
                    "UPDATE conversation SET used = (SELECT coalesce(max(used), 0) FROM conversation "
                    "WHERE used_at <= ?1 AND key != ?2) WHERE key = ?2",
                    (summary.used_at, summary.key),
                )
            self._connection.execute(
                "UPDATE conversation SET pinned = ?, used_at = ?, trashed_at = ? WHERE key = ?",
                (int(summary.pinned), summary.used_at, summary.trashed_at, summary.key),
            )

    # ---- attached files --------------------------------------------------------------------------------------------

    def wanted(self) -> list[tuple[str, str]]:
        """Attached files that are still to be copied: content and where it was."""
        with self._reading():
            rows = self._connection.execute("SELECT digest, source FROM wanted").fetchall()
            return [(str(digest), str(source)) for digest, source in rows]

    def kept(self, digest: str) -> None:
        """A file was copied, or cannot be."""
        with self._transaction():
            self._connection.execute("DELETE FROM wanted WHERE digest = ?", (digest,))

    # ---- statements ------------------------------------------------------------------------------------------------

    def _attached(self, conversation: str) -> dict[str, tuple[Attached, ...]]:
        found: dict[str, tuple[Attached, ...]] = {}
        for message, record in self._connection.execute(
            "SELECT a.message, a.record FROM attachment a JOIN message m ON m.key = a.message "
            "WHERE m.conversation = ? ORDER BY a.message, a.place",
            (conversation,),
        ):
            found[message] = (*found.get(message, ()), attachment_of(record))
        return found

    def _want(self, sources: dict[str, str]) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO wanted (digest, source) VALUES (?, ?)", list(sources.items())
        )

    def _use(self, conversation: Conversation) -> None:
        self._connection.execute(
            "INSERT INTO conversation (key, name, title, pinned, used, used_at, started_at, choices) "
            "VALUES (?1, ?2, ?3, 0, (SELECT coalesce(max(used), 0) + 1 FROM conversation), ?4, ?5, ?6) "
            "ON CONFLICT (key) DO UPDATE SET name = ?2, title = ?3, used = excluded.used, used_at = ?4",
            (
                conversation.key,
                conversation.name,
                conversation.first_words,
                time.time(),
                conversation.started_at,
                text_of(conversation.choices),
            ),
        )

    def _insert(self, conversation: Conversation, node: Node) -> None:
        row = row_of(node, conversation.key, shown=_shown(conversation, node))
        values = [getattr(row, column) for column in COLUMNS.split(", ")]
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT INTO message ({COLUMNS}) VALUES ({marks})", values)  # noqa: S608
        if isinstance(node, Question):
            places = [
                (node.key, place, item.media.digest, attachment_text(item)) for place, item in enumerate(node.attached)
            ]
            self._connection.executemany(
                "INSERT INTO attachment (message, place, digest, record) VALUES (?, ?, ?, ?)", places
            )

    def _remember(self, question: Question) -> None:
        self._connection.execute("UPDATE message SET record = ? WHERE key = ?", (memory_text(question), question.key))

    def _choose(self, conversation: str, parent: str | None, key: str) -> None:
        self._connection.execute(
            "UPDATE message SET shown = (key = ?1) WHERE conversation = ?2 AND parent IS ?3",
            (key, conversation, parent),
        )

    def _set(self, key: str, column: str, value: str | float | None) -> None:
        with self._transaction():
            self._connection.execute(f"UPDATE conversation SET {column} = ? WHERE key = ?", (value, key))  # noqa: S608

    def _so_far(self, row: Row) -> Row:
        """An answer that is still open, as it would be if it ended here."""
        deltas = self._connection.execute(
            "SELECT channel, text, tokens, thought FROM delta WHERE message = ? ORDER BY id", (row.key,)
        ).fetchall()
        return interrupted(row, deltas)

    def _end(self, row: Row) -> None:
        self._connection.execute(
            "UPDATE message SET text = ?, thinking = ?, record = ?, done = 1 WHERE key = ?",
            (row.text, row.thinking, row.record, row.key),
        )
        self._connection.execute("DELETE FROM delta WHERE message = ?", (row.key,))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What was read makes no sense: the file is damaged."""
        with translated(self.folder):
            try:
                yield
            except (ValueError, TypeError, RecursionError) as error:
                raise damaged(self.folder) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self.folder):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    _roll_back(self._connection)
                raise


def check_place(conversation: Conversation, node: Node) -> None:
    """Raise `ValueError` unless a node hangs where it can: answers at questions, questions at answers or first."""
    parent = conversation.nodes.get(node.parent) if node.parent is not None else None
    fits = (
        isinstance(parent, Question) if isinstance(node, Answer) else node.parent is None or isinstance(parent, Answer)
    )
    if not fits or node.key in conversation.nodes:
        raise ValueError("a message hangs nowhere")


def _shown(conversation: Conversation, node: Node) -> bool:
    return conversation.chosen.get(node.parent) == node.key


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # a full disk may have rolled it back already
        connection.execute("ROLLBACK")

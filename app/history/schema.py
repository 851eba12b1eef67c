"""The shape of the history's file, and how it is opened. Knows tables and versions, not what a conversation is.

A schema of another version is never opened: an older one is upgraded by `app.history.mending` first, a newer one left
alone. Text that is no UTF-8 any more, because a bit of the disk turned, is still read.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from app.history.failure import OutdatedError, damaged, newer, translated

FILE = "conversations.db"
VERSION = 1
BUSY_S = 5.0
WAL_PAGES = 20_000
"""Pages in the log before the window itself would copy them into the file: jobs do so after every answer."""

TABLES = """
CREATE TABLE conversation (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL, pinned INTEGER NOT NULL, used INTEGER NOT NULL,
    used_at REAL NOT NULL, started_at REAL NOT NULL, trashed_at REAL, choices TEXT NOT NULL
);
CREATE INDEX conversation_by_use ON conversation (used);
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, conversation TEXT NOT NULL, parent TEXT,
    kind TEXT NOT NULL, shown INTEGER NOT NULL, done INTEGER NOT NULL, text TEXT NOT NULL, thinking TEXT NOT NULL,
    record TEXT NOT NULL, made_at REAL NOT NULL
);
CREATE INDEX message_of_conversation ON message (conversation, id);
CREATE INDEX message_by_parent ON message (conversation, parent);
CREATE INDEX message_open ON message (done) WHERE done = 0;
CREATE TABLE delta (
    id INTEGER PRIMARY KEY, message TEXT NOT NULL, channel TEXT NOT NULL, text TEXT NOT NULL, tokens INTEGER NOT NULL,
    thought REAL NOT NULL
);
CREATE INDEX delta_of_message ON delta (message, id);
CREATE TABLE attachment (
    message TEXT NOT NULL, place INTEGER NOT NULL, digest TEXT NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (message, place)
);
CREATE INDEX attachment_by_content ON attachment (digest);
CREATE TABLE wanted (digest TEXT PRIMARY KEY, source TEXT NOT NULL);
"""
NAMES = frozenset({"conversation", "message", "delta", "attachment", "wanted"})

UPGRADES: dict[int, Callable[[sqlite3.Connection], None]] = {}
"""What turns a file of one version into one of the next, by the version that it starts from."""


def open_file(folder: Path, *, write: bool = True) -> sqlite3.Connection:
    """The history below `folder`, made if it is not there. Raises a `HistoryError`.

    Nothing is written before the version is known, and nothing but tables when the file is new.
    """
    file = folder / FILE
    with translated(folder):
        if write:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # what one says is read by nobody else
        connection = raw(file, write=write)
        try:
            _check(connection, folder)
            if write:
                _make_ready(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def raw(file: Path, *, write: bool = True) -> sqlite3.Connection:
    """A connection to any file of ours, in autocommit; text is decoded leniently."""
    address = f"{file.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.text_factory = lenient
    return connection


def lenient(stored: bytes) -> str:
    """Stored text, readable even where it is damaged."""
    return stored.decode("utf-8", "replace")


def version_of(connection: sqlite3.Connection) -> int:
    """The schema's version; 0 for an empty file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def make(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, all or nothing."""
    connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")


def _check(connection: sqlite3.Connection, folder: Path) -> None:
    version = version_of(connection)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version > VERSION:
        raise newer(folder)
    if version == VERSION and not names >= NAMES:
        raise damaged(folder)
    if version == 0 and names:
        raise damaged(folder)
    if 0 < version < VERSION:
        raise OutdatedError("Your conversations are being brought up to date.")


def _make_ready(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}").fetchone()
    if version_of(connection) == 0:
        make(connection)

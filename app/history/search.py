"""Search over everything that was said: an index of three-letter sequences, which finds parts of words in any script.

Knows: the index, a file of its own that can be made again at any time, and how an excerpt is cut. Does not know: who
asks. The index follows the history by what is missing in it, so that no one has to tell it of a change.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from app.history.failure import DamagedError, translated
from app.history.schema import BUSY_S, FILE, lenient
from app.protocol import Find, Hit, Hits

INDEX = "search.db"
VERSION = 1
SHORTEST = 3
"""Characters of a word that the index can look up; shorter ones are looked for in the texts themselves."""
BEFORE, EXCERPT, MOST_LOOKED_AT = 48, 180, 100
_BATCH = 500
_R = TypeVar("_R")
_TABLES = f"""
CREATE VIRTUAL TABLE words USING fts5 (text, thinking, tokenize = 'trigram');
CREATE TABLE indexed (id INTEGER PRIMARY KEY);
PRAGMA user_version = {VERSION};
"""


def catch_up(folder: Path, *, scrub: bool = False) -> None:
    """Bring the index up to date; `scrub` leaves nothing in its file of what is not in it any more. Raises a
    `HistoryError`."""

    def catch(index: sqlite3.Connection) -> None:
        _follow(index)
        if scrub:
            _scrub(index)

    _with_index(folder, catch)


def find(folder: Path, command: Find) -> Hits:
    """The places where all words of the command stand. Raises a `HistoryError`."""
    words = command.words.replace("\0", " ").split()
    if not words:
        return Hits(command.request, (), more=False)
    pattern = re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True)), re.IGNORECASE)

    def look(index: sqlite3.Connection) -> Hits:
        _follow(index)
        texts = [_text_hit(row, pattern) for row in index.execute(*_query(words, command.most + 1))]
        asked = {hit.conversation for hit in texts if hit.role == "question"}
        titles = [_title_hit(row, words, pattern) for row in _titles(index) if row[1] or row[0] not in asked]
        hits = [*(hit for hit in titles if hit is not None), *texts]  # a title that was asked would be there twice
        return Hits(command.request, tuple(hits[: command.most]), more=len(hits) > command.most)

    return _with_index(folder, look)


def _with_index(folder: Path, use: Callable[[sqlite3.Connection], _R]) -> _R:
    """What `use` makes of the index with the history beside it; an index that is damaged is made anew, once."""
    try:
        with translated(folder), closing(_opened(folder)) as index:
            return use(index)
    except DamagedError:
        with translated(folder):
            (folder / INDEX).unlink(missing_ok=True)
        with translated(folder), closing(_opened(folder)) as index:
            return use(index)


def _follow(index: sqlite3.Connection) -> None:
    """Bring the index up to date with the history."""
    gone = "SELECT id FROM indexed WHERE id NOT IN (SELECT id FROM history.message)"
    dropped = [number for (number,) in index.execute(gone)]
    for at in range(0, len(dropped), _BATCH):
        _drop(index, dropped[at : at + _BATCH])
    fresh = "SELECT id FROM history.message WHERE done = 1 AND id NOT IN (SELECT id FROM indexed) ORDER BY id"
    numbers = [number for (number,) in index.execute(fresh)]
    for at in range(0, len(numbers), _BATCH):
        _take(index, numbers[at : at + _BATCH])


def _scrub(index: sqlite3.Connection) -> None:
    """Let nothing be left in the file of what is not in the index any more."""
    index.execute("INSERT INTO words (words) VALUES ('optimize')")
    index.execute("DETACH history")
    index.execute("VACUUM")


def marked(text: str, pattern: re.Pattern[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The part of a text with the most of the words, on one line, and where in it they are."""
    start = max(0, _densest(text, pattern) - BEFORE)
    cut = " ".join(text[start : start + 2 * EXCERPT].split())[:EXCERPT]
    excerpt = ("…" if start else "") + cut + ("…" if start + EXCERPT < len(text) else "")
    return excerpt, tuple(match.span() for match in pattern.finditer(excerpt) if match.end() > match.start())


def _densest(text: str, pattern: re.Pattern[str]) -> int:
    """Where the first of the matches begins that stand together with the most different others."""
    matches = list(islice(pattern.finditer(text), MOST_LOOKED_AT))
    best, at = 0, 0
    for number, match in enumerate(matches):
        near = {m.group().casefold() for m in matches[number:] if m.end() < match.start() + EXCERPT - BEFORE}
        if len(near) > best:
            best, at = len(near), match.start()
    return at


def _opened(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect((folder / INDEX).absolute().as_uri(), uri=True, isolation_level=None, timeout=BUSY_S)
    try:
        connection.text_factory = lenient
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        elif version != VERSION:
            raise sqlite3.DatabaseError("an index of another kind")
        address = f"{(folder / FILE).absolute().as_uri()}?mode=rw"
        connection.execute("ATTACH DATABASE ? AS history", (address,))
    except BaseException:
        connection.close()
        raise
    return connection


def _take(index: sqlite3.Connection, numbers: list[int]) -> None:
    first, last = numbers[0], numbers[-1]
    index.execute("BEGIN IMMEDIATE")
    index.execute(
        "INSERT INTO words (rowid, text, thinking) SELECT id, text, thinking FROM history.message "
        "WHERE done = 1 AND id BETWEEN ? AND ? AND id NOT IN (SELECT id FROM indexed)",
        (first, last),
    )
    index.execute(
        "INSERT OR IGNORE INTO indexed (id) SELECT id FROM history.message WHERE done = 1 AND id BETWEEN ? AND ?",
        (first, last),
    )
    index.execute("COMMIT")


def _drop(index: sqlite3.Connection, numbers: list[int]) -> None:
    index.execute("BEGIN IMMEDIATE")
    index.executemany("DELETE FROM words WHERE rowid = ?", [(number,) for number in numbers])
    index.executemany("DELETE FROM indexed WHERE id = ?", [(number,) for number in numbers])
    index.execute("COMMIT")


def _query(words: list[str], most: int) -> tuple[str, list[Any]]:
    """The statement that finds the newest messages with all words, each in its text or its thinking."""
    long = [word for word in words if len(word) >= SHORTEST]
    short = [word for word in words if len(word) < SHORTEST]
    conditions, values = ["c.trashed_at IS NULL"], []
    if long:
        conditions.append("words MATCH ?")
        values.append(" AND ".join('"' + word.replace('"', '""') + '"' for word in long))
    for word in short:
        conditions.append("(w.text || ' ' || w.thinking) LIKE ? ESCAPE '\\'")
        values.append("%" + re.sub(r"([%_\\])", r"\\\1", word) + "%")
    return (
        "SELECT m.conversation, c.name, c.title, c.used_at, m.key, m.kind, w.text, w.thinking "  # noqa: S608
        "FROM words w JOIN history.message m ON m.id = w.rowid JOIN history.conversation c ON c.key = m.conversation "
        f"WHERE {' AND '.join(conditions)} ORDER BY w.rowid DESC LIMIT ?",
        [*values, most],
    )


def _titles(index: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    return index.execute(
        "SELECT key, name, title, used_at FROM history.conversation WHERE trashed_at IS NULL ORDER BY used DESC"
    )


def _title_hit(row: tuple[Any, ...], words: list[str], pattern: re.Pattern[str]) -> Hit | None:
    key, name, first_words, used_at = row
    title = str(name or first_words)
    if not all(word.casefold() in title.casefold() for word in words):
        return None
    excerpt, marks = marked(title, pattern)
    return Hit(str(key), title, float(used_at), "", "title", excerpt, marks)


def _text_hit(row: tuple[Any, ...], pattern: re.Pattern[str]) -> Hit:
    conversation, name, title, used_at, key, kind, text, thinking = row
    in_text = pattern.search(str(text)) is not None
    excerpt, marks = marked(str(text if in_text else thinking), pattern)
    role = "thinking" if not in_text and thinking else "question" if kind == "question" else "answer"
    return Hit(str(conversation), str(name or title), float(used_at), str(key), role, excerpt, marks)  # type: ignore[arg-type]

"""What can go wrong with the history, each as one sentence with a way out. Knows SQLite's codes, no statement."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT}
_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


class HistoryError(Exception):
    """The history cannot do what it was asked for; the text is a sentence for the person."""


class UnwritableError(HistoryError):
    """The disk is full, or the folder may not be written to. What is in memory stays as it is."""


class BusyError(HistoryError):
    """Another program holds the file for longer than is bearable."""


class DamagedError(HistoryError):
    """The file is not what it should be; `app.history.mending` saves what is readable."""


class OutdatedError(HistoryError):
    """The file was written by an older Parley and must be upgraded first (`app.history.mending`)."""


class NewerError(HistoryError):
    """The file was written by a newer Parley; nothing may be written to it."""


def newer(folder: Path) -> NewerError:
    """A file whose schema this program does not know."""
    return NewerError(
        f"The conversations in {folder} were written by a newer Parley, so this one leaves them alone and keeps new "
        "conversations only while it is open: install the newer version to see them."
    )


def damaged(folder: Path) -> DamagedError:
    """A file that is not what it should be."""
    return DamagedError(f"The file with the conversations in {folder} is damaged.")


def unwritable(folder: Path, why: str) -> UnwritableError:
    """A folder that takes no more."""
    return UnwritableError(
        f"Conversations cannot be saved in {folder} ({why}): what is on the screen is kept while Parley is open; make "
        "room or make the folder writable, and it is saved with the next message."
    )


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into ours. A programming error stays what it is."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        raise _translation(error, folder) from error
    except UnicodeError as error:  # SQLite says what is wrong in the words of a damaged schema
        raise damaged(folder) from error
    except OSError as error:
        raise unwritable(folder, error.strerror or "the disk failed") from error


def _translation(error: sqlite3.Error, folder: Path) -> HistoryError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return unwritable(folder, "the disk is full")
    if code in _READ_ONLY:
        return unwritable(folder, "the folder is read-only")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return unwritable(folder, "the disk failed")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BusyError(
            f"The conversations in {folder} are held by another program: close it; what is on the screen is saved "
            "with the next message."
        )
    return damaged(folder)

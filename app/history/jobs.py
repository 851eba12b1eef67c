"""What takes longer than a moment, done in a process of its own so that the window never waits.

    python -m app.history        one command of the protocol a line in, one reply a line out

Knows: which job each command is. Does not know: the window. A job that fails says so in one sentence; the process goes
on until its stdin closes.
"""

import os
import sys
import traceback
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, assert_never

from app import paths
from app.history import files, mending, search, transfer
from app.history.failure import BusyError, DamagedError, HistoryError, translated
from app.history.schema import open_file
from app.history.store import Store, Summary
from app.protocol import (
    Erase,
    Export,
    Find,
    HistoryCommand,
    HistoryEvent,
    Import,
    JobDone,
    JobFailed,
    KeepFile,
    Mend,
    ProtocolError,
    Settle,
    Tidy,
    decode,
    encode,
)

TRASH_DAYS = 30
DAY_S = 86_400.0


def folder() -> Path:
    """Where the history is."""
    return paths.data_dir() / "history"


def serve() -> int:
    """Do what stdin says until it ends; the exit code."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # no library's print can break the stream
    with suppress(BrokenPipeError):
        for line in sys.stdin.buffer:
            _answer(line, answers)
    return 0


def do(command: HistoryCommand, where: Path) -> HistoryEvent:  # noqa: PLR0911  (a table)
    """One job. Raises a `HistoryError`."""
    match command:
        case Mend():
            return JobDone(command.request, mending.mend(where), changed=True)
        case Tidy():
            tidy(where)
            return JobDone(command.request)
        case Settle():
            settle(where)
            return JobDone(command.request)
        case KeepFile():
            files.keep(where, command.digest, Path(command.path))
            return JobDone(command.request)
        case Find():
            return search.find(where, command)
        case Erase():
            return JobDone(command.request, changed=erase(where, command.conversations))
        case Export():
            return JobDone(command.request, export(where, command))
        case Import():
            return _imported(where, command)
        case _:
            assert_never(command)


def settle(where: Path) -> None:
    """Have the disk write the log and bring it into the file; then bring what is new into the index."""
    with translated(where), closing(open_file(where)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    search.catch_up(where)


def tidy(where: Path) -> None:
    """Check the file and remove attached files that nothing uses. Raises `DamagedError` for a file that has to be
    mended."""
    with translated(where), closing(open_file(where)) as connection:
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise DamagedError("The file with your conversations is damaged.")
    _sweep(where)
    settle(where)


def erase(where: Path, conversations: tuple[str, ...]) -> bool:
    """Take conversations off the disk: rows are overwritten, the log is emptied, the index is written anew, and their
    files and the copies of the whole file from before an upgrade are removed."""
    with translated(where), closing(open_file(where)) as connection:
        if not conversations:
            rows = connection.execute("SELECT key FROM conversation WHERE trashed_at IS NOT NULL").fetchall()
            conversations = tuple(str(key) for (key,) in rows)
        for key in conversations:
            messages = "SELECT key FROM message WHERE conversation = ?"
            connection.execute("BEGIN IMMEDIATE")
            for table in ("delta", "attachment"):
                connection.execute(f"DELETE FROM {table} WHERE message IN ({messages})", (key,))  # noqa: S608
            connection.execute("DELETE FROM message WHERE conversation = ?", (key,))
            connection.execute("DELETE FROM conversation WHERE key = ?", (key,))
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    search.catch_up(where, scrub=True)
    for backup in (where / mending.BACKUPS).glob("*/*"):
        with suppress(OSError):
            backup.unlink()
    _sweep(where)
    return bool(conversations)


def export(where: Path, command: Export) -> str:
    """Write what was asked for; the sentence that says so."""
    path = Path(command.path)
    with closing(Store(where)) as store:
        wanted = set(command.conversations)
        chosen = [summary for summary in store.summaries() if not wanted or summary.key in wanted]
        if command.form == "json":
            transfer.to_json(store, chosen, path)
        elif command.form == "html":
            transfer.to_html(store, chosen, path)
        else:
            transfer.to_markdown(store, chosen, path)
    return f"{_counted(chosen)} written to {path}."


def _imported(where: Path, command: Import) -> JobDone:
    with closing(Store(where)) as store:
        count, failed = transfer.from_json(store, Path(command.path))
    settle(where)
    rest = f" {failed} made no sense and {'was' if failed == 1 else 'were'} left out." if failed else ""
    return JobDone(command.request, f"{count} conversation{'' if count == 1 else 's'} imported.{rest}", changed=True)


def _sweep(where: Path) -> None:
    with translated(where), closing(open_file(where)) as connection:
        used = {str(digest) for (digest,) in connection.execute("SELECT digest FROM attachment")}
        used |= {str(digest) for (digest,) in connection.execute("SELECT digest FROM wanted")}
    files.sweep(where, used)


def _counted(chosen: list[Summary]) -> str:
    return f"“{chosen[0].title}” was" if len(chosen) == 1 else f"{len(chosen)} conversations were"


def _answer(line: bytes, answers: BinaryIO) -> None:
    try:
        command = decode(line)
    except ProtocolError:
        return
    if not isinstance(command, HistoryCommand):
        return
    try:
        reply = do(command, folder())
    except DamagedError as error:
        reply = JobFailed(command.request, str(error), damaged=True)
    except HistoryError as error:
        reply = JobFailed(command.request, "" if isinstance(error, BusyError) else str(error))
    except Exception:  # noqa: BLE001  (the one place that turns a defect of ours into a sentence)
        traceback.print_exc()
        reply = JobFailed(
            command.request, "Something went wrong with your conversations on the disk; what is on the screen is kept."
        )
    answers.write(encode(reply))
    answers.flush()

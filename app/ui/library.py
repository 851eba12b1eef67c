"""The person's conversations as the window has them: which there are, what was written of them, what could not be.

Knows: who is written when, and that the chat goes on in memory when the disk does not take it. Does not know: widgets,
the engine, SQLite. Everything here takes a moment; what does not is done by the history's jobs, a process of its own.
"""

import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal, Slot

from app.chat.conversation import Answer, Choices, Conversation, Node, Question
from app.history.failure import DamagedError, HistoryError, NewerError, OutdatedError
from app.history.files import place_of
from app.history.jobs import DAY_S, TRASH_DAYS, folder
from app.history.store import Growth, Store, Summary
from app.programs import Program
from app.protocol import (
    Erase,
    Export,
    Find,
    HistoryCommand,
    Hits,
    Import,
    JobDone,
    JobFailed,
    KeepFile,
    Mend,
    Settle,
    Tidy,
)
from app.ui.history_jobs import HistoryJobs

Form = Literal["markdown", "html", "json"]
MOST_MENDS = 3
FAREWELL_MS = 10_000
"""How long what the person asked for may still take when the program ends."""
SETTLE_AFTER = 300
"""Paints of a long answer, about ten seconds, after which the log is brought into the file by the jobs."""
LONGEST_FOLDER = 80
MOST_OPEN = 6
"""Conversations that are kept in memory after they were looked at."""
CLOSED = (
    "Conversations can neither be exported nor imported while they cannot be saved: make room on the disk or make the "
    "data folder writable, and start Parley again."
)
BUSY_ELSEWHERE = (
    "Parley is already open and does not answer, so conversations are kept only while this window is open: close the "
    "other one, then this one, to have them saved."
)


class Library(QObject):
    """Emits `changed` when the list did, `found` with `Hits`, `said` for what went well, `noticed` for what did not."""

    changed = Signal()
    found = Signal(object)
    said = Signal(str)
    noticed = Signal(str)

    def __init__(self, program: Program, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.summaries: list[Summary] = []
        self._folder = folder()
        self._store: Store | None = None
        self._shut = False  # another program has the file, or a newer one wrote it: it is not tried again
        self._complained = False
        self._open: dict[str, Conversation] = {}
        self._held: Conversation | None = None
        self._unsaved: dict[str, Conversation] = {}
        self._sources: dict[str, str] = {}
        self._gone: dict[str, Summary] = {}
        self._mends = 0
        self._unsettled = 0
        self._jobs = HistoryJobs(program, self)
        self._jobs.replied.connect(self._on_replied)

    # ---- opening ---------------------------------------------------------------------------------------------------

    def start(self, *, alone: bool = True) -> None:
        """Open the history; without it the chat goes on in memory. `alone`: no other window writes to it."""
        if not alone:
            self._shut = True
            self.noticed.emit(BUSY_ELSEWHERE)
            return
        self._try_to_open()
        if self._store is not None:
            self._jobs.send(Tidy(uuid.uuid4().hex))

    def close(self) -> None:
        """Close the file and end the jobs."""
        if self._store is not None:
            self._save_the_rest()
            self._store.close()
            self._store = None
        self._shut = True
        promised = any(self._jobs.waits_for(kind) for kind in (Erase, Export, Import, KeepFile))
        self._jobs.close(FAREWELL_MS if promised else 0)

    @property
    def kept(self) -> bool:
        """Whether everything that is shown is on the disk."""
        return self._store is not None and not self._unsaved

    @property
    def searchable(self) -> bool:
        """Whether there is a history to search in."""
        return self._store is not None

    # ---- what there is ---------------------------------------------------------------------------------------------

    def get(self, key: str) -> Conversation | None:
        """A conversation, from memory or from the disk; None, after a sentence, if it cannot be read."""
        held = self._held if self._held is not None and self._held.key == key else None
        found = held or self._unsaved.get(key) or self._open.pop(key, None)
        if found is None and self._store is not None:
            try:
                found = self._store.load(key)
            except HistoryError as error:
                self._fail(error)
        if found is not None:
            self._remember(found)
        return found

    def hold(self, conversation: Conversation) -> None:
        """Keep this one in memory, because it is shown: there must never be two of one conversation."""
        self._held = conversation

    def trashed(self) -> list[Summary]:
        """What is in the trash."""
        found: list[Summary] = []

        def read(store: Store) -> None:
            found.extend(store.summaries(trashed=True))

        self._do(read)
        return found

    # ---- what happens in a conversation ----------------------------------------------------------------------------

    def asked(self, conversation: Conversation, nodes: Iterable[Node], sources: dict[str, str]) -> None:
        """New nodes; committed before the engine hears of them. `sources` are attached files by digest."""
        nodes = list(nodes)
        self._remember(conversation)
        before = self._summary(conversation.key)
        pinned = before is not None and before.pinned
        fresh = Summary(conversation.key, conversation.title, pinned, time.time(), folder=conversation.choices.folder)
        self.summaries = [fresh, *(other for other in self.summaries if other.key != conversation.key)]
        self._sources |= sources
        self._save_the_rest()

        def add(store: Store) -> None:
            store.add(conversation, nodes, sources)
            self._keep_files(sources)

        self._write(conversation, add)
        self.changed.emit()

    def resumed(self, conversation: Conversation, answer: Answer) -> None:
        """An answer is to go on where it ended."""
        self._write(conversation, _resumed(answer))

    def grew(self, conversation: Conversation, answer: Answer, growths: list[Growth]) -> None:
        """More of an answer; committed before it is painted."""
        self._write(conversation, _grown(answer.key, growths))
        self._unsettled += 1
        if self._unsettled >= SETTLE_AFTER:
            self._settle()

    def ended(self, conversation: Conversation, answer: Answer) -> None:
        """An answer is over."""
        self._write(conversation, _ended(answer))
        self._save_the_rest()
        self._settle()

    def shown(self, conversation: Conversation, nodes: Iterable[Node]) -> None:
        """Other versions are shown."""
        nodes = list(nodes)
        self._write(conversation, lambda store: store.show(conversation, nodes))

    def remembered(self, conversation: Conversation, question: Question) -> None:
        """What the model is given in place of all before a question has changed."""
        self._write(conversation, lambda store: store.remember(question))

    def removed(self, conversation: Conversation, keys: list[str]) -> None:
        """Nodes were taken out; without any the conversation is no more."""
        self._write(conversation, lambda store: store.remove(conversation, keys))
        if not conversation.nodes:
            self._unsaved.pop(conversation.key, None)
            self.summaries = [other for other in self.summaries if other.key != conversation.key]
        else:
            self._replace(conversation.key, title=conversation.title)
        self.changed.emit()

    def rewritten(self, conversation: Conversation) -> None:
        """A conversation has another shape."""
        self._write(conversation, lambda store: store.put(conversation))
        if self._summary(conversation.key) is None:
            folder = conversation.choices.folder
            self.summaries.insert(0, Summary(conversation.key, conversation.title, False, time.time(), folder=folder))
        self.changed.emit()

    def chose(self, conversation: Conversation, choices: Choices) -> None:
        """Something was chosen for a conversation."""
        conversation.choices = choices
        if conversation.nodes:
            self._write(conversation, lambda store: store.choose(conversation.key, choices))

    # ---- what the person does to the list --------------------------------------------------------------------------

    def expired(self) -> tuple[str, ...]:
        """What has been in the trash for so long that it is to be erased."""
        oldest = time.time() - TRASH_DAYS * DAY_S
        return tuple(summary.key for summary in self.trashed() if (summary.trashed_at or 0.0) < oldest)

    def rename(self, key: str, name: str) -> None:
        """Call a conversation something; empty for its first words."""
        conversation = self.get(key)
        if conversation is None:
            return
        conversation.name = " ".join(name.split())[:200]
        self._write(conversation, lambda store: store.name(key, conversation.name))
        self._replace(key, title=conversation.title)
        self.changed.emit()

    def pin(self, key: str, pinned: bool) -> None:
        """Keep a conversation above the others, or no longer."""
        self._do(lambda store: store.pin(key, pinned))
        self._replace(key, pinned=pinned)
        self.changed.emit()

    def file(self, key: str, folder: str) -> None:
        """Put a conversation into a folder; empty takes it out of the one that it lies in."""
        conversation = self.get(key)
        if conversation is not None:
            self.chose(conversation, replace(conversation.choices, folder=folder_name(folder)))
            self._replace(key, folder=conversation.choices.folder)
            self.changed.emit()

    def rename_folder(self, name: str, other: str) -> None:
        """Call a folder something else; empty removes it, and its conversations lie in none."""
        other = folder_name(other)
        held = [] if self._held is None else [self._held]
        for conversation in (*held, *self._open.values(), *self._unsaved.values()):
            if conversation.choices.folder == name:
                conversation.choices = replace(conversation.choices, folder=other)
        self._do(lambda store: store.rename_folder(name, other))
        self.summaries = [replace(each, folder=other) if each.folder == name else each for each in self.summaries]
        self._gone = {key: replace(s, folder=other) if s.folder == name else s for key, s in self._gone.items()}
        self.changed.emit()

    def trash(self, key: str) -> None:
        """Put a conversation into the trash."""
        self._do(lambda store: store.trash(key, time.time()))
        self._gone |= {other.key: other for other in self.summaries if other.key == key}
        self.summaries = [other for other in self.summaries if other.key != key]
        self.changed.emit()

    def restore(self, key: str) -> None:
        """Take a conversation out of the trash."""
        self._do(lambda store: store.trash(key, None))
        gone = self._gone.pop(key, None)
        if gone is not None:
            self.summaries = sorted([*self.summaries, gone], key=_used, reverse=True)
        self._read_list()
        self.changed.emit()

    def erase(self, keys: tuple[str, ...]) -> None:
        """Erase conversations from the disk."""
        for key in keys:
            self._open.pop(key, None)
            self._unsaved.pop(key, None)
        if self._store is not None:
            self._jobs.send(Erase(uuid.uuid4().hex, keys))

    # ---- what takes longer -----------------------------------------------------------------------------------------

    def search(self, words: str) -> str:
        """Look for words; `found` is emitted with this request, unless a newer one was made."""
        self._jobs.give_up(Find)
        request = uuid.uuid4().hex
        self._jobs.send(Find(request, words))
        return request

    def export(self, form: Form, path: str, keys: tuple[str, ...]) -> None:
        """Write conversations to a file of their own."""
        if self._store is None:
            self.noticed.emit(CLOSED)
            return
        self._jobs.send(Export(uuid.uuid4().hex, form, path, keys))

    def bring_in(self, path: str) -> None:
        """Import the conversations of a file."""
        if self._store is None:
            self.noticed.emit(CLOSED)
        else:
            self._jobs.send(Import(uuid.uuid4().hex, path))

    def file_of(self, digest: str) -> Path | None:
        """Where the attached file with this content is kept, None if it is not."""
        try:
            file = place_of(self._folder, digest)
        except HistoryError:
            return None
        return file if file.is_file() else None

    # ---- writing ---------------------------------------------------------------------------------------------------

    def _write(self, conversation: Conversation, write: Callable[[Store], None]) -> None:
        """Write to the disk what is already so in memory; if that fails, all of the conversation is unsaved."""
        if self._store is None or conversation.key in self._unsaved:
            self._unsaved[conversation.key] = conversation
            return
        try:
            write(self._store)
        except HistoryError as error:
            self._unsaved[conversation.key] = conversation
            self._fail(error)

    def _do(self, write: Callable[[Store], None]) -> None:
        if self._store is None:
            return
        try:
            write(self._store)
        except HistoryError as error:
            self._fail(error)

    def _save_the_rest(self) -> None:
        """Try again to write what could not be written; quick to fail, and without another complaint."""
        if not self._unsaved or self._shut or self._mending:
            return
        if self._store is None:
            self._try_to_open()
        if self._store is None:
            return
        for key, conversation in list(self._unsaved.items()):
            summary = self._summary(key)
            try:
                self._store.put(conversation, self._sources)
                if summary is not None:
                    self._store.place(summary)
            except HistoryError as error:
                self._fail(error)
                return
            del self._unsaved[key]
        self._keep_files(self._sources)
        if self._complained:
            self._complained = False
            self.said.emit("Your conversations are saved again.")

    def _fail(self, error: HistoryError) -> None:
        if isinstance(error, DamagedError | OutdatedError):
            self._mend()
        elif isinstance(error, NewerError):
            self._shut = True
            self.noticed.emit(str(error))
        elif not self._complained:
            self._complained = True
            self.noticed.emit(str(error))

    # ---- opening and mending ---------------------------------------------------------------------------------------

    @property
    def _mending(self) -> bool:
        return self._jobs.waits_for(Mend)

    def _try_to_open(self) -> None:
        try:
            store = Store(self._folder)
        except HistoryError as error:
            self._fail(error)
            return
        try:
            store.interrupt_open_answers()
            self._store = store
            self._read_list()
            self._keep_files(dict(store.wanted()))
        except HistoryError as error:
            self._store = None
            store.close()
            self._fail(error)

    def _mend(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._shut or self._mending:
            return
        if self._mends == MOST_MENDS:
            self._shut = True
            self.noticed.emit(
                f"The disk damages the file with your conversations in {self._folder} again and again: what is on the "
                "screen is kept while Parley is open; copy it, and check the disk."
            )
            return
        self._mends += 1
        self._jobs.send(Mend(uuid.uuid4().hex))

    def _mended(self, note: str) -> None:
        unsaved = {key: conversation for key, conversation in self._open.items() if conversation.nodes}
        self._unsaved = unsaved | self._unsaved  # what is in memory is better than what was saved of it
        self._try_to_open()
        if self._store is not None:
            self._save_the_rest()
            self._read_list()
        if note:
            self.noticed.emit(note)

    def _read_list(self) -> None:
        if self._store is None:
            return
        try:
            on_disk = self._store.summaries()
        except HistoryError as error:
            self._fail(error)
            return
        known = {summary.key for summary in on_disk}
        in_memory = [s for s in self.summaries if s.key in self._unsaved and s.key not in known]
        self.summaries = in_memory + on_disk
        self.changed.emit()

    # ---- the jobs --------------------------------------------------------------------------------------------------

    def _keep_files(self, sources: dict[str, str]) -> None:
        for digest, path in list(sources.items()):
            self._sources.pop(digest, None)
            self._jobs.send(KeepFile(uuid.uuid4().hex, digest, path))

    def _settle(self) -> None:
        self._unsettled = 0
        if self._store is not None and not self._jobs.waits_for(Settle):
            self._jobs.send(Settle(uuid.uuid4().hex))

    @Slot(object, object)
    def _on_replied(self, command: HistoryCommand, reply: Hits | JobDone | JobFailed) -> None:
        if isinstance(reply, Hits):
            self.found.emit(reply)
        elif isinstance(reply, JobDone):
            self._done(command, reply)
        else:
            self._failed(command, reply)

    def _done(self, command: HistoryCommand, reply: JobDone) -> None:
        if isinstance(command, Mend):
            self._mended(reply.note)
            return
        if isinstance(command, KeepFile):
            self._do(lambda store: store.kept(command.digest))
        if reply.changed:
            self._read_list()
        if reply.note:
            self.said.emit(reply.note)

    def _failed(self, command: HistoryCommand, reply: JobFailed) -> None:
        if isinstance(command, Mend):
            self._shut = True
            self.noticed.emit(reply.message)
        elif reply.damaged:
            self._mend()
        elif isinstance(command, Find):
            self.found.emit(Hits(command.request, (), more=False))
        elif isinstance(command, KeepFile):
            if not self._complained:  # with a full disk it is tried again at the next start
                self._do(lambda store: store.kept(command.digest))
                self.noticed.emit(reply.message)
        elif isinstance(command, Export | Import | Erase) and reply.message:
            self.noticed.emit(reply.message)

    # ---- memory ----------------------------------------------------------------------------------------------------

    def _remember(self, conversation: Conversation) -> None:
        self._open.pop(conversation.key, None)
        self._open[conversation.key] = conversation
        for key in list(self._open)[:-MOST_OPEN]:
            over = all(node.over for node in self._open[key].nodes.values() if isinstance(node, Answer))
            if self._store is not None and key not in self._unsaved and over:
                del self._open[key]

    def _summary(self, key: str) -> Summary | None:
        return next((summary for summary in self.summaries if summary.key == key), None)

    def _replace(
        self, key: str, *, title: str | None = None, pinned: bool | None = None, folder: str | None = None
    ) -> None:
        self.summaries = [
            replace(
                summary,
                title=summary.title if title is None else title,
                pinned=summary.pinned if pinned is None else pinned,
                folder=summary.folder if folder is None else folder,
            )
            if summary.key == key
            else summary
            for summary in self.summaries
        ]


def folder_name(text: str) -> str:
    """What a person wrote as the name of a folder: one line without signs that are not seen."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:LONGEST_FOLDER]


def _used(summary: Summary) -> float:
    return summary.used_at


def _resumed(answer: Answer) -> Callable[[Store], None]:
    return lambda store: store.resume(answer)


def _grown(answer: str, growths: list[Growth]) -> Callable[[Store], None]:
    return lambda store: store.grow(answer, growths)


def _ended(answer: Answer) -> Callable[[Store], None]:
    return lambda store: store.end(answer)

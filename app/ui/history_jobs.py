"""The history's jobs as processes: what they were told, and what they answered to it. Knows no job from another.

Two of them, so that a search never waits for an export: one looks for words, the other does everything else. Each is
started with its first job, and again after it died.
"""

from PySide6.QtCore import QObject, Signal, Slot

from app import paths
from app.programs import Program
from app.protocol import Find, HistoryCommand, Hits, JobDone, JobFailed
from app.ui.line_process import LineProcess


class HistoryJobs(QObject):
    """Emits `replied` once for every command that was sent, with the command and its reply."""

    replied = Signal(object, object)

    def __init__(self, program: Program, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.pending: dict[str, HistoryCommand] = {}
        self.worker = LineProcess(program, paths.log_dir() / "history.log", self)
        self.searcher = LineProcess(program, paths.log_dir() / "search.log", self)
        for process in (self.worker, self.searcher):
            process.received.connect(self._on_received)
            process.ended.connect(self._on_ended)

    def send(self, command: HistoryCommand) -> None:
        """Have a job done."""
        process = self.searcher if isinstance(command, Find) else self.worker
        if not process.running:
            process.start()
        self.pending[command.request] = command
        process.send(command)

    def waits_for(self, kind: type) -> bool:
        """Whether a job of a kind is under way."""
        return any(isinstance(command, kind) for command in self.pending.values())

    def give_up(self, kind: type) -> None:
        """Want no reply any more to jobs of a kind."""
        self.pending = {key: command for key, command in self.pending.items() if not isinstance(command, kind)}

    def close(self, patience_ms: int) -> None:
        """End both; what the worker was told may take so long to be done."""
        self.worker.finish(patience_ms)
        self.searcher.close()

    @Slot(object)
    def _on_received(self, reply: object) -> None:
        if isinstance(reply, Hits | JobDone | JobFailed):
            command = self.pending.pop(reply.request, None)
            if command is not None:
                self.replied.emit(command, reply)

    @Slot(str)
    def _on_ended(self, reason: str) -> None:
        searching = self.sender() is self.searcher
        lost = [command for command in self.pending.values() if isinstance(command, Find) == searching]
        for command in lost:
            del self.pending[command.request]
        for command in lost:
            sentence = f"This could not be done with your conversations: {reason}. Try it again."
            self.replied.emit(command, JobFailed(command.request, sentence))

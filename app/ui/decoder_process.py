"""The decoder as a child process that is started with the first file and again after a crash.

Knows which files are being decoded. Does not know what is done with them. A crash of the decoder becomes a `Refused`
for every file that it was at, so that whoever asked always gets an answer.
"""

from PySide6.QtCore import QObject, Signal, Slot

from app import paths
from app.programs import Program
from app.protocol import Decode, Decoded, Refused
from app.ui.line_process import LineProcess


class DecoderProcess(QObject):
    """Emits one `Decoded` or `Refused` for every `Decode`."""

    received = Signal(object)

    def __init__(self, program: Program, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pending: list[str] = []
        self._lines = LineProcess(program, paths.log_dir() / "decoder.log", self)
        self._lines.received.connect(self._on_received)
        self._lines.ended.connect(self._on_ended)

    def send(self, command: Decode) -> None:
        """Have a file decoded."""
        if not self._lines.running:
            self._lines.start()
        self._pending.append(command.request)
        self._lines.send(command)

    def close(self) -> None:
        """End it for good, with the program."""
        self.stop()
        self._lines.close()

    def stop(self) -> None:
        """End the decoder without a word."""
        self._pending.clear()
        self._lines.stop()

    @Slot(object)
    def _on_received(self, message: object) -> None:
        if isinstance(message, Decoded | Refused) and message.request in self._pending:
            self._pending.remove(message.request)
            self.received.emit(message)

    @Slot(str)
    def _on_ended(self, reason: str) -> None:
        pending, self._pending = self._pending, []
        for request in pending:
            self.received.emit(
                Refused(request, f"The file could not be read because the decoder stopped: {reason}. Attach it again.")
            )

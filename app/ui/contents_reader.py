"""Has the engine's program read what models' folders hold, one after another. Knows whose turn it is, and no more."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from app.programs import Program
from app.ui.inspection import Found, Inspection

IMAGINED_GPU = 24 * 2**30
"""A model's sizes are the same on any GPU, so one is imagined: this computer may have none."""


class ContentsReader(QObject):
    """Emits `found` or `refused` once for each folder that was asked about."""

    found = Signal(str, object)
    refused = Signal(str, str)

    def __init__(self, engine: Program, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.engine = engine
        self._waiting: list[str] = []
        self._inspection: Inspection | None = None

    def read(self, folder: str) -> None:
        """Read a folder in its turn; one that waits already waits once."""
        if folder not in self._waiting:
            self._waiting.append(folder)
        self._next()

    def close(self) -> None:
        """Nobody wants to know any more."""
        self._waiting.clear()
        if self._inspection is not None:
            self._inspection.close()

    def _next(self) -> None:
        if self._inspection is None and self._waiting:
            self._inspection = Inspection(self.engine, self)
            self._inspection.found.connect(self._on_found)
            self._inspection.refused.connect(self._on_refused)
            self._inspection.ask(Path(self._waiting[0]), 1, IMAGINED_GPU)

    def _over(self) -> str:
        """The folder whose turn is over."""
        if self._inspection is not None:
            self._inspection.deleteLater()
            self._inspection = None
        folder = self._waiting.pop(0)
        self._next()
        return folder

    @Slot(object)
    def _on_found(self, found: Found) -> None:
        self.found.emit(self._over(), found)

    @Slot(str)
    def _on_refused(self, sentence: str) -> None:
        self.refused.emit(self._over(), sentence)

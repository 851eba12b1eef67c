"""Asks the engine's program, in a process of its own, what a model takes and what the GPU has free.

Knows how the question is put and what comes back. Does not know what is made of it. Nothing waits: the answer is a
signal.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QProcess, Signal, Slot

from app.plan import Sizes
from app.programs import Program
from app.protocol import ProtocolError, from_plain

_UNASKED = "The memory plan cannot be made now; restart Parley and try again."


@dataclass(frozen=True, slots=True)
class Found:
    """A model's sizes and the GPU to hold it: its name, bytes in all and free. Without a GPU `sizes` is None."""

    model: str
    device: str = ""
    total: int = 0
    free: int = 0
    sizes: Sizes | None = None


class Inspection(QObject):
    """Emits `found`, or `refused` with a sentence."""

    found = Signal(object)
    refused = Signal(str)

    def __init__(self, engine: Program, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._process = QProcess(self)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_error)

    def ask(self, folder: Path, yarn: int, memory: int | None = None) -> None:
        """Inspect a model's folder; `memory` are bytes of an imagined GPU."""
        order = {"folder": str(folder.absolute()), "context": None, "yarn": yarn, "memory": memory}
        self._process.setProgram(self._engine.argv[0])
        self._process.setArguments([*self._engine.argv[1:], "inspect", json.dumps(order)])
        self._process.setWorkingDirectory(self._engine.folder)
        self._process.setStandardErrorFile(QProcess.nullDevice())
        self._process.start()

    def stop(self) -> None:
        """Nobody wants the answer any more. The process goes when it is gone; nothing waits for that."""
        if self._process.state() == QProcess.ProcessState.NotRunning:
            return
        self._process.finished.disconnect(self._on_finished)
        self._process.errorOccurred.disconnect(self._on_error)
        self._process.setParent(QCoreApplication.instance())
        self._process.finished.connect(self._process.deleteLater)
        self._process.kill()

    @Slot()
    def _on_finished(self) -> None:
        try:
            said = json.loads(bytes(self._process.readAllStandardOutput().data()))
            if "error" in said:
                self.refused.emit(str(said["error"]))
                return
            answer = _read(said)
        except (ValueError, KeyError, TypeError, ProtocolError):
            self.refused.emit(_UNASKED)
            return
        self.found.emit(answer)

    @Slot(QProcess.ProcessError)
    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self.refused.emit(_UNASKED)


def _read(said: dict[str, Any]) -> Found:
    """The answer's figures. Raises `KeyError`, `TypeError`, `ValueError` or `ProtocolError` for anything else."""
    model, memory = str(said["model"]["name"]), said["memory"]
    if memory is None:
        return Found(model)
    sizes = from_plain(Sizes, memory["sizes"])
    return Found(model, str(memory["device"]), int(memory["total"]), int(memory["free"]), sizes)

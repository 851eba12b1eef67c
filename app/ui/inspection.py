"""Asks the engine's program, in a process of its own, what a model takes and what the GPU has free.

Knows how the question is put and what comes back. Does not know what is made of it. Nothing waits: the answer is a
signal.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QProcess, Signal, Slot

from app.inspect.report import contents
from app.plan import Sizes
from app.programs import Program
from app.protocol import ProtocolError, from_plain

FAREWELL_MS = 3_000
_UNASKED = "The memory plan cannot be made now; restart Parley and try again."


@dataclass(frozen=True, slots=True)
class Found:
    """A model's sizes and the GPU to hold it: its name, bytes in all and free. Without one `sizes` is None; `in_bytes`
    are those with 8 bits of keys and values. Then the bytes of its files, and what they hold: pairs of a name and
    words, and sentences about what is odd."""

    model: str
    device: str = ""
    total: int = 0
    free: int = 0
    sizes: Sizes | None = None
    precision: str = ""
    size: int = 0
    rows: tuple[tuple[str, str], ...] = ()
    odd: tuple[str, ...] = ()
    in_bytes: Sizes | None = None


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

    def close(self) -> None:
        """The same at the end of the program, where the process is seen off."""
        self.stop()
        self._process.waitForFinished(FAREWELL_MS)

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
    model, memory = said["model"], said["memory"]
    found = Found(
        str(model["name"]),
        precision=str(model["precision"]),
        size=int(model["bytes"]),
        rows=tuple(contents(model).items()),
        odd=tuple(str(sentence) for sentence in model["odd"]),
    )
    if memory is None:
        return found
    wide, narrow = (from_plain(Sizes, memory["sizes_by_kv_bits"][bits]) for bits in ("16", "8"))
    total, free = int(memory["total"]), int(memory["free"])
    return replace(found, device=str(memory["device"]), total=total, free=free, sizes=wide, in_bytes=narrow)

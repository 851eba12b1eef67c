"""The engine as a child process: its messages, its death and its silence.

Knows that a living engine says something at least every two seconds, so that ten of silence are a hang. Does not know
what it says.
"""

from PySide6.QtCore import QElapsedTimer, QObject, QTimer, Signal, Slot

from app import paths
from app.programs import Program
from app.protocol import (
    Delta,
    EngineCommand,
    Failed,
    Finished,
    Gauges,
    Hello,
    Loaded,
    Loading,
    Measured,
    Prefill,
    Unloaded,
)
from app.ui.line_process import LineProcess

SILENCE_MS = 10_000
START_MS = 60_000
"""A cold disk may need long for Python itself; Hello comes before anything heavy is imported."""
LATE_MS = 2_000

_EVENTS = (Hello, Loading, Loaded, Unloaded, Prefill, Delta, Finished, Measured, Gauges, Failed)


class EngineProcess(QObject):
    """Emits `received` for every event of the engine, and `died` once with a sentence when it is gone."""

    received = Signal(object)
    died = Signal(str)

    def __init__(self, program: Program, parent: QObject | None = None, silence_ms: int = SILENCE_MS) -> None:
        super().__init__(parent)
        self._silence_ms = silence_ms
        self._lines = LineProcess(program, paths.log_dir() / "engine.log", self)
        self._lines.received.connect(self._on_received)
        self._lines.ended.connect(self._on_ended)
        self._watch = QTimer(self)
        self._watch.setSingleShot(True)
        self._watch.timeout.connect(self._on_silence)
        self._since = QElapsedTimer()

    @property
    def pid(self) -> int:
        """The engine's process id, 0 while there is none."""
        return self._lines.pid

    def start(self) -> None:
        """Start the engine, or start it afresh."""
        self._wait(START_MS)
        self._lines.start()

    def close(self) -> None:
        """End it for good, with the program."""
        self.stop()
        self._lines.close()

    def stop(self) -> None:
        """End the engine without a word."""
        self._watch.stop()
        self._lines.stop()

    def send(self, command: EngineCommand) -> None:
        """Tell the engine something; lost if it is gone."""
        self._lines.send(command)

    def _wait(self, milliseconds: int) -> None:
        self._since.start()
        self._watch.start(milliseconds)

    @Slot(object)
    def _on_received(self, message: object) -> None:
        if isinstance(message, _EVENTS):
            self._wait(self._silence_ms)
            self.received.emit(message)

    @Slot(str)
    def _on_ended(self, reason: str) -> None:
        self._watch.stop()
        self.died.emit(f"The engine stopped: {reason}. Your conversation is safe; restart the engine to go on.")

    @Slot()
    def _on_silence(self) -> None:
        if self._since.elapsed() > self._watch.interval() + LATE_MS:
            self._wait(self._silence_ms)  # it was the window, or the whole computer, that slept
            return
        self._lines.stop()
        seconds = self._silence_ms / 1000
        self.died.emit(
            f"The engine said nothing for {seconds:g} seconds and was stopped. "
            "Your conversation is safe; restart the engine to go on."
        )

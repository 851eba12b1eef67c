"""One of Parley's other programs as a child that speaks the protocol, one message a line.

Knows how it is started, fed, read and ended. Does not know what the messages mean. The child ends by itself when its
stdin closes, so nothing is left over when the window dies.
"""

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal, Slot

from app.programs import Program
from app.protocol import Message, ProtocolError, decode, encode

FAREWELL_MS = 3_000


class LineProcess(QObject):
    """Starts a program, sends it messages and emits those that it sends."""

    received = Signal(object)
    ended = Signal(str)
    """The process is gone without being asked to go: why, as the middle of a sentence."""

    def __init__(self, program: Program, log: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._program = program
        self._log = log
        self._process: QProcess | None = None
        self._ending: list[QProcess] = []

    @property
    def running(self) -> bool:
        """Whether there is a process to talk to."""
        return self._process is not None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the program; a process from before is ended first. `environment` is added to that of the window."""
        self.stop()
        process = QProcess(self)
        process.setProgram(self._program.argv[0])
        process.setArguments(self._program.argv[1:])
        process.setWorkingDirectory(self._program.folder)
        process.setStandardErrorFile(self._fresh_log())
        if environment:
            whole = QProcessEnvironment.systemEnvironment()
            for name, value in environment.items():
                whole.insert(name, value)
            process.setProcessEnvironment(whole)
        process.readyReadStandardOutput.connect(self._on_ready_read)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process = process
        process.start()

    def stop(self) -> None:
        """End the process without a word about it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.readyReadStandardOutput.disconnect(self._on_ready_read)
        process.finished.disconnect(self._on_finished)
        process.errorOccurred.disconnect(self._on_error)
        if process.state() == QProcess.ProcessState.NotRunning:
            process.deleteLater()
        else:
            self._ending.append(process)
            process.finished.connect(self._on_ending_over)
            process.closeWriteChannel()
            process.kill()

    def close(self) -> None:
        """End the process and see it off: for the end of the program, where nothing else is left to do."""
        self.stop()
        for process in list(self._ending):
            process.waitForFinished(FAREWELL_MS)

    def finish(self, patience_ms: int) -> None:
        """Let the program do what it was told, and end: for the end of ours. What takes longer is cut off."""
        if self._process is not None:
            self._process.closeWriteChannel()
            self._process.waitForFinished(patience_ms)
        self.close()

    def send(self, message: Message) -> None:
        """Write a message; it is lost if there is no process."""
        if self._process is not None:
            self._process.write(encode(message))

    @property
    def pid(self) -> int:
        """The child's process id, 0 while there is none."""
        return self._process.processId() if self._process is not None else 0

    def _fail(self, reason: str) -> None:
        self.stop()
        self.ended.emit(reason)

    def _fresh_log(self) -> str:
        """The log's path; the previous run's log is kept beside it."""
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            if self._log.exists():
                self._log.replace(self._log.with_suffix(".previous.log"))
            self._log.touch()  # a program whose log cannot be written would not start
        except OSError:
            return QProcess.nullDevice()
        return str(self._log)

    @Slot()
    def _on_ready_read(self) -> None:
        while self._process is not None and self._process.canReadLine():
            line = bytes(self._process.readLine().data())
            try:
                message = decode(line)
            except ProtocolError:
                self._fail("it said something that Parley does not understand")
                return
            self.received.emit(message)

    @Slot(int, QProcess.ExitStatus)
    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._on_ready_read()  # what it said last still counts
        if self._process is None:
            return
        crashed = status == QProcess.ExitStatus.CrashExit
        self._fail("it crashed or was killed" if crashed else f"it ended with code {code}")

    @Slot()
    def _on_ending_over(self) -> None:
        over = [process for process in self._ending if process.state() == QProcess.ProcessState.NotRunning]
        self._ending = [process for process in self._ending if process not in over]
        for process in over:
            process.deleteLater()

    @Slot(QProcess.ProcessError)
    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._fail("its program could not be started")

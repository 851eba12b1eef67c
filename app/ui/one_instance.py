"""One window a profile: the second one asks the first to come forward and ends. Knows a lock and a local socket.

The lock is beside the history, so that it is one for all who would write to it; it is void when its owner is dead. The
socket is named after the folder and can be reached by this user alone. The second one hands over the files that it was
started with, as one line of JSON, and is answered when that line has come.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal, Slot
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app import paths

PATIENCE_MS = 2_000
LONGEST = 1 << 20  # bytes of a line of paths


class OneInstance(QObject):
    """Emits `asked_forward` when one more window of this profile was started, and `handed` with its files, if any."""

    asked_forward = Signal()
    handed = Signal(list)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        folder = paths.data_dir()
        self._name = f"parley-{hashlib.sha256(str(folder).encode(errors='replace')).hexdigest()[:24]}"
        self._lock = QLockFile(str(folder / "lock"))
        self._lock.setStaleLockTime(0)  # only a dead owner makes it void, not its age
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connected)

    def claim(self) -> bool:
        """Become the only one. False if another one has the lock; where no lock can be written nothing can be saved
        either, and one more window does no harm."""
        try:
            paths.data_dir().mkdir(parents=True, exist_ok=True)
        except OSError:
            return True
        if not self._lock.tryLock(0):
            return self._lock.error() != QLockFile.LockError.LockFailedError
        QLocalServer.removeServer(self._name)  # what a killed one left behind
        self._server.listen(self._name)
        return True

    def ask_the_other_forward(self, files: Sequence[str] = ()) -> bool:
        """Have the other window come forward and attach these files; whether it answered."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(PATIENCE_MS):
            return False
        paths_there = [str(Path(file).absolute()) for file in files]  # the other one was started in another folder
        socket.write(json.dumps(paths_there).encode() + b"\n")
        return socket.waitForReadyRead(PATIENCE_MS) and socket.readAll().data() == b"here"

    def release(self) -> None:
        """Let another one be the only one."""
        self._server.close()
        self._lock.unlock()

    @Slot()
    def _on_connected(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.disconnected.connect(socket.deleteLater)
            socket.readyRead.connect(self._on_line)
            self._hear(socket)

    @Slot()
    def _on_line(self) -> None:
        socket = self.sender()
        if isinstance(socket, QLocalSocket):
            self._hear(socket)

    def _hear(self, socket: QLocalSocket) -> None:
        """Act on the line once it is whole."""
        if not socket.canReadLine():
            if socket.bytesAvailable() > LONGEST:
                socket.abort()
            return
        files = _paths(bytes(socket.readLine(LONGEST).data()))
        socket.write(b"here")
        socket.disconnectFromServer()
        self.asked_forward.emit()
        if files:
            self.handed.emit(files)


def _paths(line: bytes) -> list[str]:
    """The paths in a line, none if it is something else."""
    try:
        found = json.loads(line)
    except ValueError:
        return []
    return found if isinstance(found, list) and all(isinstance(file, str) for file in found) else []

"""One window a profile: the second one asks the first to come forward and ends. Knows a lock and a local socket.

The lock is beside the history, so that it is one for all who would write to it; it is void when its owner is dead. The
socket is named after the folder and can be reached by this user alone.
"""

import hashlib

from PySide6.QtCore import QLockFile, QObject, Signal, Slot
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app import paths

PATIENCE_MS = 2_000


class OneInstance(QObject):
    """Emits `asked_forward` when another window of this profile was started."""

    asked_forward = Signal()

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

    def ask_the_other_forward(self) -> bool:
        """Have the other window come forward; whether it answered."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(PATIENCE_MS):
            return False
        return socket.waitForReadyRead(PATIENCE_MS) and socket.readAll().data() == b"here"

    def release(self) -> None:
        """Let another one be the only one."""
        self._server.close()
        self._lock.unlock()

    @Slot()
    def _on_connected(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.disconnected.connect(socket.deleteLater)
            socket.write(b"here")
            socket.disconnectFromServer()
            self.asked_forward.emit()

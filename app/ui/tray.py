"""Parley's mark in the tray: the window in and out of sight, an end to it, and word of an answer that took long.

Knows the tray and one window. Does not know what an answer is: it is told what to say.
"""

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication, QMenu, QSystemTrayIcon, QWidget

from app import APP_NAME

LONGEST_TITLE = 80
SHOWN_MS = 10_000


class Tray(QObject):
    """Emits `opened` when the window is wanted, `quit_requested` when an end is."""

    opened = Signal()
    quit_requested = Signal()

    def __init__(self, icon: QIcon, window: QWidget) -> None:
        super().__init__(window)
        self._window, self._drawn = window, icon
        self._stands = False
        self._menu = QMenu()
        self._menu.addAction(f"Open {APP_NAME}").triggered.connect(self.opened)
        self._menu.addAction("Quit").triggered.connect(self.quit_requested)
        self.icon: QSystemTrayIcon | None = None
        self._read = QTimer(self)
        self._read.setSingleShot(True)
        self._read.setInterval(SHOWN_MS)
        self._read.timeout.connect(self._on_read)

    @property
    def available(self) -> bool:
        """Whether this desktop has a tray."""
        return QSystemTrayIcon.isSystemTrayAvailable()

    def stand(self, *, stands: bool) -> None:
        """Stand in the tray all the time, or only while something is said."""
        self._stands = stands
        if stands and self.available:
            self._mark().show()
        elif self.icon is not None:
            self.icon.hide()

    def tell(self, title: str, sentence: str) -> None:
        """Say that something is done, unless the person looks at the window."""
        if self._window.isActiveWindow() and self._window.isVisible():
            return
        QApplication.alert(self._window)
        if self.available:
            mark = self._mark()
            mark.show()
            mark.showMessage(title[:LONGEST_TITLE], sentence, self._drawn, SHOWN_MS)
            self._read.start()

    def _mark(self) -> QSystemTrayIcon:
        if self.icon is None:
            self.icon = QSystemTrayIcon(self._drawn, self)
            self.icon.setToolTip(APP_NAME)
            self.icon.setContextMenu(self._menu)
            self.icon.activated.connect(self._on_activated)
            self.icon.messageClicked.connect(self.opened)
        return self.icon

    @Slot()
    def _on_read(self) -> None:
        if self.icon is not None and not self._stands:
            self.icon.hide()

    @Slot(QSystemTrayIcon.ActivationReason)
    def _on_activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in (QSystemTrayIcon.ActivationReason.Trigger, QSystemTrayIcon.ActivationReason.DoubleClick):
            self.opened.emit()

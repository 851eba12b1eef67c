"""The trash: what was deleted in the last thirty days, to be restored or erased for good. Emits intents."""

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.history.jobs import TRASH_DAYS
from app.history.store import Summary
from app.ui.wording import moment

KEY = Qt.ItemDataRole.UserRole
ROW = 34


class TrashDialog(QDialog):
    """Shows what it is given; whoever listens changes it."""

    restore_requested = Signal(str)
    erase_requested = Signal(tuple)

    def __init__(self, trashed: list[Summary], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Trash")
        self.resize(460, 420)
        self.list = QListWidget()
        self.list.setAccessibleName("Deleted conversations")
        self.list.setObjectName("trashed")
        for summary in trashed:
            gone = moment(summary.trashed_at or 0.0)
            item = QListWidgetItem(f"{summary.title}   ·   {gone.day} {gone:%B}", self.list)
            item.setData(KEY, summary.key)
            item.setSizeHint(QSize(100, ROW))
        self.list.currentItemChanged.connect(self._on_current_changed)
        self.said = QLabel()
        self.said.setObjectName("figures")
        self.said.setWordWrap(True)
        self.restore = QPushButton("Restore")
        self.erase = QPushButton("Delete for good")
        self.empty = QPushButton("Empty the trash")
        shut = QPushButton("Close")
        self.restore.clicked.connect(self._on_restore_clicked)
        self.erase.clicked.connect(self._on_erase_clicked)
        self.empty.clicked.connect(self._on_empty_clicked)
        shut.clicked.connect(self.accept)
        row = QHBoxLayout()
        for button in (self.restore, self.erase, self.empty):
            button.setAutoDefault(False)
            row.addWidget(button)
        row.addStretch()
        row.addWidget(shut)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 14)
        column.setSpacing(10)
        column.addWidget(self.said)
        column.addWidget(self.list, 1)
        column.addLayout(row)
        self._refresh()

    def _refresh(self) -> None:
        some = self.list.count() > 0
        self.said.setText(
            f"Conversations stay here for {TRASH_DAYS} days. “Delete for good” erases them from the disk at once."
            if some
            else "The trash is empty."
        )
        self.empty.setEnabled(some)
        for button in (self.restore, self.erase):
            button.setEnabled(self.list.currentItem() is not None)

    def _take_current(self) -> str:
        item = self.list.takeItem(self.list.currentRow())
        self._refresh()
        return str(item.data(KEY)) if item is not None else ""

    @Slot()
    def _on_current_changed(self) -> None:
        self._refresh()

    @Slot()
    def _on_restore_clicked(self) -> None:
        if self.list.currentItem() is not None:
            self.restore_requested.emit(self._take_current())

    @Slot()
    def _on_erase_clicked(self) -> None:
        if self.list.currentItem() is not None:
            self.erase_requested.emit((self._take_current(),))

    @Slot()
    def _on_empty_clicked(self) -> None:
        self.list.clear()
        self._refresh()
        self.erase_requested.emit(())

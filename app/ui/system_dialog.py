"""The system prompt of one conversation, written for it alone. Knows a text; emits the new one."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from app.kinds import LONGEST_PROMPT


class SystemDialog(QDialog):
    """Emits `saved` with what was written."""

    saved = Signal(str)

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("System prompt of this conversation")
        self.resize(520, 340)
        said = QLabel("What the model is told before your first message, in this conversation alone.")
        said.setObjectName("figures")
        said.setWordWrap(True)
        self.edit = QPlainTextEdit(text)
        self.edit.setObjectName("field")
        self.edit.setAccessibleName("System prompt of this conversation")
        self.edit.setTabChangesFocus(True)
        self.use, cancel = QPushButton("Use"), QPushButton("Cancel")
        self.use.setDefault(True)
        self.use.clicked.connect(self._on_use_clicked)
        cancel.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(cancel)
        row.addWidget(self.use)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 14)
        column.setSpacing(10)
        column.addWidget(said)
        column.addWidget(self.edit, 1)
        column.addLayout(row)

    @Slot()
    def _on_use_clicked(self) -> None:
        self.saved.emit(self.edit.toPlainText()[:LONGEST_PROMPT].strip())
        self.accept()

"""What Parley is, and the licences of what it is made of. Knows two texts; sends nothing and asks nobody."""

from pathlib import Path

from PySide6.QtCore import Qt, qVersion
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from app import APP_NAME, __version__, paths
from app.ui import theme as look

SIZE = (760, 600)
WORDS = (
    "A private chat with one large multimodal model on your own GPU. Nothing that you write, show or read leaves this "
    "computer."
)
IN_A_CHECKOUT = (
    "This Parley runs from its sources. Its own licence is in the file LICENSE beside them; the packages that it runs "
    "on lie in its Python environment, each with the text of its licence. An installed Parley shows all of them here."
)


class AboutDialog(QDialog):
    """The name, the version, and the notices as one text that can be searched, selected and copied."""

    def __init__(self, parent: QWidget | None = None, notices: Path | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"About {APP_NAME}")
        room = parent.size() if parent is not None else self.size()
        self.resize(min(SIZE[0], room.width() - 24), min(SIZE[1], room.height() - 32))
        self.title = QLabel(f"{APP_NAME} {__version__}")
        self.title.setFont(look.text_font(look.TEXT_SIZE + 2, QFont.Weight.DemiBold))
        self.words = QLabel(f"{WORDS} Drawn with Qt {qVersion()}.")
        for label in (self.title, self.words):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notices = QPlainTextEdit(read_notices(notices or paths.resources_dir() / "licences.txt"))
        self.notices.setAccessibleName("Licences")
        self.notices.setReadOnly(True)
        shut = QPushButton("Close")
        shut.clicked.connect(self.accept)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(shut)
        column = QVBoxLayout(self)
        for widget in (self.title, self.words, self.notices):
            column.addWidget(widget)
        column.addLayout(row)


def read_notices(file: Path) -> str:
    """The licences of what is shipped, or where they are if nothing is."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return IN_A_CHECKOUT

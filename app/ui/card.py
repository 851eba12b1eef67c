"""What the pages about models and connections are made of: a bordered card, labels of plain text, buttons.

Knows how they look. Does not know what stands in them.
"""

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.ui import theme as look

PADDING = 16


class Card(QFrame):
    """A box with a hairline around it; what is in it stands below each other in `column`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(PADDING, 14, PADDING, 14)
        self.column.setSpacing(6)


def words(text: str = "", *, muted: bool = False, name: str = "") -> QLabel:
    """A label of plain text that wraps; `name` gives it a look of its own."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setFont(look.figure_font(look.QUIET_SIZE))
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    if muted or name:
        label.setObjectName(name or "figures")
    return label


def heading(text: str, size: float = look.QUIET_SIZE) -> QLabel:
    """A label in heavier type."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setFont(look.text_font(size, QFont.Weight.DemiBold))
    label.setWordWrap(True)
    return label


def section(text: str) -> QLabel:
    """The quiet title above a group."""
    label = heading(text, look.FIGURE_SIZE)
    label.setObjectName("figures")
    label.setContentsMargins(2, 10, 0, 0)
    return label


def field(name: str, placeholder: str, text: str = "") -> QLineEdit:
    """A line to write into. What is dropped belongs to the window."""
    made = QLineEdit(text)
    made.setObjectName("field")
    made.setAccessibleName(name)
    made.setPlaceholderText(placeholder)
    made.setAcceptDrops(False)
    return made


def button(text: str, *, primary: bool = False, quiet: bool = False) -> QPushButton:
    """A button; there is one primary one in a card at most."""
    made = QPushButton(text)
    made.setObjectName("primary" if primary else "quiet" if quiet else "small")
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    if quiet:
        made.setFont(look.text_font(look.QUIET_SIZE - 0.5))
    return made

"""The quiet parts of the line under a message: words that are buttons, figures, and which version of how many.

Knows how they look. Does not know what they are for.
"""

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from app.ui import theme as look
from app.ui.icon_button import IconButton
from app.ui.theme import Theme


def quiet_button(words: str, label: str) -> QPushButton:
    """A button that looks like muted text."""
    button = QPushButton(words)
    button.setObjectName("quiet")
    button.setToolTip(label)
    button.setFlat(True)
    button.setFont(look.figure_font())
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    return button


def quiet_figure() -> QLabel:
    """Muted figures."""
    label = QLabel()
    label.setObjectName("footFigures")
    label.setFont(look.figure_font())
    label.setIndent(0)
    return label


class Versions(QWidget):
    """‹ 2/3 ›; hidden where there is one version only."""

    stepped = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.older = IconButton("left", "The version before", theme)
        self.newer = IconButton("right", "The next version", theme)
        self.words = quiet_figure()
        self.older.clicked.connect(self._on_older_clicked)
        self.newer.clicked.connect(self._on_newer_clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for part in (self.older, self.words, self.newer):
            row.addWidget(part)
        for step in (self.older, self.newer):
            step.setIconSize(QSize(13, 13))

    def show_position(self, position: tuple[int, int]) -> None:
        """Show which version it is of how many."""
        at, count = position
        self.setVisible(count > 1)
        self.words.setText(f"{at}/{count}")
        self.older.setEnabled(at > 1)
        self.newer.setEnabled(at < count)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.older.apply_theme(theme)
        self.newer.apply_theme(theme)

    @Slot()
    def _on_older_clicked(self) -> None:
        self.stepped.emit(-1)

    @Slot()
    def _on_newer_clicked(self) -> None:
        self.stepped.emit(1)

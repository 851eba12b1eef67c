"""The list of keys: every command and what it is pressed with, group by group. Knows the table and what was chosen."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme as look
from app.ui.commands import COMMANDS, FIXED, GROUPS
from app.ui.keys import Chosen, shown

SIZE = (480, 640)


class KeysDialog(QDialog):
    """Emits `change_requested` when other keys are wanted."""

    change_requested = Signal()

    def __init__(self, chosen: Chosen, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.lines: dict[str, str] = {}
        inside = QWidget()
        inside.setObjectName("scrollInside")
        grid = QGridLayout(inside)
        grid.setContentsMargins(4, 0, 14, 10)
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(7)
        grid.setColumnStretch(0, 1)
        for group in GROUPS:
            heading = QLabel(group)
            heading.setFont(look.text_font(look.QUIET_SIZE, QFont.Weight.DemiBold))
            heading.setContentsMargins(0, 10, 0, 0)
            grid.addWidget(heading, grid.rowCount(), 0, 1, 2)
            told = [(shown(each.name, chosen), each.words) for each in COMMANDS if each.group == group]
            for keys, words in [*told, *((keys, words) for keys, words, its in FIXED if its == group)]:
                self.lines[words] = keys
                row = grid.rowCount()
                what = QLabel(words)
                what.setWordWrap(True)
                grid.addWidget(what, row, 0)
                said = QLabel(keys or "–")
                said.setObjectName("figures")
                said.setAccessibleName(f"{words}: {keys or 'no key'}")
                grid.addWidget(said, row, 1, Qt.AlignmentFlag.AlignRight)
        grid.setRowStretch(grid.rowCount(), 1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setAccessibleName("Keys of every command")
        area.setWidget(inside)
        self.change, shut = QPushButton("Change keys…"), QPushButton("Close")
        self.change.clicked.connect(self.accept)
        self.change.clicked.connect(self.change_requested)
        shut.clicked.connect(self.reject)
        shut.setDefault(True)
        row_of_buttons = QHBoxLayout()
        row_of_buttons.addWidget(self.change)
        row_of_buttons.addStretch()
        row_of_buttons.addWidget(shut)
        row_of_buttons.setContentsMargins(4, 0, 12, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 8, 6, 14)
        column.addWidget(area, 1)
        column.addLayout(row_of_buttons)
        room = parent.size() if parent is not None else self.size()
        self.resize(min(SIZE[0], room.width() - 24), min(SIZE[1], room.height() - 32))

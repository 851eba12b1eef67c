"""The small button beside the switch for thinking: after how much thinking the model is led to its answer.

Knows the sizes that can be chosen and how they are said. Does not know what follows from a choice.
"""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from app.settings import BUDGETS

NO_LIMIT = "no limit"


class BudgetChip(QPushButton):
    """Emits `chosen` with tokens, 0 for no limit."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("pill")
        self.setToolTip("After how much thinking the model is led to its answer, at the end of a sentence")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._group = QActionGroup(self)
        menu = QMenu(self)
        for tokens, words in BUDGETS.values:
            action = menu.addAction(f"Think up to {words}" if tokens else "No limit")
            action.setCheckable(True)
            action.setData(tokens)
            self._group.addAction(action)
        self._group.triggered.connect(self._on_triggered)
        self.setMenu(menu)
        self.show_choice(0, thinking=True)

    def show_choice(self, tokens: int, *, thinking: bool) -> None:
        """Show which limit counts; without thinking there is nothing to limit."""
        self.setVisible(thinking)
        self.setText(f"up to {tokens // 1024}K" if tokens else NO_LIMIT)
        self.setAccessibleName(f"Limit of thinking: {self.text()}")
        for action in self._group.actions():
            action.setChecked(action.data() == tokens)

    @Slot(QAction)
    def _on_triggered(self, action: QAction) -> None:
        self.chosen.emit(action.data())

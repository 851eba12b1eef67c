"""A flat button with one of our icons. Knows the icon's name and the token of its colour, not what it is for."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QToolButton, QWidget

from app.ui.icons import icon
from app.ui.plain_tip import plain_tip
from app.ui.theme import Theme


class IconButton(QToolButton):
    """An icon with an accessible name and a tooltip, perhaps with words beside it."""

    def __init__(self, name: str, label: str, theme: Theme, words: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self.setAccessibleName(label)
        self.setToolTip(plain_tip(label))
        self.setAutoRaise(True)
        self.setIconSize(QSize(18, 18))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if words:
            self.setText(words)
            self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.apply_theme(theme)

    def rename(self, name: str, label: str) -> None:
        """Take another icon and meaning; drawn with the next `apply_theme`."""
        self._name = name
        self.setAccessibleName(label)
        self.setToolTip(plain_tip(label))

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.setIcon(icon(self._name, theme.muted))

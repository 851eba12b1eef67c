"""The line at the window's top: the conversation's title, the preset, the menu. Emits intents, knows no engine."""

from PySide6.QtCore import QSize
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QWidget

from app.ui import theme as look
from app.ui.elided import ElidedLabel
from app.ui.icon_button import IconButton
from app.ui.keys import told
from app.ui.more_menu import MoreMenu
from app.ui.preset_menu import PresetChip
from app.ui.theme import Theme


class Header(QFrame):
    """Title on the left, choices on the right."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("header")
        self.setFixedHeight(48)
        self.sidebar = told(IconButton("sidebar", "Conversations", theme), "Conversations", "sidebar")
        self.title = ElidedLabel()
        self.title.setFont(look.text_font(look.TEXT_SIZE, QFont.Weight.DemiBold))
        self.preset = PresetChip()
        self.menu = MoreMenu(self)
        self.more = IconButton("more", "Settings, model and files", theme)
        self.more.setObjectName("pillIcon")
        self.more.setIconSize(QSize(20, 20))
        self.more.setMenu(self.menu)
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(22, 0, 22, 0)
        layout.setSpacing(8)
        layout.addWidget(self.sidebar)
        layout.addWidget(self.title, 1)
        layout.addWidget(self.preset)
        layout.addWidget(self.more)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.sidebar.apply_theme(theme)
        self.more.apply_theme(theme)

"""The conversations, the way to a new one and to search, and which model runs where. Knows no engine; emits intents."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.ui import theme as look
from app.ui.conversation_list import ConversationList
from app.ui.conversation_rows import Entry
from app.ui.elided import ElidedLabel
from app.ui.icons import pixmap
from app.ui.keys import spelt
from app.ui.plain_tip import plain_tip
from app.ui.theme import Theme


class Sidebar(QFrame):
    """The left side of the window, or its drawer."""

    new_requested = Signal()
    search_requested = Signal()
    trash_opened = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sidebar")
        self._entries: list[Entry] = []
        self._current = ""
        self._mark = QLabel()
        self.new = _wide_button("newConversation", "New conversation", "new")
        self.new.clicked.connect(self.new_requested)
        self.search = _wide_button("searchAll", "Search", "search")
        self.search.clicked.connect(self.search_requested)
        self.list = ConversationList(theme)
        self.none_yet = QLabel("What you ask is kept here.")
        self.none_yet.setObjectName("figures")
        self.none_yet.setContentsMargins(8, 4, 8, 4)
        self.trash = QPushButton("Trash")
        self.trash.setObjectName("quiet")
        self.trash.setFlat(True)
        self.trash.setFont(look.figure_font(look.QUIET_SIZE - 0.5))
        self.trash.setToolTip("What was deleted in the last 30 days")
        self.trash.clicked.connect(self.trash_opened)
        self.model, self.precision, self.device = ElidedLabel(), ElidedLabel(), ElidedLabel()
        self.remarks = QLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 16, 12, 14)
        layout.setSpacing(12)
        layout.addLayout(self._brand())
        layout.addWidget(self.new)
        layout.addWidget(self.search)
        layout.addWidget(self.none_yet)
        layout.addWidget(self.list, 1)
        layout.addWidget(self._foot())
        self.setMinimumWidth(200)
        self.apply_theme(theme)

    def _brand(self) -> QHBoxLayout:
        name = QLabel("Parley")
        name.setFont(look.text_font(16, QFont.Weight.DemiBold))
        brand = QHBoxLayout()
        brand.setContentsMargins(8, 0, 0, 0)
        brand.setSpacing(9)
        brand.addWidget(self._mark)
        brand.addWidget(name)
        brand.addStretch()
        return brand

    def _foot(self) -> QFrame:
        self.model.setFont(look.text_font(look.QUIET_SIZE, QFont.Weight.DemiBold))
        foot = QFrame()
        foot.setObjectName("sidebarFoot")
        lines = QVBoxLayout(foot)
        lines.setContentsMargins(8, 12, 8, 2)
        lines.setSpacing(4)
        name = QHBoxLayout()
        name.addWidget(self.model, 1)
        name.addWidget(self.trash)
        lines.addLayout(name)
        for label in (self.precision, self.device):
            label.setObjectName("figures")
            label.setFont(look.figure_font(look.QUIET_SIZE - 0.5))
            lines.addWidget(label)
        self.remarks.setObjectName("remarks")
        self.remarks.setTextFormat(Qt.TextFormat.PlainText)
        self.remarks.setFont(look.figure_font(look.QUIET_SIZE - 0.5))
        self.remarks.setWordWrap(True)
        lines.addWidget(self.remarks)
        return foot

    def show_entries(self, entries: list[Entry], current: str) -> None:
        """Show conversations, the last used first."""
        if entries == self._entries and current == self._current:
            return
        self._entries, self._current = entries, current
        self.none_yet.setVisible(not entries)
        self.list.show_entries(entries, current)

    def show_model(self, name: str, precision: str, device: str, remarks: str = "") -> None:
        """Say which model runs where, or what is happening to it, and what is worth knowing, such as a slow path."""
        self.remarks.setText(remarks)
        self.remarks.setVisible(bool(remarks))
        for label, words in ((self.model, name), (self.precision, precision), (self.device, device)):
            label.setText(words)
            label.setToolTip(plain_tip(words))
            label.setVisible(bool(words))
            label.update()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.list.apply_theme(theme)
        self._mark.setPixmap(pixmap("parley", theme.text, 20, max(2.0, self.devicePixelRatioF())))


def _wide_button(name: str, label: str, command: str) -> QPushButton:
    button = QPushButton()
    button.setObjectName(name)
    button.setAccessibleName(label)
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    words, key = QLabel(label), spelt(QLabel(), command)
    if name == "searchAll":
        words.setObjectName("figures")
    key.setObjectName("figures")
    key.setFont(look.text_font(12))
    inside = QHBoxLayout(button)
    inside.setContentsMargins(12, 0, 12, 0)
    inside.addWidget(words)
    inside.addStretch()
    inside.addWidget(key)
    for part in (words, key):
        part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    return button

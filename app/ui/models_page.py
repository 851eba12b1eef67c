"""The page about models, in the conversation's place: this computer, what can be fetched, what is here.

It is also the first thing that a new person sees. Knows where its parts are; emits intents, knows no process.
"""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui import theme as look
from app.ui.card import button, heading, section, words
from app.ui.computer_card import ComputerCard
from app.ui.flow_layout import FlowLayout
from app.ui.icons import pixmap
from app.ui.model_row import Listed, ModelRow
from app.ui.offer_card import OfferCard
from app.ui.theme import Theme

WIDEST, MARGIN = 720, 34
_AFTER_COMPUTER, _AFTER_OFFER = 4, 6
WELCOME, MODELS = "Welcome to Parley", "Models"
FIRST = (
    "A language model runs on this computer, and nothing that you write leaves it. A small demo model is ready "
    "already; the real one has to be fetched once."
)


class ModelsPage(QWidget):
    """Emits `left` when nothing more is wanted of it; the cards and the rows speak for themselves."""

    left = Signal()
    demo_requested = Signal()
    own_folder_requested = Signal()
    row_added = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.rows: dict[str, ModelRow] = {}
        self._mark = QLabel()
        self.title = heading(MODELS, 22)
        self.title.setFont(look.text_font(22, QFont.Weight.DemiBold))
        self.about = words(FIRST, muted=True)
        self.demo = button("Try the demo now")
        self.demo.clicked.connect(self.demo_requested)
        self.leave = button("Close")
        self.leave.clicked.connect(self.left)
        self.computer = ComputerCard()
        self.offer = OfferCard()
        self.own = button("Use a folder I have…")
        self.own.clicked.connect(self.own_folder_requested)
        self._list = QVBoxLayout()
        self._list.setSpacing(8)
        inside = QWidget()
        inside.setMaximumWidth(WIDEST)
        self._here = QWidget()
        here = QVBoxLayout(self._here)
        here.setContentsMargins(0, 0, 0, 0)
        here.setSpacing(10)
        here.addWidget(section("On this computer"))
        here.addLayout(self._list)
        foot = FlowLayout(8)
        foot.addWidget(self.own)
        foot.addWidget(self.demo)
        here.addLayout(foot)
        self._column = column = QVBoxLayout(inside)
        column.setContentsMargins(0, 26, 0, 26)
        column.setSpacing(10)
        column.addLayout(self._head())
        column.addWidget(self.about)
        column.addWidget(section("This computer"))
        column.addWidget(self.computer)
        column.addWidget(section("Get a model"))
        column.addWidget(self.offer)
        column.addStretch()
        around = QHBoxLayout(self)
        around.setContentsMargins(MARGIN, 0, MARGIN, 0)
        around.addStretch()
        around.addWidget(inside, 1000)
        around.addStretch()
        self.set_first(first=False)
        self.apply_theme(theme)

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setSpacing(12)
        head.addWidget(self._mark)
        head.addWidget(self.title, 1)
        head.addWidget(self.leave, 0, Qt.AlignmentFlag.AlignTop)
        return head

    def set_first(self, *, first: bool) -> None:
        """Speak to somebody who is here for the first time, or not."""
        self.put_offer_first(first=first)
        self.title.setText(WELCOME if first else MODELS)
        self.about.setVisible(first)
        self.demo.setVisible(first)
        self._mark.setVisible(first)
        self.leave.setText("Skip" if first else "Close")

    def put_offer_first(self, *, first: bool) -> None:
        """Let the offer, or the download that it became, stand above the list."""
        self._column.insertWidget(_AFTER_OFFER if first else _AFTER_COMPUTER, self._here)

    def show_models(self, models: list[Listed]) -> None:
        """Show the list; rows of models that stay are kept."""
        before, self.rows = self.rows, {}
        for at, listed in enumerate(models):
            row = before.pop(listed.folder, None)
            if row is None:
                row = ModelRow(self._theme)
                self.row_added.emit(row)
            self._list.insertWidget(at, row)
            row.show_model(listed)
            self.rows[listed.folder] = row
        for gone in before.values():
            gone.hide()
            self._list.removeWidget(gone)
            gone.deleteLater()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self._mark.setPixmap(pixmap("parley", theme.text, 32, max(2.0, self.devicePixelRatioF())))
        for row in self.rows.values():
            row.apply_theme(theme)

"""The list of conversations, the way to a new one, and which model runs where. Knows no engine; emits intents."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme as look
from app.ui.elided import ElidedLabel
from app.ui.icons import pixmap
from app.ui.plain_tip import plain_tip
from app.ui.theme import Theme

KEY, RUNNING = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A conversation as the list shows it."""

    key: str
    title: str
    started: datetime
    running: bool


def day_name(day: date, today: date) -> str:
    """The heading of a day."""
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    if day > today - timedelta(days=7):
        return day.strftime("%A")
    return f"{day.day} {day:%B %Y}"


class Sidebar(QFrame):
    """The left side of the window, or its drawer."""

    new_requested = Signal()
    chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sidebar")
        self._entries: list[Entry] = []
        self._current = ""
        self._mark = QLabel()
        self.new = _new_button()
        self.new.clicked.connect(self.new_requested)
        self.list = QListWidget()
        self.list.setObjectName("conversations")
        self.list.setAccessibleName("Conversations")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self._rows = _Rows(theme, self.list)
        self.list.setItemDelegate(self._rows)
        self.list.currentItemChanged.connect(self._on_current_item_changed)
        self.model, self.precision, self.device = ElidedLabel(), ElidedLabel(), ElidedLabel()
        self.remarks = QLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 16, 12, 14)
        layout.setSpacing(12)
        layout.addLayout(self._brand())
        layout.addWidget(self.new)
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
        lines.addWidget(self.model)
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
        """Show conversations, newest first, below the names of their days."""
        if entries == self._entries and current == self._current:
            return
        self._entries, self._current = entries, current
        self.list.blockSignals(True)  # choosing follows from what is shown here, it is no intent
        self.list.clear()
        day = ""
        for entry in entries:
            name = day_name(entry.started.date(), datetime.now().date())
            if name != day:
                day = name
                heading = QListWidgetItem(name, self.list)
                heading.setFlags(Qt.ItemFlag.NoItemFlags)
            row = QListWidgetItem(entry.title, self.list)
            row.setData(KEY, entry.key)
            row.setData(RUNNING, entry.running)
            row.setToolTip(plain_tip(entry.title))
            if entry.key == current:
                self.list.setCurrentItem(row)
        self.list.blockSignals(False)

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
        self._rows.theme = theme
        self._mark.setPixmap(pixmap("parley", theme.text, 20, max(2.0, self.devicePixelRatioF())))
        self.list.viewport().update()

    @Slot(QListWidgetItem, QListWidgetItem)
    def _on_current_item_changed(self, now: QListWidgetItem | None, _before: QListWidgetItem | None) -> None:
        if now is not None and now.data(KEY):
            self.chosen.emit(now.data(KEY))


def _new_button() -> QPushButton:
    button = QPushButton()
    button.setObjectName("newConversation")
    button.setAccessibleName("New conversation")
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    words, key = QLabel("New conversation"), QLabel("Ctrl N")
    key.setObjectName("figures")
    key.setFont(look.text_font(12))
    inside = QHBoxLayout(button)
    inside.setContentsMargins(12, 0, 12, 0)
    inside.addWidget(words)
    inside.addStretch()
    inside.addWidget(key)
    for label in (words, key):
        label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    return button


class _Rows(QStyledItemDelegate):
    """Draws headings and conversations."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme

    def sizeHint(self, _option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: N802
        return QSize(100, 40 if index.data(KEY) else 34)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        theme = self.theme
        area = QRectF(option.rect)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not index.data(KEY):
            painter.setFont(look.text_font(12, QFont.Weight.DemiBold))
            painter.setPen(QColor(theme.muted))
            painter.drawText(area.adjusted(8, 8, -8, 0), Qt.AlignmentFlag.AlignVCenter, index.data())
            painter.restore()
            return
        selected = bool(state & QStyle.StateFlag.State_Selected)
        hovered = bool(state & QStyle.StateFlag.State_MouseOver)
        row = area.adjusted(0, 2, 0, -2)
        if selected or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.soft if selected else theme.hover))
            painter.drawRoundedRect(row, 8, 8)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(theme.accent))
            painter.drawRoundedRect(row.adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        words = row.adjusted(10, 0, -10, 0)
        if index.data(RUNNING):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.accent))
            painter.drawEllipse(QRectF(words.right() - 6, words.center().y() - 3, 6, 6))
            words.adjust(0, 0, -14, 0)
        painter.setFont(look.text_font(14, QFont.Weight.Medium if selected else QFont.Weight.Normal))
        painter.setPen(QColor(theme.text))
        title = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideRight, int(words.width()))
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
        painter.restore()

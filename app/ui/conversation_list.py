"""The list of conversations: pinned ones first, then the last used, below the names of their days.

Knows: rows, their headings, a menu for each, renaming in place. Does not know what a conversation is; emits intents. A
model and not one item for each, so that ten thousand conversations cost no more than those that are in sight.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRectF,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QAction, QColor, QFont, QKeyEvent, QKeySequence, QPainter
from PySide6.QtWidgets import QLineEdit, QListView, QMenu, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.ui import theme as look
from app.ui.icons import pixmap
from app.ui.plain_tip import plain_tip
from app.ui.theme import Theme

KEY, RUNNING, PINNED = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1, Qt.ItemDataRole.UserRole + 2
ROW = 38
PINNED_HEADING = "Pinned"
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Entry:
    """A conversation as the list shows it."""

    key: str
    title: str
    used: datetime
    running: bool = False
    pinned: bool = False


def day_name(day: date, today: date) -> str:
    """The heading of a day; one that is still to come, because a clock was wrong, is today."""
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    if day > today - timedelta(days=7):
        return day.strftime("%A")
    if day.year == today.year:
        return day.strftime("%B")
    return day.strftime("%B %Y")


def rows_of(entries: list[Entry], today: date) -> list[Entry | str]:
    """Entries below their headings. A day never comes back further down, whatever a clock said meanwhile."""
    rows: list[Entry | str] = []
    pinned = [entry for entry in entries if entry.pinned]
    if pinned:
        rows += [PINNED_HEADING, *pinned]
    heading, reached = "", today
    for entry in entries:
        if entry.pinned:
            continue
        reached = min(reached, entry.used.date())
        if day_name(reached, today) != heading:
            heading = day_name(reached, today)
            rows.append(heading)
        rows.append(entry)
    return rows


class ConversationList(QListView):
    """Emits the key of the conversation that something is wanted of."""

    chosen = Signal(str)
    rename_requested = Signal(str, str)
    pin_requested = Signal(str, bool)
    export_requested = Signal(str)
    trash_requested = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("conversations")
        self.setAccessibleName("Conversations")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self._rows = _Rows(self)
        self._rows.renamed.connect(self.rename_requested)
        self.setModel(self._rows)
        self._drawing = _Drawing(theme, self)
        self.setItemDelegate(self._drawing)
        self.selectionModel().currentChanged.connect(self._on_current_changed)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu_requested)
        self._showing = False

    def count(self) -> int:
        """How many rows there are, headings included."""
        return self._rows.rowCount()

    def set_row(self, row: int) -> None:
        """Choose what stands in a row, as a click does."""
        self.setCurrentIndex(self._rows.index(row))

    def words(self) -> list[str]:
        """What stands in the rows."""
        return [str(self._rows.index(row).data()) for row in range(self.count())]

    def show_entries(self, entries: list[Entry], current: str) -> None:
        """Show conversations, the last used first."""
        self._showing = True  # choosing follows from what is shown here, it is no intent
        self._rows.show(rows_of(entries, datetime.now().date()))
        row = self._rows.row_of(current)
        self.setCurrentIndex(self._rows.index(row) if row >= 0 else QModelIndex())
        self._showing = False

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._drawing.theme = theme
        self.viewport().update()

    def menu_for(self, row: int) -> QMenu | None:
        """The menu of a conversation; None for a heading."""
        index = self._rows.index(row)
        if not index.data(KEY):
            return None
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        pin = "Unpin" if index.data(PINNED) else "Pin"
        for words, what in (("Rename…", "rename"), (pin, "pin"), ("Export…", "export"), ("Move to trash", "trash")):
            action = menu.addAction(words)
            action.setData((what, index.data(KEY), row, bool(index.data(PINNED))))
            if what == "rename":
                action.setShortcut(QKeySequence("F2"))
        menu.triggered.connect(self._on_menu_chosen)
        return menu

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """F2 renames."""
        if event.key() == Qt.Key.Key_F2 and self.currentIndex().data(KEY):
            self.edit(self.currentIndex())
        else:
            super().keyPressEvent(event)

    @Slot(QModelIndex, QModelIndex)
    def _on_current_changed(self, now: QModelIndex, _before: QModelIndex) -> None:
        if not self._showing and now.isValid() and now.data(KEY):
            self.chosen.emit(now.data(KEY))

    @Slot(QPoint)
    def _on_menu_requested(self, place: QPoint) -> None:
        index = self.indexAt(place)
        if not index.isValid():
            return
        menu = self.menu_for(index.row())
        if menu is not None:
            menu.popup(self.viewport().mapToGlobal(place))

    @Slot(QAction)
    def _on_menu_chosen(self, action: QAction) -> None:
        what, key, row, pinned = action.data()
        match what:
            case "rename":
                self.edit(self._rows.index(row))
            case "pin":
                self.pin_requested.emit(key, not pinned)
            case "export":
                self.export_requested.emit(key)
            case "trash":
                self.trash_requested.emit(key)


class _Rows(QAbstractListModel):
    """Headings and entries."""

    renamed = Signal(str, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: list[Entry | str] = []

    def show(self, rows: list[Entry | str]) -> None:
        if rows == self._rows:
            return
        if [_key(row) for row in rows] == [_key(row) for row in self._rows]:
            self._rows = rows  # a place in the list, and an editor that is open in it, stay
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def row_of(self, key: str) -> int:
        return next((at for at, row in enumerate(self._rows) if isinstance(row, Entry) and row.key == key), -1)

    def rowCount(self, _parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        return len(self._rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid() or isinstance(self._rows[index.row()], str):
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        row = self._rows[index.row()] if 0 <= index.row() < len(self._rows) else ""
        if isinstance(row, str):
            return row if role == Qt.ItemDataRole.DisplayRole else None
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                return row.title
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(row.title)
            case _:
                return {KEY: row.key, RUNNING: row.running, PINNED: row.pinned}.get(role)

    def setData(self, index: Index, value: object, _role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802
        row = self._rows[index.row()]
        if isinstance(row, str) or str(value) == row.title:
            return False
        self.renamed.emit(row.key, str(value))
        return True


def _key(row: Entry | str) -> str:
    return row if isinstance(row, str) else f"\0{row.key}"


class _Drawing(QStyledItemDelegate):
    """Draws headings and conversations."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:  # noqa: N802
        return QSize(100, ROW)

    def createEditor(self, parent: QWidget, _option: QStyleOptionViewItem, _index: Index) -> QWidget:  # noqa: N802
        editor = QLineEdit(parent)
        editor.setObjectName("rename")
        editor.setMaxLength(200)
        editor.setAccessibleName("Name of the conversation")
        return editor

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:  # noqa: N802
        if isinstance(editor, QLineEdit):
            model.setData(index, editor.text())

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, _index: Index) -> None:  # noqa: N802
        editor.setGeometry(option.rect.adjusted(0, 2, 0, -2))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        theme = self.theme
        area = QRectF(option.rect)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not index.data(KEY):
            painter.setFont(look.text_font(12, QFont.Weight.DemiBold))
            painter.setPen(QColor(theme.muted))
            painter.drawText(area.adjusted(8, 10, -8, 0), Qt.AlignmentFlag.AlignVCenter, index.data())
            painter.restore()
            return
        selected = bool(state & QStyle.StateFlag.State_Selected)
        hovered = bool(state & QStyle.StateFlag.State_MouseOver)
        row = area.adjusted(0, 1, 0, -1)
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
        if index.data(PINNED):
            mark = pixmap("pin", theme.muted, 13, max(2.0, painter.device().devicePixelRatioF()))
            painter.drawPixmap(int(words.right()) - 13, int(words.center().y()) - 6, mark)
            words.adjust(0, 0, -18, 0)
        painter.setFont(look.text_font(14, QFont.Weight.Medium if selected else QFont.Weight.Normal))
        painter.setPen(QColor(theme.text))
        title = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideRight, int(words.width()))
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
        painter.restore()

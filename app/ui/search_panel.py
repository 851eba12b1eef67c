"""Search over all conversations: a card above the window, a line to write in, the places that were found.

Knows how a place is drawn, with its words marked. Does not know how it is found; emits what is looked for and chosen.
"""

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPainter, QTextCharFormat, QTextLayout, QTextOption
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.protocol import Hit, Hits
from app.ui import theme as look
from app.ui.conversation_rows import Index, day_name
from app.ui.theme import Theme
from app.ui.wording import moment, today

WIDTH, TOP, MARGIN = 640, 72, 16
DELAY_MS = 120
HIT = Qt.ItemDataRole.UserRole
ROLES = {"question": "You", "answer": "Answer", "thinking": "Thinking", "title": "Title"}
NOTHING_YET = "Words or parts of words, in questions, answers, thinking and titles"


class SearchPanel(QWidget):
    """Covers the window while it is open."""

    words_changed = Signal(str)
    chosen = Signal(object)

    def __init__(self, theme: Theme, window: QWidget) -> None:
        super().__init__(window)
        self.setObjectName("scrim")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._window = window
        self._before: QWidget | None = None
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY_MS)
        self._delay.timeout.connect(self._on_delay_over)
        self.card = QFrame(self)
        self.card.setObjectName("searchCard")
        self.edit = QLineEdit()
        self.edit.setObjectName("searchEdit")
        self.edit.setAcceptDrops(False)  # the window takes drops, wherever they fall
        self.edit.setPlaceholderText("Search all conversations")
        self.edit.setAccessibleName("Search all conversations")
        self.edit.setFont(look.text_font(15))
        self.edit.textChanged.connect(self._on_text_changed)
        self.edit.installEventFilter(self)
        self.list = QListWidget()
        self.list.setObjectName("hits")
        self.list.setAccessibleName("Places that were found")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setMouseTracking(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self._drawing = _Drawing(theme, self.list)
        self.list.setItemDelegate(self._drawing)
        self.list.itemClicked.connect(self._on_item_clicked)
        self.said = QLabel(NOTHING_YET)
        self.said.setObjectName("figures")
        self.said.setContentsMargins(14, 6, 14, 8)
        column = QVBoxLayout(self.card)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(2)
        column.addWidget(self.edit)
        column.addWidget(self.list, 1)
        column.addWidget(self.said)
        window.installEventFilter(self)
        self.hide()

    def open(self) -> None:
        """Show it, with the words of the last time chosen."""
        self._before = self._window.focusWidget()
        self.show()
        self.raise_()
        self._lay_out()
        self.edit.setFocus()
        self.edit.selectAll()
        if self.edit.text():
            self._delay.start()

    def show_hits(self, hits: Hits) -> None:
        """Show what was found."""
        self.list.clear()
        for hit in hits.hits:
            item = QListWidgetItem(self.list)
            item.setData(HIT, hit)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{hit.title}: {hit.excerpt}")
        if hits.hits:
            self.list.setCurrentRow(0)
            more = ", the newest of more" if hits.more else ""
            self.said.setText(f"{len(hits.hits)} {'place' if len(hits.hits) == 1 else 'places'}{more}")
        else:
            nothing = "Nothing has all of these words: try fewer, or parts of them."
            self.said.setText(nothing if self.words else NOTHING_YET)
        self._lay_out()

    @property
    def words(self) -> str:
        """What is looked for."""
        return self.edit.text().strip()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._drawing.theme = theme
        self.list.viewport().update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Follow the window's size; keys that move in the list are given to it."""
        if watched is self._window and event.type() == QEvent.Type.Resize and self.isVisible():
            self._lay_out()
        if watched is self.edit and isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.ShortcutOverride and event.key() == Qt.Key.Key_Escape:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                return self._key(event)
        return super().eventFilter(watched, event)

    def mousePressEvent(self, _event: QMouseEvent) -> None:  # noqa: N802
        """A click beside the card closes it."""
        self.close_panel()

    def close_panel(self) -> None:
        """Hide it; who had the keyboard before has it again."""
        self.hide()
        if self._before is not None and self._before.isVisible():
            self._before.setFocus()

    def _key(self, event: QKeyEvent) -> bool:
        match event.key():
            case Qt.Key.Key_Escape:
                self.close_panel()
            case Qt.Key.Key_Up | Qt.Key.Key_Down:
                step = 1 if event.key() == Qt.Key.Key_Down else -1
                self.list.setCurrentRow(max(0, min(self.list.count() - 1, self.list.currentRow() + step)))
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self._choose(self.list.currentItem())
            case _:
                return False
        return True

    def _choose(self, item: QListWidgetItem | None) -> None:
        hit = item.data(HIT) if item is not None else None
        if isinstance(hit, Hit):
            self.close_panel()
            self.chosen.emit(hit)

    def _lay_out(self) -> None:
        self.setGeometry(self._window.rect())
        width = min(WIDTH, self.width() - 2 * MARGIN)
        room = self.height() - TOP - 2 * MARGIN
        rows = self.list.count() * look.scaled(_Drawing.HEIGHT)
        self.list.setVisible(bool(rows))
        self.card.setGeometry((self.width() - width) // 2, TOP, width, min(room, self._frame_height() + rows))

    def _frame_height(self) -> int:
        return self.edit.sizeHint().height() + self.said.sizeHint().height() + (22 if self.list.count() else 14)

    @Slot()
    def _on_delay_over(self) -> None:
        self.words_changed.emit(self.words)

    @Slot(str)
    def _on_text_changed(self, _text: str) -> None:
        self._delay.start()

    @Slot(QListWidgetItem)
    def _on_item_clicked(self, item: QListWidgetItem) -> None:
        self._choose(item)


class _Drawing(QStyledItemDelegate):
    """Draws a place: whose words, when, and the words around what was found."""

    HEIGHT = 62

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:  # noqa: N802
        return QSize(100, look.scaled(self.HEIGHT))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        hit = index.data(HIT)
        if not isinstance(hit, Hit):
            return
        theme, area = self.theme, QRectF(option.rect).adjusted(2, 1, -2, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.soft if option.state & QStyle.StateFlag.State_Selected else theme.hover))
            painter.drawRoundedRect(area, 8, 8)
        inside = area.adjusted(12, 8, -12, -8)
        painter.setFont(look.text_font(12))
        painter.setPen(QColor(theme.muted))
        beside = f"{ROLES[hit.role]} · {day_name(moment(hit.used_at).date(), today())}"
        width = painter.fontMetrics().horizontalAdvance(beside)
        top, right = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignRight
        painter.drawText(inside, top | right, beside)
        painter.setFont(look.text_font(look.QUIET_SIZE, QFont.Weight.DemiBold))
        painter.setPen(QColor(theme.text))
        room = int(inside.width()) - width - 16
        title = painter.fontMetrics().elidedText(hit.title, Qt.TextElideMode.ElideRight, room)
        painter.drawText(inside, top | Qt.AlignmentFlag.AlignLeft, title)
        self._draw_excerpt(painter, hit, inside.adjusted(0, look.scaled(22), 0, 0))
        painter.restore()

    def _draw_excerpt(self, painter: QPainter, hit: Hit, area: QRectF) -> None:
        found = QTextCharFormat()
        found.setBackground(QColor(self.theme.selection))
        found.setForeground(QColor(self.theme.text))
        ranges = []
        for begin, end in hit.marks:
            span = QTextLayout.FormatRange()
            span.start, span.length, span.format = units(hit.excerpt[:begin]), units(hit.excerpt[begin:end]), found
            ranges.append(span)
        layout = QTextLayout(hit.excerpt, look.text_font(look.QUIET_SIZE))
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAnywhere)
        layout.setTextOption(option)
        layout.setFormats(ranges)
        layout.beginLayout()
        line = layout.createLine()
        if line.isValid():
            line.setLineWidth(area.width())
        layout.endLayout()
        painter.setPen(QColor(self.theme.muted))
        painter.setClipRect(area)
        layout.draw(painter, QPointF(area.x(), area.y()))


def units(text: str) -> int:
    """The length of a text as Qt counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2

"""How the rows of the list of conversations are drawn, and the field in which one is renamed. Knows rows, no list."""

from PySide6.QtCore import QAbstractItemModel, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.ui import theme as look
from app.ui.conversation_rows import FOLDED, FOLDER, INSIDE, KEY, PINNED, RUNNING, Index
from app.ui.icons import pixmap
from app.ui.theme import Theme

ROW = 38
INDENT = 16


class Drawing(QStyledItemDelegate):
    """Draws headings and conversations."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme
        self.aim: str | None = None
        """The folder that what is dragged would fall into; None if nothing is."""

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:  # noqa: N802
        """Every row has the same height."""
        return QSize(100, look.scaled(ROW))

    def createEditor(self, parent: QWidget, _option: QStyleOptionViewItem, index: Index) -> QWidget:  # noqa: N802
        """A field for the name."""
        editor = QLineEdit(parent)
        editor.setObjectName("rename")
        editor.setMaxLength(200)
        editor.setAccessibleName(f"Name of the {'folder' if index.data(FOLDER) else 'conversation'}")
        return editor

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:  # noqa: N802
        """Want the name that was written."""
        if isinstance(editor, QLineEdit):
            model.setData(index, editor.text())

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, _index: Index) -> None:  # noqa: N802
        """The field covers the row."""
        editor.setGeometry(option.rect.adjusted(0, 2, 0, -2))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw a heading, a folder or a conversation."""
        theme = self.theme
        area = QRectF(option.rect)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not index.data(KEY) and not index.data(FOLDER):
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
        if self.aim and index.data(FOLDER) == self.aim:
            painter.setBrush(QColor(theme.hover))
            painter.setPen(QColor(theme.accent))
            painter.drawRoundedRect(row.adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        words = row.adjusted(10, 0, -10, 0)
        if index.data(FOLDER):
            mark = pixmap("right" if index.data(FOLDED) else "down", theme.muted, 14, _ratio(painter))
            painter.drawPixmap(int(words.left()) - 3, int(words.center().y()) - 6, mark)
        if index.data(INSIDE):
            words.adjust(look.scaled(INDENT), 0, 0, 0)
        if index.data(RUNNING):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.accent))
            painter.drawEllipse(QRectF(words.right() - 6, words.center().y() - 3, 6, 6))
            words.adjust(0, 0, -14, 0)
        if index.data(PINNED):
            mark = pixmap("pin", theme.muted, 13, _ratio(painter))
            painter.drawPixmap(int(words.right()) - 13, int(words.center().y()) - 6, mark)
            words.adjust(0, 0, -18, 0)
        painter.setFont(
            look.text_font(14, QFont.Weight.Medium if selected or index.data(FOLDER) else QFont.Weight.Normal)
        )
        painter.setPen(QColor(theme.text))
        title = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideRight, int(words.width()))
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
        painter.restore()


def _ratio(painter: QPainter) -> float:
    return max(2.0, painter.device().devicePixelRatioF())

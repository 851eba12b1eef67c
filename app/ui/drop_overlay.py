"""What the whole window says while something is dragged over it. Knows only how to say it."""

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.ui import theme as look
from app.ui.icons import pixmap
from app.ui.theme import Theme


class DropOverlay(QWidget):
    """Covers its parent and says what dropping will do."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self._theme = theme
        self._title = self._hint = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def announce(self, title: str, hint: str) -> None:
        """Appear over the whole parent."""
        self._title, self._hint = title, hint
        self.setAccessibleName(f"{title}. {hint}")
        self.setGeometry(self._window.rect())
        self.raise_()
        self.show()
        self.update()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Veil the window, frame it, say what will happen."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(self._theme.background)
        veil.setAlpha(232)
        painter.fillRect(self.rect(), veil)
        border = QPen(QColor(self._theme.accent), 1.5, Qt.PenStyle.CustomDashLine)
        border.setDashPattern([5, 5])
        painter.setPen(border)
        tint = QColor(self._theme.soft)
        tint.setAlpha(150)
        painter.setBrush(tint)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(18, 18, -18, -18), 16, 16)
        centre = self.rect().center()
        mark = pixmap("drop", self._theme.accent, 40, self.devicePixelRatioF())
        painter.drawPixmap(centre - QPoint(20, 66), mark)
        painter.setPen(QColor(self._theme.text))
        painter.setFont(look.text_font(20, QFont.Weight.DemiBold))
        title = painter.fontMetrics().elidedText(self._title, Qt.TextElideMode.ElideMiddle, self.width() - 96)
        painter.drawText(self.rect().adjusted(40, 8, -40, 0), Qt.AlignmentFlag.AlignCenter, title)
        painter.setPen(QColor(self._theme.muted))
        painter.setFont(look.text_font(look.TEXT_SIZE))
        painter.drawText(self.rect().adjusted(40, 68, -40, 0), Qt.AlignmentFlag.AlignCenter, self._hint)

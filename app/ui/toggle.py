"""A switch with two positions. Knows nothing of what it switches."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QWidget

from app.ui import theme as look
from app.ui.theme import Theme

TRACK = QSize(30, 17)
GAP = 8


class Toggle(QAbstractButton):
    """A labelled switch; `toggled` tells."""

    def __init__(self, label: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setCheckable(True)
        self.setText(label)
        self.setAccessibleName(label)
        self.setFont(look.text_font(look.QUIET_SIZE))
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """The track and its label."""
        if not self.text():
            return QSize(TRACK.width() + 4, 28)
        label = self.fontMetrics().horizontalAdvance(self.text())
        return QSize(TRACK.width() + GAP + label + 6, 28)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Draw the track, the knob and the label."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        theme = self._theme
        track = QRectF(2, (self.height() - TRACK.height()) / 2, TRACK.width(), TRACK.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.accent if self.isChecked() else theme.scroll))
        painter.drawRoundedRect(track, track.height() / 2, track.height() / 2)
        knob = track.height() - 5
        left = track.right() - knob - 2.5 if self.isChecked() else track.left() + 2.5
        painter.setBrush(QColor(theme.on_accent if self.isChecked() else theme.card))
        painter.drawEllipse(QRectF(left, track.top() + 2.5, knob, knob))
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(theme.accent))
            painter.drawRoundedRect(track.adjusted(-1.5, -1.5, 1.5, 1.5), 10, 10)
        painter.setPen(QColor(theme.muted))
        words = self.rect().adjusted(TRACK.width() + GAP + 2, 0, 0, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.text())

"""A bar of coloured parts of a whole, with words beside it and a breakdown on hover or focus. Knows no unit."""

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFocusEvent, QHelpEvent, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolTip, QWidget

from app.ui import theme as look
from app.ui.theme import Theme

WIDE, NARROW, TINY, HEIGHT = 168, 92, 40, 8
NEARLY_NOTHING = 0.1
"""Below this part of the whole, what is left is little, unless it is said how much is."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part: what it is, how large, in words, and in which colour of the theme (a field of `Theme`)."""

    name: str
    value: int
    words: str
    colour: str


def legend(segments: tuple[Segment, ...], theme: Theme) -> str:
    """Parts as rich text, a row each; everything in it is our own words."""
    rows = "".join(
        f"<tr><td style='color:{getattr(theme, part.colour, part.colour)}'>■&nbsp;</td><td>{part.name}</td>"
        f"<td align='right'>&nbsp;&nbsp;&nbsp;{part.words}</td></tr>"
        for part in segments
    )
    return f"<table cellspacing='2'>{rows}</table>"


class StackedBar(QWidget):
    """The bar alone."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._segments: tuple[Segment, ...] = ()
        self._total = 0
        self._little = 0.0
        self._width = WIDE
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    @property
    def nearly_full(self) -> bool:
        """Whether little is left."""
        return self._total > 0 and self._total - sum(part.value for part in self._segments) < self._little

    def set_parts(self, segments: tuple[Segment, ...], total: int, little: float | None = None) -> None:
        """Show these parts of `total`; with less than `little` left, or a tenth, it is nearly full."""
        self._segments, self._total = segments, total
        self._little = NEARLY_NOTHING * total if little is None else little
        self.update()

    def set_bar(self, width: int) -> None:
        """Take another width."""
        self._width = width
        self.updateGeometry()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """A thin line."""
        return QSize(self._width, HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Draw the parts in order over the track."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(self.rect()), HEIGHT / 2, HEIGHT / 2)
        painter.setClipPath(shape)
        painter.fillRect(self.rect(), QColor(self._theme.bar_track))
        left = 0.0
        for part in self._segments:
            width = self.width() * part.value / self._total if self._total else 0.0
            colour = self._theme.warning if self.nearly_full and part is self._segments[0] else part.colour
            first, last = round(left), round(left + width)  # whole pixels: neighbours do not run into each other
            painter.fillRect(QRectF(first, 0, last - first, HEIGHT), QColor(getattr(self._theme, colour, colour)))
            left += width


class Gauge(QWidget):
    """A name, a bar, words; hovering or focusing it opens the breakdown."""

    def __init__(self, name: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._segments: tuple[Segment, ...] = ()
        self._remark = ""
        self.name = QLabel(name)
        self.words = QLabel()
        for label in (self.name, self.words):
            label.setObjectName("figures")
            label.setFont(look.figure_font(look.QUIET_SIZE - 0.5))
        self.bar = StackedBar(theme)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(9)
        for part in (self.name, self.bar, self.words):
            layout.addWidget(part)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(name)

    def show_parts(
        self,
        name: str,
        segments: tuple[Segment, ...],
        total: int,
        words: str,
        remark: str,
        *,
        little: float | None = None,
    ) -> None:
        """Show parts of a whole; `remark` is said in the breakdown when it is nearly full, with less than `little` or a
        tenth left."""
        self.name.setText(name)
        self._segments = segments
        self.bar.set_parts(segments, total, little)
        self._remark = remark if self.bar.nearly_full else ""
        self.words.setText(words)
        self.words.setProperty("warning", self.bar.nearly_full)
        self.words.style().unpolish(self.words)
        self.words.style().polish(self.words)
        self.words.setFont(look.figure_font(look.QUIET_SIZE - 0.5))  # polishing brings back the font of the beginning
        self.setAccessibleName(f"{name}: {words}")
        self.setAccessibleDescription("; ".join(f"{part.name} {part.words}" for part in segments))

    def set_bar(self, width: int) -> None:
        """Give the bar another width."""
        self.bar.set_bar(width)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.bar.apply_theme(theme)

    def breakdown(self) -> str:
        """The parts as rich text for a tooltip."""
        remark = f"<p style='color:{self._theme.warning}'>{self._remark}</p>" if self._remark else ""
        return f"{legend(self._segments, self._theme)}{remark}" if self._segments else ""

    def event(self, event: QEvent) -> bool:
        """Open the breakdown when the pointer rests on it."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.breakdown(), self)
            return True
        return super().event(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Open the breakdown for the keyboard too."""
        super().focusInEvent(event)
        QToolTip.showText(self.mapToGlobal(QPoint(0, -90)), self.breakdown(), self)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Close the breakdown."""
        super().focusOutEvent(event)
        QToolTip.hideText()

"""A column that scrolls: it stays at its end while it grows, and where one reads while things change above.

Knows geometry, no content. What is at the top of the view is the anchor: when the column's height changes, the anchor
stays where it is on the screen, as long as the end is not followed. It is the widget named ANCHOR that stands there, or
else the whole part.
"""

from collections.abc import Iterable

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget
from shiboken6 import isValid

ANCHOR = "anchor"
NEAR = 32
"""Pixels from the end that still count as being there."""


class StickyScroll(QScrollArea):
    """Holds `column`; emits whether the end is in sight."""

    end_in_sight_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._at_end = True
        self._goes_on = False
        self._parts: list[QWidget] = []
        self._anchor: tuple[QWidget, int] | None = None
        self._placing = False
        self.inside = QWidget()
        self.inside.setObjectName("scrollInside")
        self.setWidget(self.inside)
        self.verticalScrollBar().rangeChanged.connect(self._on_range_changed)
        self.verticalScrollBar().valueChanged.connect(self._on_value_changed)

    @property
    def follows(self) -> bool:
        """Whether it stays at the end while the column grows."""
        return self._at_end

    def column_layout(self) -> QVBoxLayout:
        """A vertical layout of what is inside."""
        return QVBoxLayout(self.inside)

    def set_parts(self, parts: Iterable[QWidget], *, goes_on: bool) -> None:
        """What stands below each other inside, as anchors; `goes_on`: there is more that is not built yet, so that the
        lower edge is no end to stay at."""
        self._parts = list(parts)
        self._goes_on = goes_on
        if goes_on:
            self._set_at_end(False)

    def show_part(self, part: QWidget, below_top: int) -> None:
        """Scroll so that a part stands so many pixels below the upper edge."""
        self._set_at_end(False)
        self._anchor = part, below_top
        self._place_anchor()

    @Slot()
    def to_end(self) -> None:
        """Go to the end and stay there."""
        self._anchor = None
        self._set_at_end(not self._goes_on)
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    @Slot(int, int)
    def _on_range_changed(self, _minimum: int, maximum: int) -> None:
        if self._at_end:
            self.verticalScrollBar().setValue(maximum)
        elif not self._place_anchor():
            self._on_value_changed(self.verticalScrollBar().value())

    @Slot(int)
    def _on_value_changed(self, value: int) -> None:
        if self._placing:
            return
        self._set_at_end(not self._goes_on and value >= self.verticalScrollBar().maximum() - NEAR)
        parts = self._parts or [self.inside]
        top = None if self._at_end else next((part for part in parts if self._y(part) + part.height() > value), None)
        if top is not None and self._y(top) < value:
            inner = [part for part in top.findChildren(QWidget, ANCHOR) if self._y(part) + part.height() > value]
            top = min(inner, key=self._y, default=top)
        self._anchor = None if top is None else (top, self._y(top) - value)

    def _place_anchor(self) -> bool:
        if self._anchor is None or not isValid(self._anchor[0]) or not self.inside.isAncestorOf(self._anchor[0]):
            return False
        part, below_top = self._anchor
        self._placing = True
        self.verticalScrollBar().setValue(self._y(part) - below_top)
        self._placing = False
        return True

    def _y(self, part: QWidget) -> int:
        return part.mapTo(self.inside, QPoint()).y()

    def _set_at_end(self, at_end: bool) -> None:
        if at_end != self._at_end:
            self._at_end = at_end
            self.end_in_sight_changed.emit(at_end)

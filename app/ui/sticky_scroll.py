"""A column that scrolls and stays at its end while it grows, unless the person scrolled away. Knows no content."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

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
        self.inside = QWidget()
        self.inside.setObjectName("scrollInside")
        self.setWidget(self.inside)
        self.verticalScrollBar().rangeChanged.connect(self._on_range_changed)
        self.verticalScrollBar().valueChanged.connect(self._on_value_changed)

    def column_layout(self) -> QVBoxLayout:
        """A vertical layout of what is inside."""
        return QVBoxLayout(self.inside)

    @Slot()
    def to_end(self) -> None:
        """Go to the end and stay there."""
        self._set_at_end(True)
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    @Slot(int, int)
    def _on_range_changed(self, _minimum: int, maximum: int) -> None:
        if self._at_end:
            self.verticalScrollBar().setValue(maximum)
        else:
            self._on_value_changed(self.verticalScrollBar().value())

    @Slot(int)
    def _on_value_changed(self, value: int) -> None:
        self._set_at_end(value >= self.verticalScrollBar().maximum() - NEAR)

    def _set_at_end(self, at_end: bool) -> None:
        if at_end != self._at_end:
            self._at_end = at_end
            self.end_in_sight_changed.emit(at_end)

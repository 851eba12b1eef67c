"""The controls that settings are chosen with: a switch, a list that unfolds, a number. Know a value, no setting."""

from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontDatabase, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSpinBox, QStyle, QStyleOptionComboBox, QWidget

from app.kinds import Choice, Family, Kind, Number, PresetKey, PromptKey, Switch
from app.presets import PRESETS
from app.settings import Settings
from app.ui.icons import pixmap
from app.ui.theme import Theme
from app.ui.toggle import Toggle

WIDTH = 200


class Control(QWidget):
    """Emits `chosen` with a value, when the person chose it."""

    chosen = Signal(object)

    def show_value(self, value: Any, settings: Settings) -> None:
        """Show what is chosen; the settings have the lists that some choices are made from."""

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""


class SwitchControl(Control):
    """On or off."""

    def __init__(self, words: str, theme: Theme) -> None:
        super().__init__()
        self.toggle = Toggle("", theme)
        self.toggle.setAccessibleName(words)
        self.toggle.clicked.connect(self._on_clicked)
        self.setFocusProxy(self.toggle)
        _in_a_row(self, self.toggle)

    def show_value(self, value: Any, settings: Settings) -> None:  # noqa: ARG002
        """Stand as chosen."""
        self.toggle.setChecked(bool(value))

    @Slot(bool)
    def _on_clicked(self, on: bool) -> None:
        self.chosen.emit(on)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.toggle.apply_theme(theme)


class ListControl(Control):
    """One of several values."""

    def __init__(self, words: str, kind: Kind, theme: Theme) -> None:
        super().__init__()
        self._kind = kind
        self._listed: list[tuple[Any, str]] = []
        self.box = Unfolding(theme)
        self.box.setAccessibleName(words)
        self.box.setFixedWidth(WIDTH)
        self.box.activated.connect(self._on_activated)
        self.setFocusProxy(self.box)
        _in_a_row(self, self.box)

    def show_value(self, value: Any, settings: Settings) -> None:
        """Show the list as it is now, and what is chosen of it."""
        listed = _listed(self._kind, value, settings)
        if listed != self._listed:
            self._listed = listed
            self.box.clear()
            self.box.addItems([words for _value, words in listed])
        values = [each for each, _words in listed]
        self.box.setCurrentIndex(values.index(value) if value in values else 0)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.box.theme = theme
        self.box.update()

    @Slot(int)
    def _on_activated(self, at: int) -> None:
        self.chosen.emit(self._listed[at][0])


class NumberControl(Control):
    """A whole number, with its unit."""

    def __init__(self, words: str, kind: Number) -> None:
        super().__init__()
        self._kind = kind
        self._before = 0
        self.box = StillSpinBox()
        self.box.setAccessibleName(words)
        self.box.setRange(0 if kind.zero else kind.least, kind.most)
        self.box.setSpecialValueText(kind.zero)
        self.box.setSuffix(f" {kind.unit}" if kind.unit else "")
        self.box.setKeyboardTracking(False)
        self.box.setFixedWidth(WIDTH - 2 * 34)
        self.box.valueChanged.connect(self._on_value_changed)
        self.setFocusProxy(self.box)
        less, more = _step("−", f"{words}: less"), _step("+", f"{words}: more")
        less.clicked.connect(self.box.stepDown)
        more.clicked.connect(self.box.stepUp)
        _in_a_row(self, self.box, less, more)

    def show_value(self, value: Any, settings: Settings) -> None:  # noqa: ARG002
        """Show the number."""
        self._before = int(value)
        self.box.blockSignals(True)
        self.box.setValue(int(value))
        self.box.blockSignals(False)

    @Slot(int)
    def _on_value_changed(self, value: int) -> None:
        if 0 < value < self._kind.least:  # between “never” and the least there is nothing
            value = 0 if value == self._before - 1 else self._kind.least
            self.box.blockSignals(True)
            self.box.setValue(value)
            self.box.blockSignals(False)
        if value != self._before:
            self._before = value
            self.chosen.emit(value)


class StillSpinBox(QSpinBox):
    """A number that a wheel turns only when it has the keyboard: one scrolls past it."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("field")
        self.lineEdit().setTextMargins(7, 0, 7, 0)  # a style sheet gives a number none
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave scrolling to what is around."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class Unfolding(QComboBox):
    """A list that unfolds, drawn like Parley's buttons."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMaxVisibleItems(14)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def sizeHint(self) -> QSize:  # noqa: N802
        """As high as a button."""
        return QSize(super().sizeHint().width(), max(30, self.fontMetrics().height() + 12))

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave scrolling to what is around, unless it has the keyboard."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Draw a card, the words, and an arrow down."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        over = bool(option.state & QStyle.StateFlag.State_MouseOver)
        theme, painter = self.theme, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(theme.accent if self.hasFocus() else theme.scroll if over else theme.line))
        painter.setBrush(QColor(theme.card if self.isEnabled() else theme.background))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        painter.setPen(QColor(theme.text if self.isEnabled() else theme.muted))
        room = self.rect().adjusted(11, 0, -30, 0)
        words = self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)
        arrow = pixmap("down", theme.muted, 14, self.devicePixelRatioF())
        painter.drawPixmap(QPointF(self.width() - 23, (self.height() - 14) / 2), arrow)


def control_for(kind: Kind, words: str, theme: Theme) -> Control:
    """The control of a kind that has one value. Raises TypeError for lists, which have rows of their own."""
    match kind:
        case Switch():
            return SwitchControl(words, theme)
        case Number():
            return NumberControl(words, kind)
        case Choice() | Family() | PresetKey() | PromptKey():
            return ListControl(words, kind, theme)
        case _:
            raise TypeError(f"no control for {kind}")


def _listed(kind: Kind, value: Any, settings: Settings) -> list[tuple[Any, str]]:
    match kind:
        case Choice():
            known = list(kind.values)
            if kind.other is not None and value not in [each for each, _words in known]:
                known.append((value, f"{value:,} {kind.other.unit}"))
            return known
        case PresetKey():
            own = [(each.key, each.name) for each in (*PRESETS, *settings.presets)]
            return [("", "What suits the model"), *own]
        case PromptKey():
            return [("", "None"), *((each.key, each.name) for each in settings.prompts)]
        case _:
            families = sorted(QFontDatabase.families(), key=str.casefold)
            return [(each, each) for each in dict.fromkeys(("Inter", str(value), *families))]


def _step(sign: str, name: str) -> QPushButton:
    button = QPushButton(sign)
    button.setObjectName("step")
    button.setAccessibleName(name)
    button.setFixedWidth(30)
    button.setAutoRepeat(True)
    button.setAutoDefault(False)
    return button


def _in_a_row(around: QWidget, *parts: QWidget) -> None:
    row = QHBoxLayout(around)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for part in parts:
        row.addWidget(part)

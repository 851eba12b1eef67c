"""One setting as one row: its words, its control, and the way back to its default. Knows what the table says of it."""

from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSystemTrayIcon, QVBoxLayout

from app.settings import Declared, Settings, default_of
from app.ui import theme as look
from app.ui.icon_button import IconButton
from app.ui.settings_controls import control_for
from app.ui.theme import Theme

NO_TRAY = "There is no tray here, so Parley quits."
NO_TRAY_TOLD = "There is no tray here, so Parley's mark in the task bar asks for attention."


class Row(QFrame):
    """A part of a section that a search finds or not."""

    chosen = Signal(str, object)
    reset = Signal(str)

    def __init__(self, words: str) -> None:
        super().__init__()
        self.setObjectName("settingRow")
        self._words = words.casefold()

    def matches(self, words: list[str]) -> bool:
        """Whether all of these words are in what it says."""
        return all(word in self._words for word in words)

    def show_settings(self, settings: Settings) -> None:
        """Show what is chosen."""

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""


class SettingRow(Row):
    """A setting that has one value."""

    def __init__(self, name: str, declared: Declared, theme: Theme) -> None:
        super().__init__(f"{declared.section} {declared.words} {declared.hint}")
        self._name = name
        self.control = control_for(declared.kind, declared.words, theme)
        self.control.chosen.connect(self._on_chosen)
        self.label = QLabel(declared.words)
        self.label.setBuddy(self.control)
        self.hint = quiet_words(_hint(name, declared.hint))
        self.back = back_button(declared.words, theme)
        self.back.clicked.connect(self._on_back_clicked)
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(self.label)
        if self.hint.text():
            words.addWidget(self.hint)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 5, 0, 5)
        row.setSpacing(8)
        row.addLayout(words, 1)
        row.addWidget(self.control, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.back)
        if name == "on_close" and not QSystemTrayIcon.isSystemTrayAvailable():
            self.control.setEnabled(False)

    def show_settings(self, settings: Settings) -> None:
        """Show what is chosen, and the way back if it is not the default."""
        value: Any = getattr(settings, self._name)
        self.control.show_value(value, settings)
        self.back.setVisible(value != default_of(self._name))

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.control.apply_theme(theme)
        self.back.apply_theme(theme)

    @Slot(object)
    def _on_chosen(self, value: object) -> None:
        self.chosen.emit(self._name, value)

    @Slot()
    def _on_back_clicked(self) -> None:
        self.reset.emit(self._name)


class DoorRow(Row):
    """The way to something that has a window of its own."""

    opened = Signal()

    def __init__(self, words: str, hint: str, button: str) -> None:
        super().__init__(f"{words} {hint}")
        self.button = QPushButton(button)
        self.button.setAutoDefault(False)
        self.button.clicked.connect(self.opened)
        said = QVBoxLayout()
        said.setSpacing(1)
        said.addWidget(QLabel(words))
        said.addWidget(quiet_words(hint))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 5, 36, 5)
        row.addLayout(said, 1)
        row.addWidget(self.button)


def quiet_words(words: str) -> QLabel:
    """An explanation, small and muted."""
    label = QLabel(words)
    label.setObjectName("figures")
    label.setFont(look.figure_font(look.QUIET_SIZE - 0.5))
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label


def back_button(words: str, theme: Theme) -> IconButton:
    """The way back to the default of a setting; it keeps its place where there is nothing to go back to."""
    button = IconButton("again", f"Back to the default: {words}", theme)
    policy = button.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    button.setSizePolicy(policy)
    return button


def _hint(name: str, hint: str) -> str:
    if QSystemTrayIcon.isSystemTrayAvailable():
        return hint
    return {"on_close": NO_TRAY, "notify_after": f"{hint} {NO_TRAY_TOLD}"}.get(name, hint)

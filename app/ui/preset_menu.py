"""The chip at the top right: which sampling preset is used, and a menu to choose another. Knows the presets' names."""

from typing import NamedTuple

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from app import presets
from app.protocol import Sampling


class Preset(NamedTuple):
    """A preset with the words for it; it goes with thinking or without."""

    words: str
    thinking: bool
    sampling: Sampling


PRESETS = {
    "thinking-general": Preset("Thinking, general", True, presets.THINKING_GENERAL),
    "thinking-coding": Preset("Thinking, precise coding", True, presets.THINKING_CODING),
    "direct-general": Preset("Direct, general", False, presets.DIRECT_GENERAL),
    "direct-reasoning": Preset("Direct, reasoning", False, presets.DIRECT_REASONING),
    "direct-greedy": Preset("Direct, greedy", False, presets.DIRECT_GREEDY),
}
AUTOMATIC = "What suits the model"


class PresetChip(QPushButton):
    """Shows the preset; emits the key of the chosen one, empty for what suits the model."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("pill")
        self.setToolTip("How the next word is drawn")
        self._group = QActionGroup(self)
        menu = QMenu(self)
        for key, words in (("", AUTOMATIC), *((key, preset.words) for key, preset in PRESETS.items())):
            action = menu.addAction(words)
            action.setCheckable(True)
            action.setData(key)
            self._group.addAction(action)
            if not key:
                menu.addSeparator()
        self._group.triggered.connect(self._on_triggered)
        self.setMenu(menu)

    def show_choice(self, key: str, thinking: bool, demo: bool) -> None:
        """Show which preset is used; the demo model has one of its own unless another is chosen."""
        preset = PRESETS.get(key)
        suits = f"{'Thinking' if thinking else 'Direct'}, {'demo' if demo else 'general'}"
        self.setText(preset.words if preset else suits)
        self.setAccessibleName(f"Preset: {self.text()}")
        for action in self._group.actions():
            action.setChecked(action.data() == key)

    @Slot(QAction)
    def _on_triggered(self, action: QAction) -> None:
        self.chosen.emit(action.data())

"""The chip at the top right: how the shown conversation is answered, and a menu to choose otherwise.

Knows presets and system prompts by name. Emits what was chosen, changes nothing.
"""

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from app.chat.conversation import Choices
from app.presets import PRESETS
from app.settings import PRESETS as PRESETS_SECTION
from app.settings import PROMPTS as PROMPTS_SECTION
from app.settings import Settings
from app.ui import chosen

AUTOMATIC = "What suits the model"
NO_PROMPT, OWN_PROMPT, OWN_SHORT = "None", "Written for this conversation", "own prompt"
LONGEST = 24
"""Characters of a name that the chip shows."""


class PresetChip(QPushButton):
    """Emits `chosen` with the key of a preset, empty for what suits the model, and `system_chosen` with the text that
    the model is told first."""

    chosen = Signal(str)
    system_chosen = Signal(str)
    system_edit_requested = Signal()
    settings_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("pill")
        self.setToolTip("How this conversation is answered")
        self._shown: tuple[object, ...] = ()
        menu = QMenu(self)
        self._presets = QActionGroup(self)
        self._presets.triggered.connect(self._on_preset_triggered)
        self._first_own = menu.addSeparator()
        edit = menu.addAction("Edit presets…")
        edit.setData(PRESETS_SECTION)
        edit.triggered.connect(self._on_edit_triggered)
        menu.addSeparator()
        self.system = menu.addMenu("System prompt")
        self._prompts = QActionGroup(self)
        self._prompts.triggered.connect(self._on_prompt_triggered)
        self.setMenu(menu)

    def show_choices(self, choices: Choices, settings: Settings, *, thinking: bool, demo: bool) -> None:
        """Show what counts; the demo model has a preset of its own unless another is chosen."""
        preset = chosen.preset_of(choices, settings)
        now = (preset, choices.system, settings.presets, settings.prompts, thinking, demo)
        if now == self._shown:
            return
        self._shown = now
        suits = f"{'Thinking' if thinking else 'Direct'}, {'demo' if demo else 'general'}"
        name = preset.name if preset else suits
        self._fill_presets(settings, preset.key if preset else "")
        told = self._fill_prompts(settings, choices.system or "")
        self.setText(_short(name) + (f" · {_short(told)}" if told else ""))
        spoken = f", system prompt: {told}" if told else ""
        self.setAccessibleName(f"Preset: {name}{spoken}")

    def _fill_presets(self, settings: Settings, key: str) -> None:
        for action in self._presets.actions():
            self.menu().removeAction(action)
            self._presets.removeAction(action)
            action.deleteLater()
        listed = [("", AUTOMATIC), *((each.key, each.name) for each in (*PRESETS, *settings.presets))]
        for value, words in listed:
            action = QAction(_literal(words), self.menu())
            action.setCheckable(True)
            action.setChecked(value == key)
            action.setData(value)
            self._presets.addAction(action)
            self.menu().insertAction(self._first_own, action)

    def _fill_prompts(self, settings: Settings, text: str) -> str:
        """Fill the menu of prompts; the name of the one that counts, empty for none."""
        for action in self._prompts.actions():
            self._prompts.removeAction(action)
        self.system.clear()
        listed = [(NO_PROMPT, ""), *((each.name, each.text) for each in settings.prompts)]
        told = next((name for name, each in listed if each == text), OWN_PROMPT)
        for words, each in [*listed, (OWN_PROMPT, text)] if told == OWN_PROMPT else listed:
            action = self.system.addAction(_literal(words))
            action.setCheckable(True)
            action.setChecked(words == told and each == text)
            action.setData(each)
            self._prompts.addAction(action)
        self.system.addSeparator()
        self.system.addAction("Write for this conversation…").triggered.connect(self.system_edit_requested)
        edit = self.system.addAction("Edit the library…")
        edit.setData(PROMPTS_SECTION)
        edit.triggered.connect(self._on_edit_triggered)
        return {NO_PROMPT: "", OWN_PROMPT: OWN_SHORT}.get(told, told)

    @Slot(QAction)
    def _on_preset_triggered(self, action: QAction) -> None:
        self.chosen.emit(action.data())

    @Slot(QAction)
    def _on_prompt_triggered(self, action: QAction) -> None:
        self.system_chosen.emit(action.data())

    @Slot()
    def _on_edit_triggered(self) -> None:
        action = self.sender()
        if isinstance(action, QAction):
            self.settings_requested.emit(action.data())


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1].rstrip()}…"


def _literal(name: str) -> str:
    """A name as the words of an action, in which & would mark a letter."""
    return name.replace("&", "&&")

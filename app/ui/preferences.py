"""What the person chose: settings and the choices of the shown conversation, changed, kept, shown where one chooses.

Knows: which setting has what effect at once, and that a choice for a conversation is also how the next one begins. Does
not know: how a setting looks (`settings_dialog`), or what an engine does with it.
"""

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from app import settings as settings_store
from app.presets import found
from app.settings import Settings, default_of
from app.ui import chosen
from app.ui.session import Session
from app.ui.settings_dialog import SettingsDialog
from app.ui.shell import Shell
from app.ui.state import Answering, Ready
from app.ui.system_dialog import SystemDialog
from app.ui.theme import Theme

OF_THE_LOAD = frozenset({"model", "device", "backend", "context", "yarn", "kv_bits"})
OF_A_BEGINNING = frozenset({"thinking", "thinking_budget", "preset", "prompt", "prompts"})


class Preferences(QObject):
    """Emits `changed` with the names of the settings that did."""

    changed = Signal(frozenset)
    memory_requested = Signal()

    def __init__(self, session: Session, shell: Shell, theme: Theme, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._shell, self._theme, self._window = session, shell, theme, window
        self.dialog: SettingsDialog | None = None
        self._before = session.settings
        chip = shell.header.preset
        chip.chosen.connect(self._on_preset_chosen)
        chip.system_chosen.connect(self._on_system_chosen)
        chip.system_edit_requested.connect(self._on_system_edit_requested)
        chip.settings_requested.connect(self.open_settings)
        shell.composer.thinking_toggled.connect(self._on_thinking_toggled)
        shell.composer.budget.chosen.connect(self._on_budget_chosen)
        session.path_changed.connect(self.show_choices)
        session.state_changed.connect(self.show_choices)

    @property
    def settings(self) -> Settings:
        """The person's settings as they are now."""
        return self._session.settings

    def change(self, **fields: Any) -> None:
        """Change settings, keep them, and let everything follow at once; one of the model has it loaded, also again."""
        self._take(fields)
        if not OF_THE_LOAD.isdisjoint(fields):
            self._session.load(self.settings)

    @Slot(dict)
    def take_over(self, fields: dict[str, Any]) -> None:
        """The same for whoever emits what it wants."""
        self.change(**fields)

    def keep_in_mind(self, **fields: Any) -> None:
        """Change settings that are kept when the window closes, such as a width that is being dragged."""
        self._session.settings = replace(self.settings, **fields)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        if self.dialog is not None:
            self.dialog.apply_theme(theme)

    # ---- the dialog ------------------------------------------------------------------------------------------------

    @Slot()
    @Slot(str)
    def open_settings(self, section: str = "") -> None:
        """Show the settings, at a section."""
        if self.dialog is None:
            self._before = self.settings
            self.dialog = SettingsDialog(self.settings, self._theme, self._window)
            self.dialog.chosen.connect(self._on_chosen)
            self.dialog.reset.connect(self._on_reset)
            self.dialog.memory_requested.connect(self.memory_requested)
            self.dialog.finished.connect(self._on_closed)
            self.dialog.open()
        if section:
            self.dialog.go_to(section)

    @Slot(str, object)
    def _on_chosen(self, name: str, value: object) -> None:
        self._take(self._in_tune(name, value))

    @Slot(str)
    def _on_reset(self, name: str) -> None:
        self._take(self._in_tune(name, default_of(name)))

    def _in_tune(self, name: str, value: Any) -> dict[str, Any]:
        """A choice for new conversations with what follows from it: a preset is made for thinking or against it."""
        if name == "preset":
            preset = found(value, self.settings.presets)
            return {name: value, "thinking": preset.thinking} if preset else {name: value}
        preset = found(self.settings.preset, self.settings.presets) if name == "thinking" else None
        return {name: value, "preset": ""} if preset and preset.thinking != value else {name: value}

    @Slot()
    def _on_closed(self) -> None:
        """Load the model as it was chosen now: once, and not with every choice on the way."""
        self.dialog = None
        if any(getattr(self._before, name) != getattr(self.settings, name) for name in OF_THE_LOAD):
            self._session.load(self.settings)
        self._before = self.settings

    # ---- the shown conversation ------------------------------------------------------------------------------------

    @Slot(bool)
    def _on_thinking_toggled(self, thinking: bool) -> None:
        preset = chosen.preset_of(self._session.current.choices, self.settings)
        keep = preset is not None and preset.thinking == thinking
        self._choose(thinking, preset.key if keep and preset else "")

    @Slot(str)
    def _on_preset_chosen(self, key: str) -> None:
        preset = found(key, self.settings.presets)
        self._choose(preset.thinking if preset else self._session.thinking, key)

    @Slot(int)
    def _on_budget_chosen(self, tokens: int) -> None:
        self._session.choose(replace(self._session.current.choices, thinking_budget=tokens))
        self._take({"thinking_budget": tokens})

    def _choose(self, thinking: bool, preset: str) -> None:
        """Choose for the shown conversation; the next one begins like that too."""
        choices = replace(self._session.current.choices, thinking=thinking, preset=preset)
        self._session.choose(choices)
        self._take({"thinking": thinking, "preset": preset})
        self._session.measure()

    @Slot(str)
    def _on_system_chosen(self, text: str) -> None:
        self._session.choose(replace(self._session.current.choices, system=text))
        self.show_choices()
        self._session.measure()

    @Slot()
    def _on_system_edit_requested(self) -> None:
        dialog = SystemDialog(self._session.current.choices.system or "", self._window)
        dialog.saved.connect(self._on_system_chosen)
        dialog.open()

    @Slot()
    def show_choices(self) -> None:
        """Show what counts in the shown conversation where one chooses it."""
        choices, settings, state = self._session.current.choices, self.settings, self._session.state
        demo = isinstance(state, Ready | Answering) and state.model.demo
        thinking = self._session.thinking
        self._shell.header.preset.show_choices(choices, settings, thinking=thinking, demo=demo)
        self._shell.composer.budget.show_choice(chosen.thinking_budget(choices, settings), thinking=thinking)
        toggle = self._shell.composer.thinking
        toggle.blockSignals(True)
        toggle.setChecked(thinking)
        toggle.blockSignals(False)

    # ---- keeping ---------------------------------------------------------------------------------------------------

    def _take(self, fields: dict[str, Any]) -> frozenset[str]:
        """Change settings, keep them and let the parts follow; the names of those that are different now."""
        settings = self.settings
        names = frozenset(name for name, value in fields.items() if getattr(settings, name) != value)
        self._session.settings = replace(settings, **fields)
        self._save()
        current = self._session.current
        if names & OF_A_BEGINNING and not current.nodes:
            fresh = chosen.for_new(self.settings)
            if "prompt" not in names:
                fresh = replace(fresh, system=chosen.followed(current.choices.system, settings, self.settings))
            self._session.choose(fresh)
        if "unload_after" in names:
            self._session.watch()
        self.show_choices()
        if self.dialog is not None:
            self.dialog.show_settings(self.settings)
        if names:
            self.changed.emit(names)
        return names

    def _save(self) -> None:
        try:
            settings_store.save(self.settings)
        except OSError as error:
            self._shell.notice.say(
                f"The settings could not be saved ({error.strerror}): see that Parley may write to "
                f"{settings_store.settings_file().parent} and that the disk has room."
            )

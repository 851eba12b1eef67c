"""Opens the memory plan: asks the engine's program for figures, hands them to the dialog. Knows both, draws nothing."""

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from app.programs import Program
from app.settings import Settings
from app.ui.inspection import Found, Inspection
from app.ui.memory_dialog import MemoryDialog
from app.ui.theme import Theme


class MemoryDesk(QObject):
    """Emits `context_chosen` with tokens, or None for as many as fit."""

    context_chosen = Signal(object)

    def __init__(self, engine: Program, theme: Theme, window: QWidget) -> None:
        super().__init__(window)
        self.engine = engine
        self._window = window
        self._theme = theme
        self.dialog: MemoryDialog | None = None
        self._own = 0
        self._context: int | None = None

    def open(self, settings: Settings, own: int, memory: int | None = None) -> None:
        """Show the plan for the settings' model; `own` bytes of the GPU are the loaded model's. `memory` imagines a
        GPU."""
        self.close()
        self._own, self._context = own, settings.context
        self.dialog = MemoryDialog(self._theme, self._window)
        inspection = Inspection(self.engine, self.dialog)
        inspection.found.connect(self._on_found)
        inspection.refused.connect(self.dialog.show_refusal)
        self.dialog.context_chosen.connect(self.context_chosen)
        self.dialog.finished.connect(inspection.stop)
        self.dialog.finished.connect(self._on_closed)
        inspection.ask(settings.model_dir(), settings.yarn, memory)
        self.dialog.open()

    def close(self) -> None:
        """Close what is open."""
        if self.dialog is not None:
            self.dialog.close()

    def apply_theme(self, theme: Theme) -> None:
        """Draw the next one in other colours."""
        self._theme = theme

    @Slot(object)
    def _on_found(self, found: Found) -> None:
        if self.dialog is not None:
            self.dialog.show_found(found, self._own, self._context)

    @Slot()
    def _on_closed(self) -> None:
        self.dialog = None

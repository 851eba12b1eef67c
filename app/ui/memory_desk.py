"""Opens the memory plan: asks the engine's program for figures, hands them to the dialog. Knows both, draws nothing."""

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from app.programs import Program
from app.settings import Settings
from app.ui.inspection import Found, Inspection
from app.ui.memory_dialog import MemoryDialog
from app.ui.theme import Theme

ON_PROCESSOR = (
    "“Processor only” is chosen, so the model lies in the computer's own memory and there is no plan for a GPU; choose "
    "another device to see one."
)
OF_ANOTHER = (
    "GPTQModel is chosen, which divides the GPU's memory in its own way, so there is no plan; choose Parley's own "
    "engine to see one."
)


class MemoryDesk(QObject):
    """Emits `chosen` with fields of the settings and their new values."""

    chosen = Signal(dict)

    def __init__(self, engine: Program, theme: Theme, window: QWidget) -> None:
        super().__init__(window)
        self.engine = engine
        self._window = window
        self._theme = theme
        self.dialog: MemoryDialog | None = None
        self._own = 0
        self._context: int | None = None
        self._kv_bits = 16

    def open(self, settings: Settings, own: int, memory: int | None = None) -> None:
        """Show the plan for the settings' model, or why these settings have none; `own` bytes of the GPU are the loaded
        model's. `memory` imagines a GPU."""
        self.close()
        self._own, self._context, self._kv_bits = own, settings.context, settings.kv_bits
        self.dialog = MemoryDialog(self._theme, self._window)
        self.dialog.chosen.connect(self.chosen)
        self.dialog.finished.connect(self._on_closed)
        if settings.device == "cpu" or settings.backend == "gptqmodel":
            self.dialog.show_refusal(ON_PROCESSOR if settings.device == "cpu" else OF_ANOTHER)
        else:
            self._ask(self.dialog, settings, memory)
        self.dialog.open()

    def _ask(self, dialog: MemoryDialog, settings: Settings, memory: int | None) -> None:
        """Have the dialog shown what the engine's program finds."""
        inspection = Inspection(self.engine, dialog)
        inspection.found.connect(self._on_found)
        inspection.refused.connect(dialog.show_refusal)
        dialog.finished.connect(inspection.stop)
        inspection.ask(settings.model_dir(), settings.yarn, memory)

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
            self.dialog.show_found(found, self._own, self._context, self._kv_bits)

    @Slot()
    def _on_closed(self) -> None:
        self.dialog = None

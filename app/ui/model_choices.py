"""Which model is loaded, and how: from a folder, the demo model, given back, started again, planned.

Knows the parts that ask for it and what the session does about it. Does not know which models there are (`model_desk`).
"""

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from app.programs import program
from app.ui.memory_desk import MemoryDesk
from app.ui.preferences import Preferences
from app.ui.session import CHOOSE_MODEL, RESTART, Session
from app.ui.shell import Shell
from app.ui.theme import Theme


class ModelChoices(QObject):
    """Connects menu, empty state and notices with the session, as far as they are about the loaded model."""

    def __init__(self, session: Session, shell: Shell, preferences: Preferences, theme: Theme, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._shell, self._preferences, self._window = session, shell, preferences, window
        self.memory = MemoryDesk(program("engine"), theme, window)
        self.memory.chosen.connect(preferences.take_over)
        preferences.memory_requested.connect(self.open_memory)
        menu = shell.header.menu
        menu.restart_requested.connect(session.start)
        menu.unload_requested.connect(session.unload)
        menu.memory_requested.connect(self.open_memory)
        for opener in (menu, shell.empty):
            opener.open_model_requested.connect(self.open_folder)
            opener.demo_requested.connect(self.choose_demo)
        shell.notice.action_requested.connect(self._on_action_requested)

    @Slot()
    def open_folder(self) -> None:
        """Ask for the folder of a model."""
        dialog = QFileDialog(self._window, "Choose the folder of a model", self._preferences.settings.model)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.choose)
        dialog.open()

    @Slot(str)
    def choose(self, folder: str) -> None:
        """Load the model in a folder, now and the next time."""
        self._preferences.change(model=folder)

    @Slot()
    def choose_demo(self) -> None:
        """Load the demo model."""
        self.choose("")

    @Slot()
    def open_memory(self) -> None:
        """Show the memory plan."""
        self.memory.open(self._preferences.settings, self._shell.status.own_bytes)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.memory.apply_theme(theme)

    @Slot(str)
    def _on_action_requested(self, action: str) -> None:
        if action == RESTART:
            self._session.start()
        elif action == CHOOSE_MODEL:
            self.open_folder()

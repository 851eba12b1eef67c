"""The menu behind the three dots: settings, keys, the model, files, about. Emits intents, changes nothing.

What can be chosen once and for all is in the settings; here is what one does.
"""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QWidget

from app.settings import Settings


class MoreMenu(QMenu):
    """Emits what was wanted."""

    settings_requested = Signal()
    keys_requested = Signal()
    open_model_requested = Signal()
    demo_requested = Signal()
    restart_requested = Signal()
    unload_requested = Signal()
    memory_requested = Signal()
    models_requested = Signal()
    connections_requested = Signal()
    about_requested = Signal()
    export_all_requested = Signal()
    import_requested = Signal()
    quit_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.settings = self.addAction("Settings…")
        self.settings.triggered.connect(self.settings_requested)
        self.keys = self.addAction("Keys…")
        self.keys.triggered.connect(self.keys_requested)
        self.addSeparator()
        self.addAction("Models…").triggered.connect(self.models_requested)
        self.addAction("Open model folder…").triggered.connect(self.open_model_requested)
        self.demo = self.addAction("Demo model")
        self.demo.setCheckable(True)
        self.demo.triggered.connect(self.demo_requested)
        self.addAction("Memory…").triggered.connect(self.memory_requested)
        self.addAction("Unload the model").triggered.connect(self.unload_requested)
        self.addAction("Restart engine").triggered.connect(self.restart_requested)
        self.addSeparator()
        self.addAction("Export all conversations…").triggered.connect(self.export_all_requested)
        self.addAction("Import conversations…").triggered.connect(self.import_requested)
        self.addSeparator()
        self.addAction("Connections…").triggered.connect(self.connections_requested)
        self.addAction("About Parley…").triggered.connect(self.about_requested)
        self.quit = self.addAction("Quit")
        self.quit.triggered.connect(self.quit_requested)

    def show_settings(self, settings: Settings) -> None:
        """Check what is chosen at the moment."""
        self.demo.setChecked(not settings.model)

"""The menu behind the three dots: model, device, engine, context, files, theme. Knows choices, changes none."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QWidget

from app.settings import Settings

Choices = tuple[tuple[object, str], ...]
DEVICES: Choices = (("auto", "The best there is"), ("cuda", "GPU"), ("cpu", "Processor only"))
BACKENDS: Choices = (("parley", "Parley"), ("gptqmodel", "GPTQModel (slower, for comparison)"))
CONTEXTS: Choices = (
    (None, "As large as fits"),
    (8_192, "8K tokens"),
    (32_768, "32K tokens"),
    (131_072, "128K tokens"),
    (262_144, "256K tokens"),
    (524_288, "512K tokens, with YaRN"),
    (1_010_000, "1M tokens, with YaRN"),
)
YARN: Choices = (
    (1, "Off"),
    (2, "To twice the context; may answer short texts worse"),
    (4, "To four times the context; may answer short texts worse"),
)
UNLOADING: Choices = ((0, "Never"), (10, "After 10 minutes"), (60, "After an hour"))
THEMES: Choices = (("system", "Like the system"), ("light", "Light"), ("dark", "Dark"))


class MoreMenu(QMenu):
    """Emits what was chosen: `setting_chosen` with the field of `Settings` and its new value."""

    open_model_requested = Signal()
    demo_requested = Signal()
    restart_requested = Signal()
    unload_requested = Signal()
    memory_requested = Signal()
    export_all_requested = Signal()
    import_requested = Signal()
    setting_chosen = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._groups: dict[str, QActionGroup] = {}
        self.addAction("Open model folder…").triggered.connect(self.open_model_requested)
        self.demo = self.addAction("Demo model")
        self.demo.setCheckable(True)
        self.demo.triggered.connect(self.demo_requested)
        self.addSeparator()
        self._choices("Device", "device", DEVICES)
        self._choices("Engine", "backend", BACKENDS)
        self._choices("Context", "context", CONTEXTS)
        self._choices("Stretch positions (YaRN)", "yarn", YARN)
        self.addAction("Memory…").triggered.connect(self.memory_requested)
        self.addAction("Unload the model").triggered.connect(self.unload_requested)
        self._choices("Unload when not used", "unload_after", UNLOADING)
        self.addAction("Restart engine").triggered.connect(self.restart_requested)
        self.addSeparator()
        self.addAction("Export all conversations…").triggered.connect(self.export_all_requested)
        self.addAction("Import conversations…").triggered.connect(self.import_requested)
        self.addSeparator()
        self._choices("Theme", "theme", THEMES)

    def show_settings(self, settings: Settings) -> None:
        """Check what is chosen at the moment."""
        self.demo.setChecked(not settings.model)
        for field, group in self._groups.items():
            for action in group.actions():
                action.setChecked(action.property("value") == getattr(settings, field))

    def _choices(self, title: str, field: str, choices: Choices) -> None:
        menu = self.addMenu(title)
        group = QActionGroup(menu)
        group.setProperty("field", field)
        for value, words in choices:
            action = menu.addAction(words)
            action.setCheckable(True)
            action.setProperty("value", value)
            group.addAction(action)
        group.triggered.connect(self._on_triggered)
        self._groups[field] = group

    @Slot(QAction)
    def _on_triggered(self, action: QAction) -> None:
        self.setting_chosen.emit(action.actionGroup().property("field"), action.property("value"))

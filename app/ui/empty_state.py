"""What is shown where no message is yet: what one can do, what is being loaded, or why nothing can be asked.

Knows how these look. Does not know the engine; is told the state and emits intents.
"""

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QFont, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from app.ui import figures
from app.ui import theme as look
from app.ui.icons import icon, pixmap
from app.ui.state import Answering, Dead, LoadingModel, NoModel, Ready, State
from app.ui.theme import Theme

DEMO_SUGGESTIONS = (("sum", "What is 37 + 48?"), ("table", "Write a short table"), ("story", "Tell me a long story"))
SUGGESTIONS = (
    ("sum", "What is the derivative of x² · sin x?"),
    ("table", "Compare tea and coffee in a table"),
    ("story", "Tell me a long story"),
)
ROW_GAP, SIDE_MARGIN = 10, 40


class EmptyState(QWidget):
    """Centred in the transcript's place."""

    suggestion_chosen = Signal(str)
    models_requested = Signal()
    open_model_requested = Signal()
    demo_requested = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._mark = QLabel()
        self._title = _centred(22, QFont.Weight.DemiBold)
        self.words = _centred(look.TEXT_SIZE)
        self.words.setObjectName("figures")
        self.words.setWordWrap(True)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedSize(280, 4)
        self.suggestions = [QPushButton() for _ in range(3)]
        row = QHBoxLayout()
        row.setSpacing(ROW_GAP)
        row.addStretch()
        for button in self.suggestions:
            button.setObjectName("suggestion")
            button.setIconSize(QSize(18, 18))
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.clicked.connect(self._on_suggestion_clicked)
            row.addWidget(button)
        row.addStretch()
        self._row = row
        self.models = QPushButton("Models…")
        self.models.setObjectName("primary")
        self.models.clicked.connect(self.models_requested)
        self.open_model = QPushButton("Open model folder…")
        self.open_model.setObjectName("small")
        self.open_model.clicked.connect(self.open_model_requested)
        self.demo = QPushButton("Use the demo model")
        self.demo.setObjectName("small")
        self.demo.clicked.connect(self.demo_requested)
        ways = QHBoxLayout()
        ways.addStretch()
        ways.addWidget(self.models)
        ways.addWidget(self.open_model)
        ways.addWidget(self.demo)
        ways.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SIDE_MARGIN, 0, SIDE_MARGIN, 0)
        layout.setSpacing(12)
        layout.addStretch(4)
        layout.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._title)
        layout.addWidget(self.words)
        layout.addWidget(self._bar, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(6)
        layout.addLayout(row)
        self._ways = ways
        layout.addLayout(ways)
        layout.addStretch(5)
        self.apply_theme(theme)

    def show_state(self, state: State, now: float) -> None:
        """Show what fits the state."""
        ready = isinstance(state, Ready | Answering)
        loading = isinstance(state, LoadingModel)
        absent = isinstance(state, NoModel)
        for button in self.suggestions:
            button.setVisible(ready)
        self.models.setVisible(absent)
        self.open_model.setVisible(absent)
        self.demo.setVisible(absent)
        self._bar.setVisible(loading)
        if isinstance(state, Ready | Answering):
            self._title.setText("Ask something, or show something")
            sees = "Drop a picture or a video anywhere in this window." if state.model.sees else ""
            self.words.setText(sees)
            self._suggest(DEMO_SUGGESTIONS if state.model.demo else SUGGESTIONS)
        elif isinstance(state, LoadingModel):
            self._title.setText(f"Loading the {state.name}" if state.name == "demo model" else f"Loading {state.name}")
            self.words.setText(loading_words(state, now) + "\nYou can write already; the message waits its turn.")
            self._bar.setRange(0, 1000)
            self._bar.setValue(1000 * state.done // state.total if state.total else 0)
        elif isinstance(state, NoModel):
            self._title.setText("No model is loaded")
            self.words.setText(state.reason or "Choose the folder of a model to begin.")
        elif isinstance(state, Dead):
            self._title.setText("The engine stopped")
            self.words.setText("Restart it to go on.")
        else:
            self._title.setText("Parley")
            self.words.setText("Starting…")

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Put the suggestions, and the ways to a model, below each other where they do not fit beside."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        wanted = sum(button.sizeHint().width() + ROW_GAP for button in self.suggestions)
        fits = wanted + 2 * SIDE_MARGIN <= self.width()
        self._row.setDirection(QHBoxLayout.Direction.LeftToRight if fits else QHBoxLayout.Direction.TopToBottom)
        ways = (self.models, self.open_model, self.demo)
        fit = sum(button.sizeHint().width() + ROW_GAP for button in ways) + 2 * SIDE_MARGIN <= self.width()
        self._ways.setDirection(QHBoxLayout.Direction.LeftToRight if fit else QHBoxLayout.Direction.TopToBottom)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self._mark.setPixmap(pixmap("parley", theme.text, 48, max(2.0, self.devicePixelRatioF())))
        for button in self.suggestions:
            name = button.property("icon_name")
            if name:
                button.setIcon(icon(name, theme.accent))

    def _suggest(self, suggestions: tuple[tuple[str, str], ...]) -> None:
        for button, (name, words) in zip(self.suggestions, suggestions, strict=True):
            button.setText(words)
            button.setProperty("icon_name", name)
            button.setIcon(icon(name, self._theme.accent))
        self._arrange()

    @Slot()
    def _on_suggestion_clicked(self) -> None:
        button = self.sender()
        if isinstance(button, QPushButton):
            self.suggestion_chosen.emit(button.text())


def loading_words(state: LoadingModel, now: float) -> str:
    """How far the loading is: bytes and seconds."""
    spent = figures.whole_seconds(now - state.since)
    if state.total:
        return f"{figures.size(state.done)} of {figures.size(state.total)} · {spent}"
    return f"{state.stage or 'Starting the engine'} · {spent}"


def _centred(size: float, weight: QFont.Weight = QFont.Weight.Normal) -> QLabel:
    label = QLabel()
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setFont(look.text_font(size, weight))
    return label

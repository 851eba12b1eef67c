"""One answer in the transcript: its text, what is going on while it is made, and one quiet line under it.

Knows one `Answer` as it is at the moment. Does not know the engine; emits intents with the answer's key.
"""

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.chat.conversation import Answer
from app.ui import figures
from app.ui import theme as look
from app.ui.flow_layout import FlowLayout
from app.ui.icon_button import IconButton
from app.ui.markdown_view import MarkdownView
from app.ui.theme import Theme

COPIED_MS = 1500
ENDINGS = {
    "interrupted": "Interrupted here. What was written is kept; “Again” asks once more.",
    "stopped": "Stopped.",
    "length": "The answer reached its longest length.",
    "context": "The context is full: start a new conversation, or ask again with less before it.",
}


class AnswerView(QWidget):
    """Shows an answer and is told when it changed."""

    again_requested = Signal(str)
    version_requested = Signal(str, int)
    thinking_requested = Signal(str)
    link_activated = Signal(str)

    def __init__(self, answer: Answer, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._answer = answer
        self.text = MarkdownView(theme)
        self.text.link_activated.connect(self.link_activated)
        self.progress = QLabel()
        self.progress.setObjectName("figures")
        self.progress.setFont(look.figure_font(look.QUIET_SIZE))
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.setMaximumWidth(320)
        self.ending = QLabel()
        self.ending.setObjectName("ending")
        self.ending.setWordWrap(True)
        self.ending.setTextFormat(Qt.TextFormat.PlainText)
        self.foot = _Foot(theme)
        self.foot.copied.connect(self._on_copied)
        self.foot.again.clicked.connect(self._on_again_clicked)
        self.foot.thought.clicked.connect(self._on_thought_clicked)
        self.foot.older.clicked.connect(self._on_older_clicked)
        self.foot.newer.clicked.connect(self._on_newer_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for part in (self.text, self.progress, self.bar, self.ending):
            layout.addWidget(part)
        layout.addWidget(self.foot)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

    def refresh(self, now: float, position: tuple[int, int], waits_for: str) -> None:
        """Show the answer as it is: `position` is which version of how many, `waits_for` why it has not begun."""
        answer = self._answer
        self.text.setVisible(bool(answer.text))
        self.text.set_text(answer.text, answer.over)
        progress = _progress(answer, now, waits_for)
        self.progress.setText(progress)
        self.progress.setVisible(bool(progress))
        reading = answer.stage == "reading" and answer.to_read > 0
        self.bar.setVisible(reading)
        if reading:
            self.bar.setRange(0, answer.to_read)
            self.bar.setValue(answer.read)
        ending = answer.failure or ENDINGS.get(answer.ending or "", "")
        if answer.over and not answer.text and not ending:
            ending = "The answer is empty. “Again” asks once more."
        self.ending.setText(ending)
        self.ending.setVisible(bool(ending))
        self.ending.setProperty("quiet", answer.ending == "stopped")
        self.ending.style().unpolish(self.ending)
        self.ending.style().polish(self.ending)
        self.foot.setVisible(answer.over)
        if answer.over:
            self.foot.refresh(answer, now, position)
        self.setAccessibleName(f"Answer: {answer.text[:200]}")

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.text.apply_theme(theme)
        self.foot.apply_theme(theme)

    @Slot()
    def _on_copied(self) -> None:
        QGuiApplication.clipboard().setText(self._answer.text)

    @Slot()
    def _on_again_clicked(self) -> None:
        self.again_requested.emit(self._answer.key)

    @Slot()
    def _on_thought_clicked(self) -> None:
        self.thinking_requested.emit(self._answer.key)

    @Slot()
    def _on_older_clicked(self) -> None:
        self.version_requested.emit(self._answer.key, -1)

    @Slot()
    def _on_newer_clicked(self) -> None:
        self.version_requested.emit(self._answer.key, 1)


class _Foot(QWidget):
    """The quiet line: versions, thinking, copy, again, and the figures of how it was made."""

    copied = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.older = IconButton("left", "The version before", theme)
        self.newer = IconButton("right", "The next version", theme)
        for step in (self.older, self.newer):
            step.setIconSize(QSize(13, 13))
        self.version = _figure()
        self.thought = _quiet_button("", "Show the thinking of this answer")
        self.copy = _quiet_button("Copy", "Copy the answer")
        self.again = _quiet_button("Again", "Answer once more")
        self.figures = _figure()
        self._over = QTimer(self)
        self._over.setSingleShot(True)
        self._over.setInterval(COPIED_MS)
        self._over.timeout.connect(self._on_copied_over)
        self.copy.clicked.connect(self._on_copy_clicked)
        layout = FlowLayout(14, self)
        for part in (self.older, self.version, self.newer, self.thought, self.copy, self.again, self.figures):
            layout.addWidget(part)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

    def refresh(self, answer: Answer, now: float, position: tuple[int, int]) -> None:
        at, count = position
        for part in (self.older, self.version, self.newer):
            part.setVisible(count > 1)
        self.version.setText(f"{at}/{count}")
        self.older.setEnabled(at > 1)
        self.newer.setEnabled(at < count)
        self.thought.setVisible(bool(answer.thinking))
        self.thought.setText(thought_words(answer, now))
        self.copy.setVisible(bool(answer.text))
        self.figures.setText(_made(answer))

    def apply_theme(self, theme: Theme) -> None:
        self.older.apply_theme(theme)
        self.newer.apply_theme(theme)

    @Slot()
    def _on_copy_clicked(self) -> None:
        self.copy.setText("Copied")
        self._over.start()
        self.copied.emit()

    @Slot()
    def _on_copied_over(self) -> None:
        self.copy.setText("Copy")


def thought_words(answer: Answer, now: float) -> str:
    """How long it thought, in time and tokens."""
    seconds = answer.thought_for(now)
    spent = "under 1 s" if seconds < 1 else figures.whole_seconds(seconds)
    return f"Thought for {spent} · {figures.tokens(answer.thinking_tokens)} tokens"


def _progress(answer: Answer, now: float, waits_for: str) -> str:
    match answer.stage:
        case "waiting":
            return waits_for
        case "reading":
            return _reading(answer, now)
        case "thinking":
            spent = figures.whole_seconds(answer.thought_for(now))
            return f"Thinking · {spent} · {figures.tokens(answer.thinking_tokens)} tokens"
        case "answering" | "over":
            return ""


def _reading(answer: Answer, now: float) -> str:
    if not answer.to_read:
        return "Reading the conversation…"
    words = f"Reading {figures.tokens(answer.read)} of {figures.tokens(answer.to_read)} tokens"
    fresh, spent = answer.read - answer.reused, now - answer.asked_at
    if fresh > 0 and spent > 1 and answer.read < answer.to_read:
        left = (answer.to_read - answer.read) * spent / fresh
        words += f" · {figures.whole_seconds(max(1.0, left))} left"
    return words


def _made(answer: Answer) -> str:
    if answer.usage is None or answer.timings is None:
        return ""
    words = []
    if answer.timings.decode_tok_s > 0:
        words.append(f"{answer.timings.decode_tok_s:.0f} tok/s")
    words.append(f"first token {figures.seconds(answer.timings.first_token_s)}")
    if answer.usage.reused:
        words.append(f"{figures.tokens(answer.usage.reused)} of {figures.tokens(answer.usage.prompt)} reused")
    return "   ".join(words)


def _quiet_button(words: str, label: str) -> QPushButton:
    button = QPushButton(words)
    button.setObjectName("quiet")
    button.setToolTip(label)
    button.setFlat(True)
    button.setFont(look.figure_font())
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    return button


def _figure() -> QLabel:
    label = QLabel()
    label.setObjectName("footFigures")
    label.setFont(look.figure_font())
    return label

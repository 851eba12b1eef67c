"""One answer in the transcript: its text, what is going on while it is made, and one quiet line under it.

Knows one `Answer` as it is at the moment. Does not know the engine; emits intents with the answer's key.
"""

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QMenu, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from app.chat.conversation import Answer
from app.ui import figures
from app.ui import theme as look
from app.ui.flow_layout import FlowLayout
from app.ui.keys import told
from app.ui.markdown_view import MarkdownView
from app.ui.message_editor import MessageEditor
from app.ui.plain_words import plain_words
from app.ui.quiet import Versions, quiet_button, quiet_figure
from app.ui.theme import Theme
from app.ui.visible_text import in_prose

COPIED_MS = 1500
ENDINGS = {
    "interrupted": "Interrupted here. What was written is kept; “Again” asks once more.",
    "interrupted, can go on": "Interrupted here. What was written is kept; “Continue” goes on, “Again” asks once more.",
    "edited": "Written by you.",
    "stopped": "Stopped.",
    "length": "The answer reached its longest length.",
    "context": "The context is full.",
    "context, can go on": "The context is full. What was written is kept; “Continue” goes on once there is room.",
}


class AnswerView(QWidget):
    """Shows an answer and is told when it changed."""

    again_requested = Signal(str)
    continue_requested = Signal(str)
    edited = Signal(str, str)
    branch_requested = Signal(str)
    delete_requested = Signal(str)
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
        self._editor: MessageEditor | None = None
        foot = self.foot
        foot.copied.connect(self._on_copied)
        foot.plain_copied.connect(self._on_plain_copied)
        foot.versions.stepped.connect(self._on_stepped)
        for button, slot in (
            (foot.again, self._on_again_clicked),
            (foot.go_on, self._on_go_on_clicked),
            (foot.edit, self._on_edit_clicked),
            (foot.branch, self._on_branch_clicked),
            (foot.thought, self._on_thought_clicked),
        ):
            button.clicked.connect(slot)
        foot.deleted.connect(self._on_deleted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        self._layout = layout
        for part in (self.text, self.progress, self.bar, self.ending):
            layout.addWidget(part)
        layout.addWidget(self.foot)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

    def refresh(self, now: float, position: tuple[int, int], waits_for: str, *, last: bool) -> None:
        """Show the answer as it is: `position` is which version of how many, `waits_for` why it has not begun, `last`
        whether nothing follows it, so that it could go on."""
        answer = self._answer
        self.text.setVisible(bool(answer.text) and self._editor is None)
        self.text.set_text(answer.text, answer.over)
        progress = _progress(answer, now, waits_for)
        self.progress.setText(progress)
        self.progress.setVisible(bool(progress))
        reading = answer.stage == "reading" and answer.to_read > 0
        self.bar.setVisible(reading)
        if reading:
            self.bar.setRange(0, answer.to_read)
            self.bar.setValue(answer.read)
        goes_on = last and answer.can_go_on
        how = f"{answer.ending}, can go on" if goes_on else ""
        how = how if how in ENDINGS else answer.ending or ""
        ending = answer.failure or ENDINGS.get(how, "")
        if answer.over and not answer.text and not ending:
            ending = "The answer is empty. “Again” asks once more."
        self.ending.setText(ending)
        self.ending.setVisible(bool(ending))
        quiet = answer.ending in ("stopped", "edited")
        if quiet != self.ending.property("quiet"):
            self.ending.setProperty("quiet", quiet)
            self.ending.style().unpolish(self.ending)
            self.ending.style().polish(self.ending)
        self.foot.setVisible(answer.over and self._editor is None)
        if answer.over:
            self.foot.refresh(answer, now, position, goes_on=goes_on)
        name = f"Answer: {answer.text[:200]}"
        if name != self.accessibleName():
            self.setAccessibleName(name)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.text.apply_theme(theme)
        self.foot.apply_theme(theme)

    @Slot()
    def _on_copied(self) -> None:
        QGuiApplication.clipboard().setText(in_prose(self._answer.text))

    @Slot()
    def _on_again_clicked(self) -> None:
        self.again_requested.emit(self._answer.key)

    @Slot()
    def _on_thought_clicked(self) -> None:
        self.thinking_requested.emit(self._answer.key)

    @Slot()
    def _on_go_on_clicked(self) -> None:
        self.continue_requested.emit(self._answer.key)

    @Slot()
    def _on_branch_clicked(self) -> None:
        self.branch_requested.emit(self._answer.key)

    @Slot()
    def _on_deleted(self) -> None:
        self.delete_requested.emit(self._answer.key)

    @Slot()
    def _on_plain_copied(self) -> None:
        QGuiApplication.clipboard().setText(plain_words(self._answer.text))

    @Slot(int)
    def _on_stepped(self, step: int) -> None:
        self.version_requested.emit(self._answer.key, step)

    @property
    def editing(self) -> bool:
        """Whether the person writes another version of it."""
        return self._editor is not None

    @Slot()
    def _on_edit_clicked(self) -> None:
        if self._editor is None:
            self._editor = MessageEditor(self._answer.text, "Save", "The version before stays.")
            self._editor.saved.connect(self._on_saved)
            self._editor.cancelled.connect(self._end_edit)
            self._layout.insertWidget(0, self._editor)
            self.text.hide()
            self.foot.hide()
            self._editor.edit.setFocus()

    @Slot(str)
    def _on_saved(self, text: str) -> None:
        self._end_edit()
        self.edited.emit(self._answer.key, text)

    @Slot()
    def _end_edit(self) -> None:
        editor, self._editor = self._editor, None
        if editor is not None:
            self._layout.removeWidget(editor)
            editor.hide()
            editor.deleteLater()
        self.text.setVisible(bool(self._answer.text))
        self.foot.show()


class _Foot(QWidget):
    """The quiet line: versions, thinking, copy, again, and the figures of how it was made."""

    copied = Signal()
    plain_copied = Signal()
    deleted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.versions = Versions(theme)
        self.thought = quiet_button("", "Show the thinking of this answer")
        self.copy = quiet_button("Copy", "Copy the answer as Markdown")
        self.go_on = told(quiet_button("Continue", ""), "Go on writing where it ends", "continue")
        self.again = told(quiet_button("Again", ""), "Answer once more", "again")
        self.edit = quiet_button("Edit", "Write another version of this answer yourself")
        self.branch = quiet_button("Branch", "Go on from here in a new conversation")
        self.more = quiet_button("More", "Copy as plain text, delete")
        self.menu = QMenu(self.more)
        self.menu.addAction("Copy as plain text").triggered.connect(self.plain_copied)
        self.menu.addSeparator()
        self.menu.addAction("Delete question and answer").triggered.connect(self.deleted)
        self.more.setMenu(self.menu)
        self.figures = quiet_figure()
        self._over = QTimer(self)
        self._over.setSingleShot(True)
        self._over.setInterval(COPIED_MS)
        self._over.timeout.connect(self._on_copied_over)
        self.copy.clicked.connect(self._on_copy_clicked)
        layout = FlowLayout(14, self, row_gap=0)
        buttons = (self.thought, self.copy, self.go_on, self.again, self.edit, self.branch, self.more)
        for part in (self.versions, *buttons, self.figures):
            layout.addWidget(part)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

    def refresh(self, answer: Answer, now: float, position: tuple[int, int], *, goes_on: bool) -> None:
        self.versions.show_position(position)
        self.thought.setVisible(bool(answer.thinking))
        self.thought.setText(thought_words(answer, now))
        self.copy.setVisible(bool(answer.text))
        self.edit.setVisible(bool(answer.text))
        self.branch.setVisible(bool(answer.text))
        self.go_on.setVisible(goes_on)
        self.figures.setText(_made(answer))

    def apply_theme(self, theme: Theme) -> None:
        self.versions.apply_theme(theme)

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

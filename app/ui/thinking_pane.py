"""What the model thinks, beside the answer or as one line above it that unfolds.

Knows one `Answer` as it is at the moment. Does not know which form the window has room for.
"""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.chat.conversation import Answer
from app.ui import figures
from app.ui import theme as look
from app.ui.icon_button import IconButton
from app.ui.markdown_view import MarkdownView
from app.ui.sticky_scroll import StickyScroll
from app.ui.theme import Theme

UNFOLDED_HEIGHT = 220
ANSWER_NOW, ANSWERS_SOON = "Answer now", "Finishing the sentence…"


class ThinkingText(StickyScroll):
    """The thinking itself."""

    link_activated = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._key = ""
        self.setAccessibleName("Thinking")
        self._column = self.column_layout()
        self._column.setContentsMargins(18, 4, 18, 12)
        self.view = MarkdownView(theme, quiet=True)
        self.view.link_activated.connect(self.link_activated)
        self._column.addWidget(self.view)
        self._column.addStretch(1)

    def show_answer(self, answer: Answer) -> None:
        """Show an answer's thinking as far as it is known."""
        if answer.key != self._key:
            self._key = answer.key
            self.to_end()
        self.view.set_text(answer.thinking, answer.thinking_until is not None or answer.over)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.view.apply_theme(theme)


class ThinkingPane(QFrame):
    """The form beside the answer."""

    fold_requested = Signal()
    answer_now_requested = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("thinkingPane")
        self.title = _title()
        self.figures = _figures()
        head = QHBoxLayout()
        head.setContentsMargins(18, 14, 18, 0)
        head.addWidget(self.title)
        head.addStretch()
        head.addWidget(self.figures)
        self.text = ThinkingText(theme)
        self.now = _small_button(ANSWER_NOW, "Stop thinking and begin with the answer")
        self.now.clicked.connect(self.answer_now_requested)
        self.fold = _small_button("Fold", "Fold the thinking to one line")
        self.fold.clicked.connect(self.fold_requested)
        foot = QHBoxLayout()
        foot.setContentsMargins(18, 2, 18, 14)
        foot.setSpacing(8)
        foot.addWidget(self.now)
        foot.addWidget(self.fold)
        foot.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(head)
        layout.addWidget(self.text, 1)
        layout.addLayout(foot)

    def show_answer(self, answer: Answer, now: float) -> None:
        """Show an answer's thinking and what it took."""
        self.title.setText(_title_words(answer))
        self.figures.setText(_figure_words(answer, now))
        _show_now(self.now, answer)
        self.text.show_answer(answer)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.text.apply_theme(theme)


class ThinkingLine(QFrame):
    """The form above the transcript: one line that unfolds, or asks for the pane where there is room for it.

    Where it unfolds in place it does so by itself while the model thinks, and folds when the answer begins, unless the
    person has unfolded or folded it meanwhile: `fold_chosen` tells that for the answers to come.
    """

    unfold_requested = Signal()
    answer_now_requested = Signal()
    fold_chosen = Signal(bool)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("thinkingLine")
        self._theme = theme
        self._unfolds_here = True
        self._touched = False
        self._answer = Answer("", "", wants_thinking=True)
        self.title = _title()
        self.figures = _figures()
        self.now = _small_button(ANSWER_NOW, "Stop thinking and begin with the answer")
        self.now.clicked.connect(self.answer_now_requested)
        self.now.hide()
        self.chevron = IconButton("down", "Unfold the thinking", theme)
        self.chevron.clicked.connect(self._on_chevron_clicked)
        self.text = ThinkingText(theme)
        self.text.setFixedHeight(UNFOLDED_HEIGHT)
        self.text.hide()
        head = QHBoxLayout()
        head.setContentsMargins(22, 5, 14, 5)
        head.setSpacing(6)
        head.addWidget(self.title)
        head.addStretch()
        head.addWidget(self.figures)
        head.addSpacing(6)
        head.addWidget(self.now)
        head.addWidget(self.chevron)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self.text)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_unfolds_here(self, here: bool) -> None:
        """Whether it unfolds in place, or asks for the pane beside."""
        self._unfolds_here = here
        if not here:
            self._unfold(False)

    def unfold(self) -> None:
        """Show the thinking below the line, because the person wants to see it."""
        self._touched = True
        self._unfold(True)

    def show_answer(self, answer: Answer, now: float, *, live: bool) -> None:
        """Show an answer's thinking and what it took; `live`: unfolded while it grows."""
        self.title.setText(_title_words(answer))
        self.figures.setText(_figure_words(answer, now))
        _show_now(self.now, answer)
        self._touched = self._touched and answer.key == self._answer.key
        self._answer = answer
        unfolded = live and answer.stage == "thinking"
        if self._unfolds_here and not self._touched and unfolded is self.text.isHidden():
            self._unfold(unfolded)
        elif not self.text.isHidden():
            self.text.show_answer(answer)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.chevron.apply_theme(theme)
        self.text.apply_theme(theme)

    def mousePressEvent(self, _event: object) -> None:  # noqa: N802
        """The whole line is a button."""
        self._on_chevron_clicked()

    @Slot()
    def _on_chevron_clicked(self) -> None:
        if self._unfolds_here:
            self._touched = True
            self._unfold(self.text.isHidden())
            if self._answer.stage == "thinking":
                self.fold_chosen.emit(self.text.isHidden())
        else:
            self.unfold_requested.emit()

    def _unfold(self, unfold: bool) -> None:
        self.text.setVisible(unfold)
        self.chevron.rename("up" if unfold else "down", "Fold the thinking" if unfold else "Unfold the thinking")
        self.chevron.apply_theme(self._theme)
        if unfold:
            self.text.show_answer(self._answer)


def _title_words(answer: Answer) -> str:
    return "Thinking" if answer.stage in ("waiting", "reading", "thinking") else "Thought"


def _figure_words(answer: Answer, now: float) -> str:
    if not answer.thinking:
        return ""
    seconds = answer.thought_for(now)
    spent = "under 1 s" if seconds < 1 else figures.whole_seconds(seconds)
    lead = "" if answer.stage == "thinking" or seconds < 1 else "for "
    limited = answer.stage == "thinking" and answer.thinking_budget
    limit = f" of {figures.tokens(answer.thinking_budget)}" if limited else ""
    return f"{lead}{spent} · {figures.tokens(answer.thinking_tokens)}{limit} tokens"


def _show_now(button: QPushButton, answer: Answer) -> None:
    """It is pressed once; then the sentence that is being thought comes to its end."""
    button.setVisible(answer.stage == "thinking")
    button.setEnabled(not answer.hurried)
    button.setText(ANSWERS_SOON if answer.hurried else ANSWER_NOW)


def _title() -> QLabel:
    label = QLabel("Thinking")
    label.setObjectName("paneTitle")
    return label


def _figures() -> QLabel:
    label = QLabel()
    label.setObjectName("figures")
    label.setFont(look.figure_font(look.QUIET_SIZE))
    return label


def _small_button(words: str, label: str) -> QPushButton:
    button = QPushButton(words)
    button.setObjectName("small")
    button.setToolTip(label)
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    return button

"""Where the person writes: text that grows, chips, attach, thinking on or off, the draft's tokens, Send or Stop.

Knows keys and its own widgets; emits intents. Does not know the engine or the conversation.
"""

from PySide6.QtCore import QMimeData, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from app.ui import figures
from app.ui import theme as look
from app.ui.budget_chip import BudgetChip
from app.ui.chips import Chips
from app.ui.draft import DraftItem
from app.ui.elided import ElidedLabel
from app.ui.icon_button import IconButton
from app.ui.icons import icon
from app.ui.incoming import acceptable, brings_files
from app.ui.keys import told
from app.ui.theme import Theme
from app.ui.toggle import Toggle

TALLEST = 220
COUNT_FROM = 480
"""Pixels of width from which on the tokens of the draft are said."""
LONGEST = 1_000_000
"""Characters of a draft: about what the largest context holds, and what a text field stays quick with."""
LONGEST_LINE, LONGEST_WORD = 100_000, 20_000
"""Characters without a line break, and without any break: Qt needs about 50 ms for each key in a line that long."""
PLACEHOLDER = "Write a message, or drop a picture or a video…"


class DraftEdit(QPlainTextEdit):
    """The text field: Enter sends, Shift+Enter begins a line, pictures that are pasted are passed on."""

    submitted = Signal()
    media_pasted = Signal(QMimeData)
    refused = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("draft")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFont(look.text_font())
        self.setPlaceholderText(PLACEHOLDER)
        self.setAccessibleName("Message")
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)  # the window takes drops, wherever they fall
        self.document().setDocumentMargin(2)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().documentLayout().documentSizeChanged.connect(self.fit)
        self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter sends unless Shift is held."""
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.submitted.emit()
        else:
            super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:  # noqa: N802
        """Text, and what can be attached."""
        return acceptable(source) or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:  # noqa: N802
        """Insert text; pass on everything else."""
        words = source.text()
        if acceptable(source) and not (source.hasFormat("text/plain") and not brings_files(source)):
            self.media_pasted.emit(source)
        elif len(words) + self.document().characterCount() > LONGEST:
            self.refused.emit(
                f"That is {figures.size(len(words.encode(errors='replace')))} of text, more than a message holds "
                f"({LONGEST:,} characters): paste the part that matters. The draft is as it was."
            )
        elif _unwieldy(words, self.textCursor().block().length()):
            self.refused.emit(
                f"That is {len(words):,} characters with hardly a break in them, more than the window can wrap: "
                "break it into lines, or paste the part that matters. The draft is as it was."
            )
        else:
            self.insertPlainText(words)
            self.ensureCursorVisible()

    @Slot()
    def fit(self) -> None:
        """Grow with the text up to a limit."""
        lines = max(1, round(self.document().size().height()))
        height = min(TALLEST, lines * self.fontMetrics().lineSpacing() + 10)
        self.setVerticalScrollBarPolicy(
            Qt.ScrollBarPolicy.ScrollBarAsNeeded if height >= TALLEST else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        )
        self.setFixedHeight(height)


def _unwieldy(text: str, beside: int) -> bool:
    """Whether text has a line or a word too long to be laid out at once; `beside` is what its first line stands in."""
    if len(text) + beside <= LONGEST_WORD:
        return False
    if max(map(len, text.splitlines()), default=0) + beside > LONGEST_LINE:
        return True
    return max(map(len, text.split()), default=0) > LONGEST_WORD


class Composer(QFrame):
    """The card at the window's foot."""

    submitted = Signal()
    stop_requested = Signal()
    attach_requested = Signal()
    thinking_toggled = Signal(bool)
    text_changed = Signal(str)
    media_pasted = Signal(QMimeData)
    attachment_removed = Signal(str)
    refused = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("composer")
        self._theme = theme
        self._busy = False
        self.chips = Chips(theme)
        self.edit = DraftEdit()
        self.attach = IconButton("attach", "Attach pictures or videos", theme, "Attach")
        told(self.attach, "Attach pictures or videos", "attach")
        self.thinking = Toggle("Thinking", theme)
        self.budget = BudgetChip(self)
        self.count = ElidedLabel()  # the first to give way
        self.count.setObjectName("figures")
        self.count.setFont(look.figure_font(look.QUIET_SIZE))
        self.send = QPushButton("Send")
        self.send.setObjectName("send")
        self.send.setIconSize(QSize(16, 16))
        self.send.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the arrow stands after the word
        self.send.setCursor(Qt.CursorShape.PointingHandCursor)
        self._arrange()
        self._connect()
        self._show_busy()

    def _arrange(self) -> None:
        foot = QHBoxLayout()
        foot.setSpacing(12)
        foot.addWidget(self.attach)
        foot.addWidget(self.thinking)
        foot.addWidget(self.budget)
        foot.addStretch()
        foot.addWidget(self.count)
        foot.addWidget(self.send)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 12, 11)
        layout.setSpacing(9)
        layout.addWidget(self.chips)
        layout.addWidget(self.edit)
        layout.addLayout(foot)

    def _connect(self) -> None:
        self.chips.removed.connect(self.attachment_removed)
        self.edit.submitted.connect(self.submitted)
        self.edit.media_pasted.connect(self.media_pasted)
        self.edit.refused.connect(self.refused)
        self.edit.textChanged.connect(self._on_text_changed)
        self.attach.clicked.connect(self.attach_requested)
        self.thinking.toggled.connect(self.thinking_toggled)
        self.send.clicked.connect(self._on_send_clicked)

    def set_text(self, text: str) -> None:
        """Replace the text."""
        if text != self.edit.toPlainText():
            self.edit.setPlainText(text)
            self.edit.moveCursor(self.edit.textCursor().MoveOperation.End)

    def insert(self, text: str) -> None:
        """Put text where the cursor is, as if it was pasted."""
        pasted = QMimeData()
        pasted.setText(text)
        self.edit.insertFromMimeData(pasted)

    def set_items(self, items: tuple[DraftItem, ...]) -> None:
        """Show what is attached."""
        self.chips.set_items(items)

    def set_tokens(self, tokens: int | None) -> None:
        """Show how large the draft is; None while it is empty or unknown."""
        self.count.setText("" if not tokens else f"{figures.tokens(tokens)} tokens in this draft")

    def set_busy(self, busy: bool) -> None:
        """Offer Stop while the shown conversation is being answered, else Send."""
        if busy != self._busy:
            self._busy = busy
            self._show_busy()

    def _show_busy(self) -> None:
        busy = self._busy
        theme = self._theme
        self.send.setText("Stop" if busy else "Send")
        self.send.setProperty("busy", busy)
        self.send.setIcon(icon("stop" if busy else "send", theme.text if busy else theme.on_accent, 16))
        if busy:
            told(self.send, "Stop the answer", "stop")
        else:
            self.send.setProperty("command", None)
            self.send.setToolTip("Send (Enter); Shift+Enter begins a new line")
        self.send.setAccessibleName("Stop" if busy else "Send")
        self.send.style().unpolish(self.send)
        self.send.style().polish(self.send)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Leave out figures where there is little room."""
        super().resizeEvent(event)
        self.count.setVisible(look.room(self.width()) >= COUNT_FROM)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        for part in (self.chips, self.attach, self.thinking):
            part.apply_theme(theme)
        self._show_busy()

    @Slot()
    def _on_text_changed(self) -> None:
        self.text_changed.emit(self.edit.toPlainText())

    @Slot()
    def _on_send_clicked(self) -> None:
        if self._busy:
            self.stop_requested.emit()
        else:
            self.submitted.emit()

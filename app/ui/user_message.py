"""The person's own message: a soft bubble on the right, its media above the text, and a quiet line below.

Knows one `Question`. Emits intents with its key.
"""

from math import ceil

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.chat.conversation import Memory, Question
from app.ui import theme as look
from app.ui.chips import describe
from app.ui.elided import ElidedLabel
from app.ui.memory_mark import MemoryMark
from app.ui.message_editor import MessageEditor
from app.ui.previews import PreviewStrip
from app.ui.prose import Prose
from app.ui.quiet import Versions, quiet_button
from app.ui.theme import Theme

WIDEST = 560
COPIED_MS = 1500
MOST_SHOWN = 12_000
"""Characters that are drawn; a longer message is sent in full and shown up to here."""
PICTURE = QSize(160, 108)


class UserMessage(QWidget):
    """One question in the transcript."""

    version_requested = Signal(str, int)
    branch_requested = Signal(str)
    edited = Signal(str, str)
    remember_requested = Signal(str)

    def __init__(self, question: Question, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._question = question
        self._theme = theme
        self._attached = question.attached
        self._memory: Memory | None = None
        self._mark: MemoryMark | None = None
        self._editor: MessageEditor | None = None
        self.versions = Versions(theme)
        self.versions.stepped.connect(self._on_stepped)
        self.copy = quiet_button("Copy", "Copy the message")
        self.copy.clicked.connect(self._on_copy_clicked)
        self.edit = quiet_button("Edit", "Write another version and have it answered")
        self.edit.clicked.connect(self._on_edit_clicked)
        self._over = QTimer(self)
        self._over.setSingleShot(True)
        self._over.setInterval(COPIED_MS)
        self._over.timeout.connect(self._on_copied_over)
        self._row = QHBoxLayout()
        self._row.addStretch(1)
        self._foot = QWidget()
        foot = QHBoxLayout(self._foot)
        foot.setContentsMargins(0, 0, 4, 0)
        foot.setSpacing(14)
        foot.addStretch(1)
        for part in (self.versions, self.copy, self.edit):
            foot.addWidget(part)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(3)
        self._layout.addLayout(self._row)
        self._layout.addWidget(self._foot)
        self._text: Prose | None = None
        self._bubble = self._drawn()
        self._row.addWidget(self._bubble)
        self.setAccessibleName(f"You: {question.text[:200]}")

    @property
    def editing(self) -> bool:
        """Whether the person writes another version of it."""
        return self._editor is not None

    def refresh(self, position: tuple[int, int]) -> None:
        """Show which version it is, and its files anew if they were decoded again."""
        self.versions.show_position(position)
        self._show_memory(self._question.memory)
        if self._question.attached is not self._attached:
            self._attached = self._question.attached
            self.apply_theme(self._theme)

    def _show_memory(self, memory: Memory | None) -> None:
        """Show whether the remembered part of the conversation begins here."""
        if memory == self._memory:
            return
        self._memory = memory
        if self._mark is not None:
            self._layout.removeWidget(self._mark)
            self._mark.hide()
            self._mark.deleteLater()
        self._mark = MemoryMark(memory, self._theme) if memory is not None else None
        if self._mark is not None:
            self._mark.undo_requested.connect(self._on_undo_requested)
            self._layout.insertWidget(0, self._mark)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self._memory, memory = None, self._memory
        self._show_memory(memory)
        self.versions.apply_theme(theme)
        self._row.removeWidget(self._bubble)
        self._bubble.hide()
        self._bubble.deleteLater()
        self._bubble = self._drawn()
        self._row.addWidget(self._bubble)
        self._bubble.setVisible(self._editor is None)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the text as much room as it wants and there is."""
        super().resizeEvent(event)
        self._fit()

    def _drawn(self) -> QFrame:
        bubble = QFrame()
        bubble.setObjectName("bubble")
        layout = QVBoxLayout(bubble)
        layout.setContentsMargins(15, 11, 15, 11)
        layout.setSpacing(8)
        for attached in self._question.attached:
            video = attached.media.kind == "video"
            frame = QSize(62, 38) if video else PICTURE
            # Aligned, or the narrowest part of the bubble would limit all of it.
            strip = PreviewStrip(attached.previews, attached.media.kind, self._theme, frame)
            layout.addWidget(strip, 0, Qt.AlignmentFlag.AlignLeft)
            details = ElidedLabel(f"{attached.media.name} · {describe(attached)}")
            details.setObjectName("figures")
            details.setFont(look.figure_font())
            layout.addWidget(details)
        self._text = None
        text = self._question.text
        if text:
            self._text = Prose(self._theme)
            self._text.add_plain(text[:MOST_SHOWN])
            layout.addWidget(self._text, 0, Qt.AlignmentFlag.AlignLeft)
        if len(text) > MOST_SHOWN:
            more = QLabel(f"… and {len(text) - MOST_SHOWN:,} more characters, which were sent too")
            more.setObjectName("figures")
            more.setFont(look.figure_font())
            layout.addWidget(more)
        bubble.setMaximumWidth(WIDEST)
        return bubble

    def _fit(self) -> None:
        if self._text is None:
            return
        room = min(WIDEST, self.width() - 40) - 30
        document = self._text.document().clone()
        document.setTextWidth(room)
        self._text.setFixedWidth(min(room, ceil(document.idealWidth()) + 2))
        self._row.setAlignment(self._bubble, Qt.AlignmentFlag.AlignRight)

    @Slot()
    def _on_edit_clicked(self) -> None:
        if self._editor is not None:
            return
        self._editor = MessageEditor(self._question.text, "Send", "The version before stays, with what followed it.")
        self._editor.saved.connect(self._on_saved)
        self._editor.cancelled.connect(self._end_edit)
        self._layout.insertWidget(0 if self._mark is None else 1, self._editor)
        self._bubble.hide()
        self._foot.hide()
        self._editor.edit.setFocus()

    @Slot()
    def _on_undo_requested(self) -> None:
        self.remember_requested.emit(self._question.key)

    @Slot(str)
    def _on_saved(self, text: str) -> None:
        self._end_edit()
        self.edited.emit(self._question.key, text)

    @Slot()
    def _end_edit(self) -> None:
        editor, self._editor = self._editor, None
        if editor is not None:
            self._layout.removeWidget(editor)
            editor.hide()
            editor.deleteLater()
        self._bubble.show()
        self._foot.show()

    @Slot()
    def _on_copy_clicked(self) -> None:
        QGuiApplication.clipboard().setText(self._question.text)
        self.copy.setText("Copied")
        self._over.start()

    @Slot()
    def _on_copied_over(self) -> None:
        self.copy.setText("Copy")

    @Slot(int)
    def _on_stepped(self, step: int) -> None:
        self.version_requested.emit(self._question.key, step)

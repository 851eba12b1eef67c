"""The person's own message: a soft bubble on the right, its media above the text. Knows one `Question`."""

from math import ceil

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.chat.conversation import Question
from app.ui import theme as look
from app.ui.chips import describe
from app.ui.elided import ElidedLabel
from app.ui.previews import PreviewStrip
from app.ui.prose import Prose
from app.ui.theme import Theme

WIDEST = 560
MOST_SHOWN = 12_000
"""Characters that are drawn; a longer message is sent in full and shown up to here."""
PICTURE = QSize(160, 108)


class UserMessage(QWidget):
    """One question in the transcript."""

    def __init__(self, question: Question, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._question = question
        self._theme = theme
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addStretch(1)
        self._text: Prose | None = None
        self._bubble = self._drawn()
        self._layout.addWidget(self._bubble)
        self.setAccessibleName(f"You: {question.text[:200]}")

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self._layout.removeWidget(self._bubble)
        self._bubble.hide()
        self._bubble.deleteLater()
        self._bubble = self._drawn()
        self._layout.addWidget(self._bubble)
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
        self._layout.setAlignment(self._bubble, Qt.AlignmentFlag.AlignRight)

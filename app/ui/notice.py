"""The one door through which something reaches the person: a sentence and, if there is one, a way out.

Knows how it looks. Does not know what an action does: it emits the action's name.
"""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from app.ui.icon_button import IconButton
from app.ui.icons import pixmap
from app.ui.spoken import speak
from app.ui.theme import Theme

ROOM_BESIDE = 640
"""Pixels of width from which on two buttons stand beside the sentence."""
LONGEST = 600
"""Characters of a sentence that are shown: a path in it may be longer than the window has room for."""


class Notice(QFrame):
    """Shows one sentence at a time; a newer one replaces it."""

    action_requested = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._theme = theme
        self.action = self._other = ""
        self._mark = QLabel()
        self.sentence = QLabel()
        self.sentence.setObjectName("noticeSentence")
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.sentence.setWordWrap(True)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = QPushButton()
        self.button.setObjectName("noticeButton")
        self.button.clicked.connect(self._on_button_clicked)
        self.other = QPushButton()
        self.other.setObjectName("noticeButton")
        self.other.clicked.connect(self._on_other_clicked)
        self._close = IconButton("close", "Close this notice", theme)
        self._close.clicked.connect(self.hide)
        self._buttons = buttons = QHBoxLayout()
        buttons.addWidget(self.button)
        buttons.addWidget(self.other)
        self._body = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._body.addWidget(self.sentence, 1)
        self._body.addLayout(buttons)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 9, 8, 9)
        for each in (buttons, self._body, layout):
            each.setSpacing(10)
        layout.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignVCenter)
        layout.addLayout(self._body, 1)
        layout.addWidget(self._close, 0, Qt.AlignmentFlag.AlignVCenter)
        self.apply_theme(theme)
        self.hide()

    def say(
        self,
        sentence: str,
        action: str = "",
        label: str = "",
        *,
        other: tuple[str, str] = ("", ""),
        quiet: bool = False,
    ) -> None:
        """Show a sentence, with a button if `label` names one, and another one for an `other` action with its label;
        `quiet` if it is no bad news."""
        self.action, self._other = action, other[0]
        self.other.setText(other[1])
        self.other.setVisible(bool(other[1]))
        self._mark.setVisible(not quiet)
        if self.property("quiet") is not quiet:
            self.setProperty("quiet", quiet)
            self.style().unpolish(self)
            self.style().polish(self)
        shown = sentence if len(sentence) <= LONGEST else f"{sentence[: LONGEST // 2]} … {sentence[-LONGEST // 2 :]}"
        self.sentence.setText(shown)
        self.button.setText(label)
        self.button.setVisible(bool(label))
        self._arrange()
        self.setAccessibleName(sentence)
        self.show()
        speak(self, shown)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Put two buttons below the sentence where there is little room beside it."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        below = bool(self._other) and self.width() < ROOM_BESIDE
        way = QBoxLayout.Direction.TopToBottom if below else QBoxLayout.Direction.LeftToRight
        if self._body.direction() != way:
            self._body.setDirection(way)
            self._body.setAlignment(self._buttons, Qt.AlignmentFlag.AlignLeft if below else Qt.AlignmentFlag(0))

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self._mark.setPixmap(pixmap("warning", theme.warning, 18, self.devicePixelRatioF()))
        self._close.apply_theme(theme)

    @Slot()
    def _on_other_clicked(self) -> None:
        self.hide()
        self.action_requested.emit(self._other)

    @Slot()
    def _on_button_clicked(self) -> None:
        self.hide()
        self.action_requested.emit(self.action)

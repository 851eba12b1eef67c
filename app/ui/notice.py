"""The one door through which something reaches the person: a sentence and, if there is one, a way out.

Knows how it looks. Does not know what an action does: it emits the action's name.
"""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from app.ui.icon_button import IconButton
from app.ui.icons import pixmap
from app.ui.theme import Theme

LONGEST = 600
"""Characters of a sentence that are shown: a path in it may be longer than the window has room for."""


class Notice(QFrame):
    """Shows one sentence at a time; a newer one replaces it."""

    action_requested = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._theme = theme
        self.action = ""
        self._mark = QLabel()
        self.sentence = QLabel()
        self.sentence.setObjectName("noticeSentence")
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.sentence.setWordWrap(True)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = QPushButton()
        self.button.setObjectName("noticeButton")
        self.button.clicked.connect(self._on_button_clicked)
        self._close = IconButton("close", "Close this notice", theme)
        self._close.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 9, 8, 9)
        layout.setSpacing(10)
        layout.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self.sentence, 1)
        layout.addWidget(self.button)
        layout.addWidget(self._close)
        self.apply_theme(theme)
        self.hide()

    def say(self, sentence: str, action: str = "", label: str = "", *, quiet: bool = False) -> None:
        """Show a sentence, with a button if `label` names one; `quiet` if it is no bad news."""
        self.action = action
        self._mark.setVisible(not quiet)
        self.setProperty("quiet", quiet)
        self.style().unpolish(self)
        self.style().polish(self)
        shown = sentence if len(sentence) <= LONGEST else f"{sentence[: LONGEST // 2]} … {sentence[-LONGEST // 2 :]}"
        self.sentence.setText(shown)
        self.button.setText(label)
        self.button.setVisible(bool(label))
        self.setAccessibleName(sentence)
        self.show()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self._mark.setPixmap(pixmap("warning", theme.warning, 18, self.devicePixelRatioF()))
        self._close.apply_theme(theme)

    @Slot()
    def _on_button_clicked(self) -> None:
        self.hide()
        self.action_requested.emit(self.action)

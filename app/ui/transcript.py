"""The conversation as it is shown: messages in a column, the newest in sight while it grows.

Knows which message has which widget, and keeps widgets that are still shown. Does not know how a message looks inside.
"""

import time

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.chat.conversation import Answer, Conversation, Question
from app.ui.answer import AnswerView
from app.ui.icon_button import IconButton
from app.ui.sticky_scroll import StickyScroll
from app.ui.theme import Theme
from app.ui.user_message import UserMessage

COLUMN = 720
MARGIN, NARROW_MARGIN = 34, 22


class Transcript(QWidget):
    """Shows the path of a conversation."""

    again_requested = Signal(str)
    version_requested = Signal(str, int)
    thinking_requested = Signal(str)
    link_activated = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._conversation = Conversation()
        self._shown: dict[str, UserMessage | AnswerView] = {}
        self._waits_for = ""
        self.area = StickyScroll(self)
        self.area.setAccessibleName("Conversation")
        self._column = QWidget()
        self._column.setMaximumWidth(COLUMN)
        self._messages = QVBoxLayout(self._column)
        self._messages.setContentsMargins(0, 24, 0, 20)
        self._messages.setSpacing(22)
        self._messages.addStretch(1)
        self._row = QHBoxLayout()
        self._row.addStretch(1)
        self._row.addWidget(self._column, 1000)
        self._row.addStretch(1)
        self._outer = self.area.column_layout()
        self._outer.addLayout(self._row)
        self._outer.setContentsMargins(MARGIN, 0, MARGIN, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)
        self.to_end_button = IconButton("down", "To the end", theme, parent=self)
        self.to_end_button.setObjectName("toEnd")
        self.to_end_button.setFixedSize(QSize(34, 34))
        self.to_end_button.clicked.connect(self.area.to_end)
        self.to_end_button.hide()
        self.area.end_in_sight_changed.connect(self._on_end_in_sight_changed)

    def show_path(self, conversation: Conversation) -> None:
        """Show the conversation's path; widgets of messages that stay are kept."""
        other = conversation is not self._conversation
        self._conversation = conversation
        path = conversation.path()
        keys = [node.key for node in path]
        common = 0
        for at, key in enumerate([] if other else self._shown):
            if at >= len(keys) or keys[at] != key:
                break
            common = at + 1
        for key in list(self._shown)[common:]:
            self._drop(self._shown.pop(key))
        for node in path[common:]:
            view = UserMessage(node, self._theme) if isinstance(node, Question) else self._answer_view(node)
            self._shown[node.key] = view
            self._messages.insertWidget(self._messages.count() - 1, view)
        self.refresh()
        if other or common < len(path):
            self.area.to_end()

    def set_waits_for(self, sentence: str) -> None:
        """Why an answer that waits has not begun."""
        self._waits_for = sentence
        self.refresh()

    def refresh(self) -> None:
        """Show every answer as it is now."""
        for node in self._conversation.path():
            if isinstance(node, Answer):
                self.refresh_answer(node)

    def refresh_answer(self, answer: Answer) -> None:
        """Show one answer as it is now."""
        view = self._shown.get(answer.key)
        if isinstance(view, AnswerView):
            versions = self._conversation.versions(answer)
            view.refresh(time.monotonic(), (versions.index(answer.key) + 1, len(versions)), self._waits_for)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.to_end_button.apply_theme(theme)
        for view in self._shown.values():
            view.apply_theme(theme)

    def set_narrow(self, narrow: bool) -> None:
        """Use smaller margins where there is little room."""
        margin = NARROW_MARGIN if narrow else MARGIN
        self._outer.setContentsMargins(margin, 0, margin, 0)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the button to the end in its place."""
        super().resizeEvent(event)
        self.to_end_button.move(
            (self.width() - self.to_end_button.width()) // 2, self.height() - self.to_end_button.height() - 12
        )

    def _answer_view(self, answer: Answer) -> AnswerView:
        view = AnswerView(answer, self._theme)
        view.again_requested.connect(self.again_requested)
        view.version_requested.connect(self.version_requested)
        view.thinking_requested.connect(self.thinking_requested)
        view.link_activated.connect(self.link_activated)
        return view

    def _drop(self, view: QWidget) -> None:
        self._messages.removeWidget(view)
        view.hide()
        view.deleteLater()

    @Slot(bool)
    def _on_end_in_sight_changed(self, in_sight: bool) -> None:
        self.to_end_button.setVisible(not in_sight)
        self.to_end_button.raise_()
        self.to_end_button.setCursor(Qt.CursorShape.PointingHandCursor)

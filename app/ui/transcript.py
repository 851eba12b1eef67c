"""The conversation as it is shown: messages in a column, the newest in sight while it grows.

Knows which message has which widget, keeps widgets that are still shown, and builds only those near the view: a
conversation of two thousand turns opens as fast as one of ten. Does not know how a message looks inside.
"""

import time

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget
from shiboken6 import delete

from app.chat.conversation import Answer, Conversation, Node, Question
from app.chat.sent import left_out
from app.ui.answer import AnswerView
from app.ui.icon_button import IconButton
from app.ui.memory_mark import cover
from app.ui.sticky_scroll import NEAR, StickyScroll
from app.ui.theme import Theme
from app.ui.user_message import UserMessage

COLUMN = 720
MARGIN, NARROW_MARGIN = 34, 22
FIRST, LEAST, STEP = 2, 6, 1
"""Messages that are built at once, those that always stay, and how many come step by step until there are enough around
the view."""
STEP_MS = 8
"""Between two steps, so that the layout knows how high the first has become."""
AHEAD, BEHIND = 1_500, 5_000
"""Pixels beyond the view that are built, and beyond which messages are taken down again."""
BELOW_TOP = 24

MessageView = UserMessage | AnswerView


class Transcript(QWidget):
    """Shows the path of a conversation."""

    again_requested = Signal(str)
    continue_requested = Signal(str)
    edited = Signal(str, str)
    branch_requested = Signal(str)
    delete_requested = Signal(str)
    version_requested = Signal(str, int)
    thinking_requested = Signal(str)
    remember_requested = Signal(str)
    link_activated = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._conversation = Conversation()
        self._path: list[Node] = []
        self._left_out: set[str] = set()
        self._first = 0
        self._shown: dict[str, MessageView] = {}
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
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.timeout.connect(self._on_more_due)
        self.area.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self.area.verticalScrollBar().rangeChanged.connect(self._on_scrolled)
        self.to_end_button = IconButton("down", "To the end", theme, parent=self)
        self.to_end_button.setObjectName("toEnd")
        self.to_end_button.setFixedSize(QSize(34, 34))
        self.to_end_button.clicked.connect(self.to_end)
        self.to_end_button.hide()
        self.area.end_in_sight_changed.connect(self._on_end_in_sight_changed)

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_path(self, conversation: Conversation) -> None:
        """Show the conversation's path; widgets of messages that stay are kept."""
        other = conversation is not self._conversation
        was_whole = self._end == len(self._path)
        self._conversation, before = conversation, self._path
        self._path = conversation.path()
        self._left_out = left_out(conversation)
        keys = [node.key for node in self._path]
        same = 0
        for at, key in enumerate([] if other else self._shown):
            if self._first + at >= len(keys) or keys[self._first + at] != key:
                break
            same = at + 1
        longer = len(keys) > self._first + same
        if other or not same or (longer and not was_whole and len(keys) > len(before)):
            self._build(max(0, len(keys) - FIRST), len(keys))
            self.area.to_end()
            return
        for key in list(self._shown)[same:]:
            self._drop(key)
        self._extend(len(keys) if was_whole else min(len(keys), self._end))
        self.refresh()
        if longer and was_whole:
            self.area.to_end()

    def reveal(self, key: str, below: int = 0) -> None:
        """Scroll to a message of the path, or to what stands so many pixels below its top."""
        at = next((at for at, node in enumerate(self._path) if node.key == key), None)
        if at is None:
            return
        if key not in self._shown:
            self._build(at, min(len(self._path), at + FIRST))
        self.area.show_part(self._shown[key], BELOW_TOP if below < self.area.height() // 2 else BELOW_TOP * 4 - below)
        self._more.start(0)

    def view_of(self, key: str) -> MessageView | None:
        """The widget of a message, None while it is not built."""
        return self._shown.get(key)

    @Slot()
    def to_end(self) -> None:
        """Go to the newest message and stay there."""
        if self._end < len(self._path):
            self._build(max(0, len(self._path) - FIRST), len(self._path))
        self.area.to_end()

    def set_waits_for(self, sentence: str) -> None:
        """Why an answer that waits has not begun."""
        self._waits_for = sentence
        self.refresh()

    def refresh(self) -> None:
        """Show every message as it is now."""
        for key, view in self._shown.items():
            node = self._conversation.nodes.get(key)
            if node is not None:
                self._refresh_one(node, view)

    def refresh_answer(self, answer: Answer) -> None:
        """Show one answer as it is now."""
        view = self._shown.get(answer.key)
        if view is not None:
            self._refresh_one(answer, view)

    def undress(self) -> None:
        """Take down what is not in sight, and all texts, before Qt dresses every widget in other colours."""
        top, height = self.area.verticalScrollBar().value(), self.area.viewport().height()
        for key, view in list(self._shown.items()):
            at = view.mapTo(self.area.inside, view.rect().topLeft()).y()
            above = at + view.height() < top and key == next(iter(self._shown))
            if above and self._take_down(key, at_once=True):
                self._first += 1
        for key, view in reversed(list(self._shown.items())):
            at = view.mapTo(self.area.inside, view.rect().topLeft()).y()
            if at > top + height and key == next(reversed(self._shown)):
                self._take_down(key, at_once=True)
        for view in self._shown.values():
            if isinstance(view, AnswerView):
                view.text.undress()
        self._tell_area()
        self._more.start(STEP_MS)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.to_end_button.apply_theme(theme)
        for key, view in self._shown.items():
            view.apply_theme(theme)
            cover(view, theme, covered=key in self._left_out)

    def set_line_width(self, width: int) -> None:
        """Let a message become this wide, in pixels."""
        self._column.setMaximumWidth(width)

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

    # ---- building --------------------------------------------------------------------------------------------------

    @property
    def building(self) -> bool:
        """Whether there is still something to be built around the view."""
        answers = (view for view in self._shown.values() if isinstance(view, AnswerView))
        return self._more.isActive() or any(not answer.text.whole for answer in answers)

    @property
    def _end(self) -> int:
        """Where in the path the messages end that are built."""
        return self._first + len(self._shown)

    def _position(self, node: Node) -> tuple[int, int]:
        versions = self._conversation.versions(node)
        return versions.index(node.key) + 1, len(versions)

    def _build(self, first: int, end: int) -> None:
        """Show this part of the path and nothing else."""
        for key in list(self._shown):
            self._drop(key)
        self._first = first
        self._extend(end)
        self._more.start(0)

    def _extend(self, end: int) -> None:
        """Build what comes after, up to a place in the path."""
        for node in self._path[self._end : end]:
            view = self._view(node)
            self._shown[node.key] = view
            self._messages.insertWidget(self._messages.count() - 1, view)
            self._refresh_one(node, view)
        self._tell_area()

    def _extend_up(self, first: int) -> None:
        """Build what comes before, from a place in the path on."""
        fresh: dict[str, MessageView] = {}
        for at, node in enumerate(self._path[first : self._first]):
            fresh[node.key] = self._view(node)
            self._messages.insertWidget(at, fresh[node.key])
            self._refresh_one(node, fresh[node.key])
        self._shown = fresh | self._shown
        self._first = first
        self._tell_area()

    def _refresh_one(self, node: Node, view: MessageView) -> None:
        if isinstance(view, AnswerView):
            last = self._path[-1] is node
            view.refresh(time.monotonic(), self._position(node), self._waits_for, last=last)
        else:
            view.refresh(self._position(node))
        cover(view, self._theme, covered=node.key in self._left_out)

    def _tell_area(self) -> None:
        self.area.set_parts(self._shown.values(), goes_on=self._end < len(self._path))

    def _view(self, node: Node) -> MessageView:
        view: MessageView
        if isinstance(node, Question):
            view = UserMessage(node, self._theme)
            view.remember_requested.connect(self.remember_requested)
        else:
            view = AnswerView(node, self._theme)
            view.again_requested.connect(self.again_requested)
            view.continue_requested.connect(self.continue_requested)
            view.delete_requested.connect(self.delete_requested)
            view.thinking_requested.connect(self.thinking_requested)
            view.link_activated.connect(self.link_activated)
        view.version_requested.connect(self.version_requested)
        view.branch_requested.connect(self.branch_requested)
        view.edited.connect(self.edited)
        return view

    def _drop(self, key: str, *, at_once: bool = False) -> None:
        view = self._shown.pop(key)
        self._messages.removeWidget(view)
        view.hide()
        if at_once:
            delete(view)
        else:
            view.deleteLater()

    # ---- what is near the view -------------------------------------------------------------------------------------

    @Slot()
    def _on_scrolled(self) -> None:
        self._on_end_in_sight_changed()
        if not self._more.isActive():
            self._more.start(0)

    @Slot()
    def _on_more_due(self) -> None:
        """Build a little more where the view comes near, take down what is far away."""
        bar = self.area.verticalScrollBar()
        above, below = bar.value(), bar.maximum() - bar.value()
        changed = True
        if not self._shown:
            return
        first, last = next(iter(self._shown)), next(reversed(self._shown))
        if above > BEHIND and self._is_far(first, above) and self._take_down(first):
            self._first += 1
        elif below > BEHIND and self._is_far(last, below) and self._take_down(last):
            pass
        elif self._first > 0 and above < AHEAD:
            self._extend_up(max(0, self._first - STEP))
        elif self._end < len(self._path) and below < AHEAD:
            self._extend(min(len(self._path), self._end + STEP))
        else:
            changed = False
        if changed:
            self._tell_area()
            self._more.start(STEP_MS)

    def _take_down(self, key: str, *, at_once: bool = False) -> bool:
        """Take down a message that is beyond the view; whether it was."""
        view, node = self._shown[key], self._conversation.nodes.get(key)
        running = isinstance(node, Answer) and not node.over
        if len(self._shown) <= 1 or running or view.editing:
            return False
        self._drop(key, at_once=at_once)
        return True

    def _is_far(self, key: str, beyond: int) -> bool:
        return len(self._shown) > LEAST and beyond - self._shown[key].height() >= AHEAD

    @Slot()
    def _on_end_in_sight_changed(self) -> None:
        """Offer the way to the end where it is not in sight."""
        bar = self.area.verticalScrollBar()
        beyond = self._end < len(self._path) or bar.maximum() - bar.value() > NEAR
        self.to_end_button.setVisible(beyond and not self.area.follows)
        self.to_end_button.raise_()
        self.to_end_button.setCursor(Qt.CursorShape.PointingHandCursor)

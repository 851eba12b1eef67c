"""Where everything is: the parts of the window and how they are arranged at a width.

Knows the parts' places, wide and narrow. Does not know what they show, nor what happens when one of them is pressed.
"""

import time

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.chat.conversation import Answer
from app.settings import Settings
from app.ui import theme as look
from app.ui.composer import Composer
from app.ui.drawer import Drawer
from app.ui.empty_state import EmptyState
from app.ui.find_bar import FindBar
from app.ui.header import Header
from app.ui.models_page import ModelsPage
from app.ui.notice import Notice
from app.ui.sidebar import Sidebar
from app.ui.status_line import StatusLine
from app.ui.theme import Theme
from app.ui.thinking_pane import ThinkingLine, ThinkingPane
from app.ui.transcript import Transcript

BESIDE_FROM, DRAWER_UP_TO, NARROW_BELOW = 980, 720, 860
MARGIN, NARROW_MARGIN, LEAST, LEAST_HEIGHT, WIDEST_FOOT, MOST_SIDEBAR = 34, 22, 240, 60, 1120, 600


class Shell(QWidget):
    """The window's content: the sidebar, and beside it header, thinking, conversation, composer and status."""

    pane_dragged = Signal(int)

    def __init__(self, theme: Theme, window: QWidget) -> None:
        super().__init__()
        self.setObjectName("window")
        self.sidebar = Sidebar(theme)
        self.header = Header(theme)
        self.find_bar = FindBar(theme)
        self.thinking_line = ThinkingLine(theme)
        self.transcript = Transcript(theme)
        self.empty = EmptyState(theme)
        self.pane = ThinkingPane(theme)
        self.notice = Notice(theme)
        self.composer = Composer(theme)
        self.status = StatusLine(theme)
        self.notice.setMaximumWidth(WIDEST_FOOT)
        self.composer.setMaximumWidth(WIDEST_FOOT)
        self._room = 0
        self._middle = QStackedWidget()
        self._middle.setMinimumSize(LEAST, LEAST_HEIGHT)  # what is inside adapts to less, or scrolls
        self._around_empty = _scrolled(self.empty)
        self._middle.addWidget(self._around_empty)
        self._middle.addWidget(self.transcript)
        self.models = ModelsPage(theme)
        self._around_models = _scrolled(self.models)
        self._middle.addWidget(self._around_models)
        self._body = _splitter(self._middle, self.pane)
        self._body.setStretchFactor(0, 1)
        self._body.setStretchFactor(1, 0)
        self._body.splitterMoved.connect(self._on_body_moved)
        self._foot = QVBoxLayout()
        self._foot.setSpacing(8)
        self._foot.addWidget(self.notice)
        self._foot.addWidget(self.composer)
        self.sides = _splitter(self.sidebar, self._right())
        self.sides.setStretchFactor(0, 0)
        self.sides.setStretchFactor(1, 1)
        around = QHBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self.sides)
        self.drawer = Drawer(self.sidebar, self.sides, window)

    def _right(self) -> QWidget:
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.find_bar)
        column.addWidget(self.thinking_line)
        column.addWidget(self._body, 1)
        column.addLayout(self._foot)
        column.addWidget(self.status)
        return right

    @property
    def beside(self) -> bool:
        """Whether there is room for the thinking pane beside the conversation."""
        return self._room >= BESIDE_FROM

    @property
    def as_drawer(self) -> bool:
        """Whether there is so little room that the sidebar is a drawer."""
        return self._room <= DRAWER_UP_TO

    def set_sidebar_width(self, width: int, whole: int) -> None:
        """Give the sidebar a width of the whole."""
        self.drawer.home_width = min(max(0, width), MOST_SIDEBAR)
        self.sides.setSizes([self.drawer.home_width, max(100, whole - width)])

    def show_empty(self, empty: bool) -> None:
        """Show the empty state, or the transcript."""
        self._middle.setCurrentWidget(self._around_empty if empty else self.transcript)

    @property
    def models_shown(self) -> bool:
        """Whether the page about models is in the conversation's place."""
        return self._middle.currentWidget() is self._around_models

    def show_models(self) -> None:
        """Show the page about models, from its beginning, until `show_empty` is called."""
        self._around_models.verticalScrollBar().setValue(0)
        self._middle.setCurrentWidget(self._around_models)
        self.pane.hide()
        self.thinking_line.hide()

    def set_line_width(self, width: int) -> None:
        """Let lines become this wide, in pixels; what is below them goes with them."""
        self.transcript.set_line_width(width)
        foot = max(WIDEST_FOOT, width)
        self.notice.setMaximumWidth(foot)
        self.composer.setMaximumWidth(foot)

    def arrange(self, width: int, settings: Settings) -> None:
        """Arrange the parts for a width of the window."""
        room = self._room = look.room(width)
        narrow, as_drawer = room < NARROW_BELOW, self.as_drawer
        self.drawer.set_active(as_drawer)
        if not as_drawer:
            self.sidebar.setVisible(settings.sidebar_shown)
            self.set_sidebar_width(self.drawer.home_width, width)  # a narrower window may have squeezed it
        self.header.sidebar.setVisible(as_drawer or not settings.sidebar_shown)
        margin = NARROW_MARGIN if narrow else MARGIN
        self._foot.setContentsMargins(margin, 6, margin, 12)
        self.transcript.set_narrow(narrow)
        self.thinking_line.set_unfolds_here(room < BESIDE_FROM)

    def show_thinking(self, answer: Answer | None, settings: Settings) -> None:
        """Show an answer's thinking beside the conversation or as a line above it; nothing for None."""
        answer = None if self.models_shown else answer
        beside = self.beside and not settings.pane_folded
        appears = answer is not None and beside and self.pane.isHidden()
        self.pane.setVisible(answer is not None and beside)
        if appears:
            pane = max(LEAST, min(settings.pane_width, self._body.width() // 2))
            self._body.setSizes([self._body.width() - pane, pane])
        self.thinking_line.setVisible(answer is not None and not beside)
        if answer is None:
            return
        now = time.monotonic()
        if beside:
            self.pane.show_answer(answer, now)
        else:
            self.thinking_line.show_answer(answer, now, live=not settings.pane_folded)

    def apply_theme(self, theme: Theme) -> None:
        """Draw everything in other colours."""
        for part in (self.sidebar, self.header, self.thinking_line, self.transcript, self.empty):
            part.apply_theme(theme)
        for other in (self.pane, self.notice, self.composer, self.status, self.find_bar, self.models):
            other.apply_theme(theme)

    @Slot(int, int)
    def _on_body_moved(self, _position: int, _index: int) -> None:
        self.pane_dragged.emit(self.pane.width())


def _scrolled(inside: QWidget) -> QScrollArea:
    """In a scroll area: a window that is lower than its content must not squeeze it."""
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(inside)
    return area


def _splitter(first: QWidget, second: QWidget) -> QSplitter:
    splitter = QSplitter()
    splitter.setHandleWidth(1)
    splitter.setChildrenCollapsible(False)
    splitter.addWidget(first)
    splitter.addWidget(second)
    return splitter

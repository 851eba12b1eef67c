"""Where the remembered part of a conversation begins, and the veil over what is not sent any more.

Knows a `Memory` and how it looks. Emits that it is to be undone; does not know what is sent.
"""

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.chat.conversation import Memory
from app.ui.markdown_view import MarkdownView
from app.ui.quiet import quiet_button
from app.ui.theme import Theme

LEFT_OUT = "What stands above is not sent any more: the model remembers from here on."
SUMMARIZED = "What stands above is not sent any more; this summary is, in its place. The model remembers from here on."
OPACITY = 96
"""Of 255: grey enough to be told apart, and texts still have the contrast that WCAG 2 asks for."""


class MemoryMark(QWidget):
    """A sentence between two hairlines, with the summary if there is one."""

    undo_requested = Signal()

    def __init__(self, memory: Memory, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        frame = QFrame()
        frame.setObjectName("memoryMark")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 14)
        outer.addWidget(frame)
        self.words = QLabel(SUMMARIZED if memory.summary else LEFT_OUT)
        self.words.setObjectName("ending")
        self.words.setProperty("quiet", True)
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.undo = quiet_button("Undo", "Send everything again")
        self.undo.clicked.connect(self.undo_requested)
        head = QHBoxLayout()
        head.setSpacing(14)
        head.addWidget(self.words, 1)
        head.addWidget(self.undo, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(2, 9, 4, 10)
        layout.setSpacing(8)
        layout.addLayout(head)
        self.summary: MarkdownView | None = None
        if memory.summary:
            self.summary = MarkdownView(theme, quiet=True)
            self.summary.set_text(memory.summary, True)
            layout.addWidget(self.summary)
        self.setAccessibleName(f"{self.words.text()} {memory.summary[:200]}".strip())


class Veil(QWidget):
    """Lies over a message in the colour of the background, so that it is grey whatever it holds. What is below can be
    read, selected and pressed as before."""

    def __init__(self, covered: QWidget, theme: Theme) -> None:
        super().__init__(covered)
        self._theme = theme
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setGeometry(covered.rect())
        covered.installEventFilter(self)
        self.show()

    def apply_theme(self, theme: Theme) -> None:
        """Cover in another colour."""
        self._theme = theme
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Stay as large as what is covered, and above what comes into it."""
        if isinstance(watched, QWidget) and event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self.setGeometry(watched.rect())
            self.raise_()
        return False

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Draw it."""
        colour = QColor(self._theme.background)
        colour.setAlpha(OPACITY)
        QPainter(self).fillRect(self.rect(), colour)


def cover(view: QWidget, theme: Theme, *, covered: bool) -> None:
    """Lay a veil over a message, or take it away."""
    veil = view.findChild(Veil, options=Qt.FindChildOption.FindDirectChildrenOnly)
    if covered and veil is None:
        Veil(view, theme)
    elif covered and veil is not None:
        veil.apply_theme(theme)
    elif veil is not None:
        veil.hide()
        veil.deleteLater()
        veil.setParent(None)

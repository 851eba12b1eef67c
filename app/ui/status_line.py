"""The line at the window's foot: memory, context, speed, privacy. Knows `Gauges`, not where they come from."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QWidget

from app.plan import RESERVE
from app.protocol import Gauges
from app.ui import figures
from app.ui import theme as look
from app.ui.counting import ContextUse
from app.ui.plain_tip import plain_tip
from app.ui.stacked_bar import NARROW, TINY, WIDE, Gauge, Segment
from app.ui.theme import Theme

MEMORY_REMARK = "Nearly full: close other programs, or load the model with a smaller context."
CONTEXT_REMARK = "Nearly full: once it is, the oldest turns can be left out, or a summary can take their place."
TOO_LONG_REMARK = "There is no room for an answer: shorten it by at least {}, or start a new conversation."
PRIVATE = "Private: no connections open"
PRIVATE_HINT = "The model runs on this computer. Parley opens no connection; what you write and show stays here."
CONNECTED_HINT = "A model is being downloaded, which is the only connection; what you write and show stays here."

ROOM_FOR_ALL, ROOM_FOR_PRIVATE, ROOM_FOR_SPEED, ROOM_FOR_BARS = 1080, 930, 720, 600
"""From which width on the bars are wide, privacy and speed are said, and the bars are narrow ones and not mere dots."""


class StatusLine(QFrame):
    """Figures that are always in sight and never loud."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("statusLine")
        self.memory = Gauge("Memory", theme)
        self.context = Gauge("Context", theme)
        self.own_bytes = 0
        self._connected = False
        self.speed = _figure()
        self.private = _figure()
        self.private.setText(PRIVATE)
        self.private.setToolTip(PRIVATE_HINT)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(22, 0, 22, 0)
        self._layout.setSpacing(26)
        for part in (self.memory, self.context, self.speed):
            self._layout.addWidget(part)
        self._layout.addStretch()
        self._layout.addWidget(self.private)
        self.setFixedHeight(34)
        self.memory.hide()
        self.context.hide()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """It never keeps the window wide: what does not fit is cut."""
        return QSize(100, 34)

    def show_memory(self, gauges: Gauges) -> None:
        """Show the memory of the device that the model runs on."""
        on_gpu = gauges.kind == "gpu"
        self.own_bytes = gauges.weights + gauges.cache + gauges.vision + gauges.workspace if on_gpu else 0
        self.memory.setVisible(gauges.total > 0)
        gpu = gauges.kind == "gpu"
        parts = (
            Segment("Model" if gpu else "Engine", gauges.weights, _gib(gauges.weights), "bar_first"),
            Segment("Conversation cache", gauges.cache, _gib(gauges.cache), "bar_second"),
            Segment("Vision", gauges.vision, _gib(gauges.vision), "bar_third"),
            Segment("Working space", gauges.workspace, _gib(gauges.workspace), "bar_fourth"),
            Segment("Other programs", gauges.other, _gib(gauges.other), "bar_other"),
        )
        shown = tuple(part for part in parts if part.value > 0)
        used = sum(part.value for part in shown)
        words = f"{figures.gib(used)} of {figures.gib(gauges.total)} GiB"
        free = Segment("Free", 0, _gib(max(0, gauges.total - used)), "bar_track")
        self.memory.show_parts(
            "VRAM" if gpu else "Memory",
            (*shown, free),
            gauges.total,
            words,
            MEMORY_REMARK,
            little=RESERVE / 2 if gpu else None,  # a GPU is filled on purpose, up to what the plan leaves free
        )

    def show_context(self, use: ContextUse) -> None:
        """Show what of the context window is taken, by the conversation and by the draft."""
        self.context.setVisible(use.total > 0)
        room = use.total - use.used - use.draft
        parts = (
            Segment("Conversation", use.used, _tokens(use.used), "bar_first"),
            Segment("This draft", use.draft, _tokens(use.draft), "bar_third"),
            Segment("Room for the answer", 0, _tokens(max(0, room)), "bar_track"),
        )
        draft = f" + {figures.short_tokens(use.draft)}" if use.draft else ""
        words = f"{figures.short_tokens(use.used)}{draft} of {figures.short_tokens(use.total)}"
        remark = CONTEXT_REMARK if room > 0 else TOO_LONG_REMARK.format(_tokens(1 - room))
        self.context.show_parts("Context", parts, use.total, words, remark)

    def show_connection(self, words: str) -> None:
        """Say what the only open connection is for; nothing for none."""
        self.private.setText(words or PRIVATE)
        self.private.setToolTip(plain_tip(CONNECTED_HINT if words else PRIVATE_HINT))
        if bool(words) != self._connected:
            self._connected = bool(words)
            self._fit(self.width())

    def show_speed(self, tokens_a_second: float) -> None:
        """Show how fast the newest answer is or was made; nothing for 0."""
        self.speed.setText(f"{tokens_a_second:.0f} tok/s" if tokens_a_second > 0 else "")

    def words(self) -> list[str]:
        """What it says in words: memory, context, speed."""
        return [self.memory.words.text(), self.context.words.text(), self.speed.text()]

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give up what matters least where there is little room: wide bars, privacy, the speed."""
        super().resizeEvent(event)
        self._fit(event.size().width())

    def _fit(self, whole: int) -> None:
        width = look.room(whole)
        bar = WIDE if width >= ROOM_FOR_ALL else NARROW if width >= ROOM_FOR_BARS else TINY
        for gauge in (self.memory, self.context):
            gauge.set_bar(bar)
        self.private.setVisible(width >= (ROOM_FOR_SPEED if self._connected else ROOM_FOR_PRIVATE))
        self.speed.setVisible(width >= (ROOM_FOR_PRIVATE if self._connected else ROOM_FOR_SPEED))
        self._layout.setSpacing(26 if width >= ROOM_FOR_SPEED else 14)
        margin = 22 if width >= ROOM_FOR_BARS else 14
        self._layout.setContentsMargins(margin, 0, margin, 0)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.memory.apply_theme(theme)
        self.context.apply_theme(theme)
        self._fit(self.width())  # the text may have another size now


def _gib(count: int) -> str:
    return f"{figures.gib(count)} GiB"


def _tokens(count: int) -> str:
    return "1 token" if count == 1 else f"{figures.tokens(count)} tokens"


def _figure() -> QLabel:
    label = QLabel()
    label.setObjectName("figures")
    label.setFont(look.figure_font(look.QUIET_SIZE - 0.5))
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label

"""What is attached to a draft, as chips: a thumbnail or a strip, name, sizes, tokens, and a button that removes it.

Knows how a file of the draft looks. Does not know how it is decoded or sent.
"""

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app.chat.conversation import Attached
from app.ui import figures
from app.ui import theme as look
from app.ui.draft import DraftItem
from app.ui.elided import ElidedLabel
from app.ui.flow_layout import FlowLayout
from app.ui.icon_button import IconButton
from app.ui.plain_tip import plain_tip
from app.ui.previews import PreviewStrip
from app.ui.theme import Theme

THUMBNAIL = QSize(44, 34)
STRIP_FRAME = QSize(50, 34)
TALLEST, LOWEST = 140, 54
"""Less than three rows, so that one sees that there are more; and one row, where the window is low."""


def describe(attached: Attached) -> str:
    """What there is to say about a file: its size, what the model sees of it, its tokens."""
    media = attached.media
    words = []
    if media.kind == "video":
        words += [figures.seconds(media.duration), f"{media.frames} frames"]
    else:
        seen = attached.seen
        same = not any(seen) or seen == (media.width, media.height)
        words.append(f"{media.width}×{media.height}" + ("" if same else f" → {seen[0]}×{seen[1]}"))
    if attached.tokens:
        words.append(f"{figures.tokens(attached.tokens)} tokens")
    return " · ".join(words)


class Chip(QFrame):
    """One file of the draft."""

    removed = Signal(str)

    def __init__(self, item: DraftItem, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key = item.key
        self.setObjectName("refusedChip" if item.refusal else "chip")
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setMaximumWidth(600)
        name = ElidedLabel(item.name)
        name.setObjectName("chipName")
        name.setFont(look.text_font(look.QUIET_SIZE))
        details = ElidedLabel(_details(item))
        details.setObjectName("chipDetails")
        details.setFont(look.figure_font(11))
        details.setToolTip(plain_tip(item.refusal))
        name.setToolTip(plain_tip(item.name))
        words = QVBoxLayout()
        words.setSpacing(1)
        words.addWidget(name)
        words.addWidget(details)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 5, 6, 5)
        layout.setSpacing(9)
        if item.attached is not None:
            video = item.attached.media.kind == "video"
            frame = STRIP_FRAME if video else THUMBNAIL
            layout.addWidget(PreviewStrip(item.attached.previews, item.attached.media.kind, theme, frame))
        layout.addLayout(words)
        self.remove_button = close = IconButton("close", f"Remove {item.name}", theme)
        close.setIconSize(QSize(14, 14))
        close.clicked.connect(self._on_close_clicked)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignVCenter)
        self.setAccessibleName(f"{item.name}, {_details(item)}")

    @Slot()
    def _on_close_clicked(self) -> None:
        self.removed.emit(self._key)


class Chips(QScrollArea):
    """All files of the draft; scrolls where they are many."""

    removed = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._shown: dict[DraftItem, Chip] = {}
        self._height = 0
        self._follows = False  # the newest file is kept in sight until one is removed
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inside = QWidget()
        inside.setObjectName("scrollInside")
        self._layout = FlowLayout(8, inside)
        self.setWidget(inside)
        self.verticalScrollBar().rangeChanged.connect(self._on_range_changed)
        self.hide()

    def set_items(self, items: tuple[DraftItem, ...]) -> None:
        """Show these files; chips of files that did not change are kept."""
        if items == tuple(self._shown):
            return
        self._follows = len(items) > len(self._shown) or (self._follows and len(items) == len(self._shown))
        before, self._shown = self._shown, {}
        while self._layout.takeAt(0) is not None:
            pass
        for item in items:
            self._shown[item] = chip = before.pop(item, None) or self._chip(item)
            self._layout.addWidget(chip)
            chip.show()
        for gone in before.values():
            gone.hide()
            gone.deleteLater()
        self.setVisible(bool(items))
        self._fit()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        items = tuple(self._shown)
        self.set_items(())
        self.set_items(items)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Be as high as the rows at this width."""
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:  # noqa: N802
        """All rows, as far as they may be in sight at once."""
        return QSize(super().sizeHint().width(), self._height)

    def _chip(self, item: DraftItem) -> Chip:
        chip = Chip(item, self._theme)
        chip.removed.connect(self.removed)
        return chip

    @Slot(int, int)
    def _on_range_changed(self, _minimum: int, maximum: int) -> None:
        if self._follows:
            self.verticalScrollBar().setValue(maximum)

    def _fit(self) -> None:
        self._height = min(TALLEST, self._layout.heightForWidth(max(1, self.width() - 2)))
        self.setMinimumHeight(min(LOWEST, self._height))
        self.setMaximumHeight(self._height)
        self.updateGeometry()


def _details(item: DraftItem) -> str:
    if item.refusal:
        return item.refusal
    return describe(item.attached) if item.attached is not None else "being read…"

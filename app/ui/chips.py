"""What is attached to a draft, as chips: a thumbnail or a strip, name, sizes, tokens, and a button that removes it.

Knows how a file of the draft looks. Does not know how it is decoded or sent.
"""

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.chat.conversation import Attached
from app.ui import figures
from app.ui import theme as look
from app.ui.draft import DraftItem
from app.ui.elided import ElidedLabel
from app.ui.flow_layout import FlowLayout
from app.ui.icon_button import IconButton
from app.ui.previews import PreviewStrip
from app.ui.theme import Theme

THUMBNAIL = QSize(44, 34)
STRIP_FRAME = QSize(50, 34)


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
        details.setToolTip(item.refusal)
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


class Chips(QWidget):
    """All files of the draft."""

    removed = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._items: tuple[DraftItem, ...] = ()
        self._layout = FlowLayout(8, self)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.hide()

    def set_items(self, items: tuple[DraftItem, ...]) -> None:
        """Show these files."""
        if items == self._items:
            return
        self._items = items
        self._rebuild()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self._rebuild()

    def _rebuild(self) -> None:
        while (old := self._layout.takeAt(0)) is not None:
            widget = old.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for item in self._items:
            chip = Chip(item, self._theme)
            chip.removed.connect(self.removed)
            self._layout.addWidget(chip)
            chip.show()
        self.setVisible(bool(self._items))
        self.updateGeometry()


def _details(item: DraftItem) -> str:
    if item.refusal:
        return item.refusal
    return describe(item.attached) if item.attached is not None else "being read…"

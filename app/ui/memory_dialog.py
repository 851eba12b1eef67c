"""The memory plan as a bar, with a slider for the context that moves it.

Knows the arithmetic of plans and how one is said. Does not know where the figures come from, or who loads a model.
"""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from app.plan import Plan, Sizes, make_plan
from app.ui import figures
from app.ui import theme as look
from app.ui.inspection import Found
from app.ui.stacked_bar import Segment, StackedBar, legend
from app.ui.theme import Theme
from app.ui.toggle import Toggle

WIDTH = 560
STEP = 1024
ASKING = "Looking at the model and the GPU…"
NO_GPU = "No NVIDIA GPU can be used here, so {} runs on the processor, in the computer's own memory."
PARKED = "The vision tower waits in the computer's memory until a picture comes."
OUTSIDE = "The embedding table stays in the computer's memory; each token fetches its row from there."
ALL_IN = "Everything lies on the GPU."


IN_BYTES = "Keys and values in 8 bits, for twice the context"


class MemoryDialog(QDialog):
    """Emits `chosen` with fields of the settings: `context`, tokens or None for as many as fit, and `kv_bits`."""

    chosen = Signal(dict)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._found: Found | None = None
        self._free = self._own = 0
        self.in_bytes = Toggle(IN_BYTES, theme)
        self.in_bytes.toggled.connect(self._on_moved)
        self.setWindowTitle("Memory")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.title, self.words, self.remark, self.parts = QLabel(ASKING), QLabel(), QLabel(), QLabel()
        self.title.setFont(look.text_font(look.TEXT_SIZE))
        self.remark.setObjectName("remarks")
        for label in (self.title, self.words, self.remark, self.parts):
            label.setWordWrap(True)
        self.parts.setTextFormat(Qt.TextFormat.RichText)
        for label in (self.title, self.words, self.remark):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.bar = StackedBar(theme)
        self.bar.set_bar(WIDTH)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Tokens of context")
        self.slider.setMinimumHeight(20)
        self.slider.valueChanged.connect(self._on_moved)
        self.use, self.most = QPushButton("Use this context"), QPushButton("As large as fits")
        self.use.clicked.connect(self._on_use_clicked)
        self.most.clicked.connect(self._on_most_clicked)
        close = QPushButton("Close")
        close.clicked.connect(self.close)
        buttons = QHBoxLayout()
        for button in (self.use, self.most):
            buttons.addWidget(button)
        buttons.addStretch()
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 20, 22, 18)
        layout.setSpacing(12)
        for part in (self.title, self.bar, self.slider, self.in_bytes, self.words, self.remark, self.parts):
            layout.addWidget(part)
        layout.addLayout(buttons)
        self.setFixedWidth(WIDTH + 44)
        self._show_figures(shown=False)

    @Slot(str)
    def show_refusal(self, sentence: str) -> None:
        """Say why there is no plan."""
        self.title.setText(sentence)
        self._grow()

    def show_found(self, found: Found, own: int, context: int | None, kv_bits: int = 16) -> None:
        """Show the plan of what was found; `own` bytes are the loaded model's, which the next load gets back. It begins
        as chosen: with a context, or None for what fits, and keys and values of so many bits."""
        if found.sizes is None:
            self.title.setText(NO_GPU.format(found.model))
            self._grow()
            return
        self._found, self._own, self._free = found, own, min(found.total, found.free + own)
        self.title.setText(f"{found.model} on {found.device}")
        self._show_figures(shown=True)
        self.in_bytes.setChecked(kv_bits == 8)
        begin = context or make_plan(self._sizes(found.sizes), self._free, None).context
        self.slider.setRange(1, -(-found.sizes.most // STEP))
        self.slider.setPageStep(8)
        self.slider.setValue(max(1, begin // STEP))
        self._on_moved()

    @property
    def context(self) -> int:
        """The tokens that the slider stands at."""
        most = self._found.sizes.most if self._found and self._found.sizes else STEP
        return min(most, self.slider.value() * STEP)

    def _sizes(self, wide: Sizes) -> Sizes:
        """Those for what is chosen of keys and values."""
        narrow = self._found.in_bytes if self._found else None
        return narrow if narrow is not None and self.in_bytes.isChecked() else wide

    @Slot()
    def _on_moved(self) -> None:
        if self._found is None or self._found.sizes is None:
            return
        plan = make_plan(self._sizes(self._found.sizes), self._free, self.context)
        segments = _segments(self._found, self._free, plan)
        total = max(self._found.total, sum(segment.value for segment in segments))
        self.bar.set_parts(segments, total, little=0 if plan.fits else total)
        left = Segment("Free", 0, f"{figures.gib(max(0, total - sum(s.value for s in segments)))} GiB", "bar_track")
        self.parts.setText(legend((*segments, left), self._theme))
        self.words.setText(_said(plan, self._own))
        self.remark.setText(_warning(plan))
        self.use.setEnabled(plan.fits)
        self.most.setEnabled(plan.largest > 0)
        self._grow()

    def _grow(self) -> None:
        """Make room for all that is said; it never shrinks again, or it would jump while the slider moves."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            self.setMinimumHeight(max(self.minimumHeight(), layout.totalHeightForWidth(WIDTH + 44)))

    @Slot()
    def _on_use_clicked(self) -> None:
        self._choose(self.context)

    @Slot()
    def _on_most_clicked(self) -> None:
        self._choose(None)

    def _choose(self, context: int | None) -> None:
        self.chosen.emit({"context": context, "kv_bits": 8 if self.in_bytes.isChecked() else 16})
        self.close()

    def _show_figures(self, *, shown: bool) -> None:
        for part in (self.bar, self.slider, self.words, self.remark, self.parts, self.use, self.most):
            part.setVisible(shown)
        self.in_bytes.setVisible(shown and self._found is not None and self._found.in_bytes is not None)


def _segments(found: Found, free: int, plan: Plan) -> tuple[Segment, ...]:
    parts = plan.parts
    shown = (
        ("Model", parts["weights"] + parts["embeddings"], "bar_first"),
        ("Context", parts["context"] + parts["state"], "bar_second"),
        ("Vision", parts["vision"], "bar_third"),
        ("Working space", parts["workspace"] + parts["library"], "bar_fourth"),
        ("Other programs", found.total - free, "bar_other"),
    )
    return tuple(Segment(name, size, f"{figures.gib(size)} GiB", colour) for name, size, colour in shown if size > 0)


def _said(plan: Plan, own: int) -> str:
    """`own` bytes of what the plan has to hand out are still the loaded model's."""
    where = [PARKED] if plan.tower_parked else []
    where += [OUTSIDE] if plan.embeddings_outside else []
    free = "would be free once the present model is unloaded" if own else "are free"
    needed = f"{figures.gib(plan.needed)} GiB, and {figures.gib(plan.free)} GiB {free}"
    return f"{figures.tokens(plan.context)} tokens of context need {needed}. {' '.join(where) or ALL_IN}"


def _warning(plan: Plan) -> str:
    if plan.fits:
        return ""
    missing = f"{figures.gib(plan.missing)} GiB too little"
    if not plan.largest:
        return f"{missing}: close other programs, or choose a smaller model."
    return f"{missing}: at most {figures.tokens(plan.largest)} tokens fit now."

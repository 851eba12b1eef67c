"""What this computer has for a model, and what follows. Knows what was found; asks nobody."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from app.models.fit import Verdict
from app.protocol import Surveyed
from app.ui import figures
from app.ui.card import Card, words

LOOKING = "Looking at this computer…"
GPU, MEMORY, DISK = "GPU", "Memory", "Disk"


class ComputerCard(Card):
    """Three lines of figures and a sentence."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figures: dict[str, QLabel] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        for row, name in enumerate((GPU, MEMORY, DISK)):
            grid.addWidget(words(name, muted=True), row, 0, Qt.AlignmentFlag.AlignTop)
            self.figures[name] = words("…")
            grid.addWidget(self.figures[name], row, 1)
        self.column.addLayout(grid)
        self.sentence = words(LOOKING)
        self.sentence.setContentsMargins(0, 6, 0, 0)
        self.column.addWidget(self.sentence)

    def show_found(self, found: Surveyed, verdict: Verdict) -> None:
        """Say what was found, and what it means for the recommended model."""
        self.figures[GPU].setText(_gpu(found))
        self.figures[MEMORY].setText(_of(found.memory_free, found.memory_total))
        free = figures.size(found.disk_free) if found.disk_free else "nothing known"
        self.figures[DISK].setText(f"{free} free in {found.folder}")
        self.sentence.setText(verdict.sentence)
        self.sentence.setObjectName("" if verdict.outcome in {"fits", "none"} else "remarks")
        self.sentence.style().unpolish(self.sentence)
        self.sentence.style().polish(self.sentence)


def _gpu(found: Surveyed) -> str:
    if found.driverless:
        return "NVIDIA, without a driver"
    if not found.gpu:
        return "no NVIDIA GPU found"
    return f"{found.gpu} · {_of(found.gpu_free, found.gpu_total)} · driver {found.driver}"


def _of(free: int, total: int) -> str:
    return f"{figures.gib(free)} of {figures.gib(total)} GiB free"

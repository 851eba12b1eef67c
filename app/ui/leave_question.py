"""Asks before Parley is quit in the middle of a download, and says what happens to it. Knows how far it is."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QMessageBox, QWidget

from app.models import recommended
from app.ui import figures
from app.ui.fetching import Arrival


class LeaveQuestion(QMessageBox):
    """Emits `quit_chosen`; anything else leaves all as it is."""

    quit_chosen = Signal()

    def __init__(self, arrival: Arrival, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Quit Parley")
        self.setTextFormat(Qt.TextFormat.PlainText)
        name = recommended.name_of(arrival.repository)
        far = f": {figures.size(arrival.done)} of {figures.size(arrival.total)} have arrived" if arrival.total else ""
        self.setText(f"{name} is still being downloaded{far}.")
        self.setInformativeText(
            "The download stops with Parley, keeps what has arrived, and goes on by itself when Parley is opened again."
        )
        self.quit = self.addButton("Quit", QMessageBox.ButtonRole.AcceptRole)
        self.stay = self.addButton("Keep downloading", QMessageBox.ButtonRole.RejectRole)
        self.setDefaultButton(self.stay)
        self.finished.connect(self._on_finished)

    @Slot(int)
    def _on_finished(self, _result: int) -> None:
        if self.clickedButton() is self.quit:
            self.quit_chosen.emit()

"""Asks before a link of an answer is opened in the browser. Knows one address; opens it only when told to."""

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMessageBox, QWidget

from app.ui.prose_writer import safe_link

LONGEST, LINE = 600, 64
"""Characters of an address that are shown, and of one line of it."""


class LinkDialog(QMessageBox):
    """Names the computer that a link leads to, and shows the address, so that it cannot pretend to lead elsewhere."""

    def __init__(self, address: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._address = address
        self.setWindowTitle("Open a web page")
        self.setTextFormat(Qt.TextFormat.PlainText)
        host = QUrl(address).host(QUrl.ComponentFormattingOption.FullyEncoded)
        self.setText(f"Open this page of {host} in your browser? Parley itself opens no connection.")
        shown = address if len(address) <= LONGEST else f"{address[:LONGEST]}…"
        self.setInformativeText("\u200b".join(shown[at : at + LINE] for at in range(0, len(shown), LINE)))
        self._yes = self.addButton("Open in browser", QMessageBox.ButtonRole.AcceptRole)
        self.setDefaultButton(self.addButton("Cancel", QMessageBox.ButtonRole.RejectRole))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.finished.connect(self._on_finished)

    @Slot(int)
    def _on_finished(self, _result: int) -> None:
        if self.clickedButton() is self._yes and safe_link(self._address):
            QDesktopServices.openUrl(QUrl(self._address))

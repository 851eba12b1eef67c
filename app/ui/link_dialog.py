"""Asks before a link of an answer is opened in the browser. Knows one address; opens it only when told to."""

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QGridLayout, QMessageBox, QPlainTextEdit, QWidget

from app import connections
from app.ui import theme as look
from app.ui.safe_link import host_of, safe_link, shown_address


class LinkDialog(QMessageBox):
    """Names the computer that a link leads to, and shows all of the address, so that it cannot pretend to lead
    elsewhere."""

    def __init__(self, address: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._address = address
        self.setWindowTitle("Open a web page")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(f"Open this page of {host_of(address)} in your browser? Parley itself opens no connection.")
        self.address = QPlainTextEdit(shown_address(address))
        self.address.setObjectName("linkAddress")
        self.address.setAccessibleName("The whole address")
        self.address.setReadOnly(True)
        self.address.setTabChangesFocus(True)
        self.address.setFont(look.code_font())
        self.address.setMinimumWidth(420)
        lines = min(6, 1 + len(self.address.toPlainText()) // 48)
        self.address.setFixedHeight(lines * self.address.fontMetrics().lineSpacing() + 16)
        grid = self.layout()
        if isinstance(grid, QGridLayout):
            grid.addWidget(self.address, grid.rowCount(), 0, 1, grid.columnCount())
        self._yes = self.addButton("Open in browser", QMessageBox.ButtonRole.AcceptRole)
        self.setDefaultButton(self.addButton("Cancel", QMessageBox.ButtonRole.RejectRole))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.finished.connect(self._on_finished)

    @Slot(int)
    def _on_finished(self, _result: int) -> None:
        if self.clickedButton() is self._yes and safe_link(self._address):
            connections.made("links")
            QDesktopServices.openUrl(QUrl(shown_address(self._address), QUrl.ParsingMode.StrictMode))

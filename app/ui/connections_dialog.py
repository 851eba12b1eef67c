"""Which connections Parley can make, when it last made each, a switch for each, and how downloads reach the hub.

Knows the kinds and their words. Does not know sockets; what is chosen for downloads is emitted.
"""

from urllib.parse import urlsplit

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app import connections
from app.connections import CONNECTIONS, Connection
from app.ui.card import Card, button, field, heading, section, words
from app.ui.model_words import day
from app.ui.theme import Theme
from app.ui.toggle import TRACK, Toggle
from app.ui.wording import moment

ONLY = (
    "Parley connects to nothing by itself: no accounts, no statistics, no updates. These are all the connections that "
    "it can make."
)
PROXY = "Without one the system's is used. A name and a password do not belong here, because this is kept in a file."
BAD_PROXY = "This is no address of a proxy: write it like http://proxy.example:3128."
NAMED_PROXY = "A name or password would be kept in a file; put such a proxy into the environment, as HTTPS_PROXY."
OF_ACCESS = (
    "Only for models that need permission on the hub. It is kept in memory until Parley is closed, in no file; "
    "HF_TOKEN in the environment serves for good."
)


class ConnectionRow(Card):
    """One kind of connection."""

    refused = Signal(str)
    forbidden = Signal(str)

    def __init__(self, connection: Connection, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind = connection.kind
        self.switch = Toggle("", theme)
        self.switch.setFixedWidth(TRACK.width() + 4)
        self.switch.setAccessibleName(f"Allow: {connection.name}")
        self.switch.setChecked(connections.allowed(connection.kind))
        self.switch.toggled.connect(self._on_toggled)
        self.last = words(muted=True)
        head = QHBoxLayout()
        head.addWidget(heading(connection.name), 1)
        head.addWidget(self.switch)
        self.column.addLayout(head)
        self.column.addWidget(words(connection.words))
        self.column.addWidget(self.last)
        self._show()

    def _show(self) -> None:
        last = connections.last_made(self._kind)
        when = "Never made so far." if last is None else f"Last made {day(last)} at {moment(last):%H:%M}."
        self.last.setText(when if self.switch.isChecked() else f"Switched off. {when}")

    @Slot(bool)
    def _on_toggled(self, on: bool) -> None:
        try:
            connections.allow(self._kind, allowed=on)
        except OSError as error:
            self.refused.emit(f"It could not be kept ({error.strerror}): see that Parley may write to its own folder.")
        self._show()
        if not connections.allowed(self._kind):
            self.forbidden.emit(self._kind)


class ConnectionsPage(QWidget):
    """All of them, and the proxy and the token of downloads. `forbidden` carries the kind of what was switched off."""

    forbidden = Signal(str)
    proxy_chosen = Signal(str)
    token_chosen = Signal(str)

    def __init__(self, proxy: str, token: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(words(ONLY))
        self.said = words(name="remarks")
        self.rows = [ConnectionRow(each, theme) for each in CONNECTIONS]
        for row in self.rows:
            row.refused.connect(self.said.setText)
            row.forbidden.connect(self.forbidden)
            column.addWidget(row)
        column.addWidget(section("How downloads reach the hub"))
        self.proxy = field("Proxy", "http://proxy.example:3128", proxy)
        self.token = field("Access token", "hf_…", token)
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.proxy.editingFinished.connect(self._on_proxy_edited)
        self.token.editingFinished.connect(self._on_token_edited)
        for written, hint in ((self.proxy, PROXY), (self.token, OF_ACCESS)):
            column.addWidget(heading(written.accessibleName()))
            column.addWidget(written)
            column.addWidget(words(hint, muted=True))
        column.addWidget(self.said)
        column.addStretch()

    @Slot()
    def _on_proxy_edited(self) -> None:
        address = self.proxy.text().strip()
        wrong = proxy_trouble(address)
        self.said.setText(wrong)
        if not wrong:
            self.proxy_chosen.emit(address)

    @Slot()
    def _on_token_edited(self) -> None:
        self.token_chosen.emit(self.token.text().strip())


class ConnectionsDialog(QDialog):
    """The page in a window of its own."""

    def __init__(self, proxy: str, token: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Connections")
        self.page = ConnectionsPage(proxy, token, theme)
        self.page.layout().setContentsMargins(20, 18, 20, 12)  # type: ignore[union-attr]  # it has one
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self.page)
        shut = button("Close")
        shut.setAutoDefault(False)
        shut.clicked.connect(self.accept)
        foot = QHBoxLayout()
        foot.setContentsMargins(20, 8, 20, 14)
        foot.addStretch()
        foot.addWidget(shut)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(area, 1)
        column.addLayout(foot)
        self.resize(560, 620)


def proxy_trouble(address: str) -> str:
    """Why this is not taken for a proxy; empty if it is, and for none at all."""
    if not address:
        return ""
    try:
        parts = urlsplit(address)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None
    except ValueError:
        return BAD_PROXY
    if parts.username is not None or parts.password is not None:
        return NAMED_PROXY
    return "" if sound else BAD_PROXY

"""Addresses in a text: which of them are links, and what they really say. Knows Qt's reading of addresses, because it
is Qt that opens them; opens nothing."""

from typing import Any

from PySide6.QtCore import QUrl

from app.ui.visible_text import in_code

LONGEST = 8_000
"""Characters of an address; what is longer is no link."""


def safe_link(address: Any) -> str:
    """The address if it is a web page's, otherwise nothing."""
    if not isinstance(address, str) or len(address) > LONGEST or in_code(address) != address:
        return ""
    url = QUrl(address, QUrl.ParsingMode.StrictMode)
    return address if url.isValid() and url.scheme() in ("http", "https") and url.host() else ""


def shown_address(address: str) -> str:
    """All of an address in plain letters: other scripts in the host's name as punycode, elsewhere as percent signs."""
    return QUrl(address, QUrl.ParsingMode.StrictMode).toString(QUrl.ComponentFormattingOption.FullyEncoded)


def host_of(address: str) -> str:
    """The name of the computer that it leads to, as punycode."""
    return QUrl(address, QUrl.ParsingMode.StrictMode).host(QUrl.ComponentFormattingOption.FullyEncoded)

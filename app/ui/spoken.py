"""Words that a screen reader says by itself, because nobody looks where they appear. Knows Qt's accessibility alone."""

from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QWidget


def speak(widget: QWidget, words: str) -> None:
    """Have a screen reader, if there is one, say words that a widget shows."""
    if words:
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(widget, words))

"""The library of system prompts: written, named, deleted. Knows names and texts, not who is told them."""

import uuid
from dataclasses import replace

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPlainTextEdit, QPushButton, QVBoxLayout

from app.kinds import LONGEST_NAME, LONGEST_PROMPT, MOST_ENTRIES, Prompt
from app.settings import Settings
from app.ui.settings_controls import Unfolding
from app.ui.settings_rows import Row, quiet_words
from app.ui.theme import Theme

NAME = "prompts"
KEEP_MS = 400
"""After the last key, before what was written is kept."""
NONE_YET = "There are none yet. One that you write here can be chosen for any conversation, above it."
BEGUN = "You are a patient tutor: ask before you explain, and explain one step at a time."


class PromptsRow(Row):
    """All prompts in a list, one of them below it to be written."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("system prompts library persona instructions name text new delete")
        self._own: tuple[Prompt, ...] = ()
        self._key = ""
        self.list = Unfolding(theme)
        self.list.setAccessibleName("System prompt to write")
        self.list.activated.connect(self._on_activated)
        self.add, self.delete = QPushButton("New"), QPushButton("Delete")
        for button, slot in ((self.add, self._on_add_clicked), (self.delete, self._on_delete_clicked)):
            button.setAutoDefault(False)
            button.clicked.connect(slot)
        self.name, self.text = QLineEdit(), QPlainTextEdit()
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setAccessibleName("Name of the system prompt")
        self.text.setAccessibleName("Text of the system prompt")
        self.text.setPlaceholderText(BEGUN)
        self.text.setTabChangesFocus(True)
        self.text.setFixedHeight(140)
        self.said = quiet_words(NONE_YET)
        self._keep = QTimer(self)
        self._keep.setSingleShot(True)
        self._keep.setInterval(KEEP_MS)
        self._keep.timeout.connect(self.keep)
        for field in (self.name, self.text):
            field.setObjectName("field")
            field.textChanged.connect(self._on_text_changed)
        top = QHBoxLayout()
        top.addWidget(self.list, 1)
        top.addWidget(self.add)
        top.addWidget(self.delete)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 5, 0, 5)
        column.setSpacing(8)
        column.addLayout(top)
        for part in (self.said, self.name, self.text):
            column.addWidget(part)

    def show_settings(self, settings: Settings) -> None:
        """Show the library as it is now; what is being written is left alone."""
        self._own = settings.prompts
        names = [prompt.name for prompt in self._own]
        if names != [self.list.itemText(at) for at in range(self.list.count())]:
            self.list.clear()
            self.list.addItems(names)
        at = next((at for at, prompt in enumerate(self._own) if prompt.key == self._key), 0 if self._own else -1)
        self.list.setCurrentIndex(at)
        shown = self._own[at] if at >= 0 else None
        if shown is None or shown.key != self._key or not self._keep.isActive():
            self._show(shown)

    def _show(self, prompt: Prompt | None) -> None:
        self._key = prompt.key if prompt else ""
        name, text = (prompt.name, prompt.text) if prompt else ("", "")
        for field in (self.name, self.text):
            field.blockSignals(True)
        if self.name.text().strip() != name:
            self.name.setText(name)
        if self.text.toPlainText() != text:
            self.text.setPlainText(text)
        for field in (self.name, self.text):
            field.blockSignals(False)
            field.setVisible(prompt is not None)
        self.list.setEnabled(prompt is not None)
        self.delete.setEnabled(prompt is not None)
        self.add.setEnabled(len(self._own) < MOST_ENTRIES)
        self.said.setVisible(prompt is None)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.list.theme = theme

    @Slot()
    def keep(self) -> None:
        """Have what is written kept."""
        self._keep.stop()
        before = next((prompt for prompt in self._own if prompt.key == self._key), None)
        if before is None:
            return
        name = " ".join(self.name.text().split()) or before.name
        after = replace(before, name=name, text=self.text.toPlainText()[:LONGEST_PROMPT])
        if after != before:
            self.chosen.emit(NAME, tuple(after if prompt is before else prompt for prompt in self._own))

    @Slot()
    def _on_text_changed(self) -> None:
        self._keep.start()

    @Slot(int)
    def _on_activated(self, at: int) -> None:
        self.keep()
        self._show(self._own[at])

    @Slot()
    def _on_add_clicked(self) -> None:
        self.keep()
        names = {prompt.name for prompt in self._own}
        name = next(name for at in range(1, MOST_ENTRIES + 2) if (name := f"Prompt {at}") not in names)
        fresh = Prompt(uuid.uuid4().hex, name, "")
        self._key = fresh.key
        self.chosen.emit(NAME, (*self._own, fresh))
        self.name.setFocus()
        self.name.selectAll()

    @Slot()
    def _on_delete_clicked(self) -> None:
        self._keep.stop()
        self.chosen.emit(NAME, tuple(prompt for prompt in self._own if prompt.key != self._key))

"""The keys of one command, to be changed: press a button, then the keys. Knows conflicts, binds nothing."""

from PySide6.QtCore import QEvent, QKeyCombination, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from app.kinds import MOST_KEYS
from app.settings import Settings
from app.ui import theme as look
from app.ui.commands import Command, keys_of
from app.ui.keys import ERASING, objection, rivals
from app.ui.settings_rows import Row, back_button, quiet_words
from app.ui.theme import Theme

NAME = "keys"
PRESS, NO_KEY = "Press keys…", "–"
MODIFIERS = frozenset(
    {Qt.Key.Key_Control, Qt.Key.Key_Shift, Qt.Key.Key_Alt, Qt.Key.Key_AltGr, Qt.Key.Key_Meta, Qt.Key.Key_unknown}
)
LEAVING = frozenset({Qt.Key.Key_Tab, Qt.Key.Key_Backtab})


class KeyButton(QPushButton):
    """Shows a key combination. Once pressed it takes the next one: Esc leaves it as it was, Backspace takes it away."""

    taken = Signal(str)

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self._keys = ""
        self._listens = False
        self.setAutoDefault(False)
        self.fit()
        self.clicked.connect(self._on_clicked)

    def show_keys(self, keys: str) -> None:
        """Show a combination, empty for none."""
        self._keys = keys
        self._listen(False)

    def fit(self) -> None:
        """Be as wide as the longest keys in text of the size that counts now."""
        self.setFixedWidth(look.scaled(112))

    def _listen(self, listens: bool) -> None:
        self._listens = listens
        native = QKeySequence(self._keys).toString(QKeySequence.SequenceFormat.NativeText)
        self.setText(PRESS if listens else native or NO_KEY)
        self.setAccessibleName(f"{self._words}: {PRESS if listens else native or 'no key'}")

    @Slot()
    def _on_clicked(self) -> None:
        self._listen(True)

    def event(self, event: QEvent) -> bool:
        """While it listens no key means anything else."""
        if self._listens and isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                return self._pressed(event)
        return super().event(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """It listens no more."""
        self._listen(False)
        super().focusOutEvent(event)

    def _pressed(self, event: QKeyEvent) -> bool:
        bare = not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier
        if event.key() in MODIFIERS:
            return True
        if bare and event.key() in LEAVING:
            self._listen(False)
            return super().event(event)
        self._listen(False)
        if bare and event.key() in ERASING:
            self.taken.emit("")
        elif event.key() != Qt.Key.Key_Escape or event.modifiers():
            key = Qt.Key.Key_Tab if event.key() == Qt.Key.Key_Backtab else Qt.Key(event.key())
            held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
            self.taken.emit(QKeySequence(QKeyCombination(held, key)).toString())
        return True


class KeyRow(Row):
    """A command with its keys; what they would take from another command is said below."""

    def __init__(self, command: Command, theme: Theme) -> None:
        super().__init__(f"keys shortcuts {command.group} {command.words} {' '.join(command.keys)}")
        self._command = command
        self._settings = Settings()
        self.label = QLabel(command.words)
        self.label.setWordWrap(True)
        self.buttons = [KeyButton(command.words), KeyButton(f"{command.words}, second key")]
        self.back = back_button(command.words, theme)
        self.back.clicked.connect(self._on_back_clicked)
        self.said = quiet_words("")
        self.said.setObjectName("remarks")
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.label, 1)
        for button in self.buttons:
            button.taken.connect(self._on_taken)
            row.addWidget(button)
        row.addWidget(self.back)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 2)
        column.setSpacing(1)
        column.addLayout(row)
        column.addWidget(self.said)

    def show_settings(self, settings: Settings) -> None:
        """Show the keys that the command has."""
        self._settings = settings
        keys = keys_of(self._command.name, settings.keys)
        for at, button in enumerate(self.buttons):
            button.show_keys(keys[at] if at < len(keys) else "")
        self.back.setVisible(self._command.name in settings.keys)
        self._say(_conflict(self._command, keys, settings))

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.back.apply_theme(theme)
        for button in self.buttons:
            button.fit()

    def _say(self, sentence: str) -> None:
        self.said.setText(sentence)
        self.said.setVisible(bool(sentence))

    @Slot(str)
    def _on_taken(self, keys: str) -> None:
        name = self._command.name
        refused = objection(QKeySequence(keys), self._command.where) if keys else ""
        if refused:
            self.show_settings(self._settings)
            self._say(refused)
            return
        have = [*keys_of(name, self._settings.keys), *[""] * MOST_KEYS][:MOST_KEYS]
        have[self.buttons.index(self.sender())] = keys  # type: ignore[arg-type]  # only the buttons emit it
        wanted = tuple(dict.fromkeys(each for each in have if each))
        others = {other: each for other, each in self._settings.keys.items() if other != name}
        self.chosen.emit(NAME, others if wanted == self._command.keys else {**others, name: wanted})

    @Slot()
    def _on_back_clicked(self) -> None:
        kept = {name: keys for name, keys in self._settings.keys.items() if name != self._command.name}
        self.chosen.emit(NAME, kept)


def _conflict(command: Command, keys: tuple[str, ...], settings: Settings) -> str:
    for each in keys:
        others = rivals(command.name, each, settings.keys)
        if others:
            native = QKeySequence(each).toString(QKeySequence.SequenceFormat.NativeText)
            return f"{native} is also wanted by “{others[0]}”; the upper one of them has it."
    return ""

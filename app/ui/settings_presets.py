"""The person's own presets: made from another one, named, changed, deleted. Knows the numbers of a preset."""

import uuid
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.kinds import LONGEST_NAME, MOST_ENTRIES
from app.presets import PRESETS, Preset
from app.settings import Settings
from app.ui.settings_controls import StillSpinBox, Unfolding
from app.ui.settings_rows import Row, quiet_words
from app.ui.theme import Theme
from app.ui.toggle import Toggle

NAME = "presets"
NUMBERS = (
    ("temperature", "Temperature", 0.0, 2.0, "0 always takes the likeliest word"),
    ("top_p", "Top p", 0.01, 1.0, "1 is off"),
    ("min_p", "Min p", 0.0, 1.0, "0 is off"),
    ("presence_penalty", "Presence penalty", -2.0, 2.0, "against repeating"),
)
BUILT_IN = "This one belongs to the model and stays as it is; make one like it to change it."


class PresetsRow(Row):
    """All presets in a list, the numbers of one of them below it."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("presets own temperature top p top k min p presence penalty sampling name thinking new delete")
        self._own: tuple[Preset, ...] = ()
        self._key = PRESETS[0].key
        self.list = Unfolding(theme)
        self.list.setAccessibleName("Preset to look at")
        self.list.activated.connect(self._on_activated)
        self.add, self.delete = QPushButton("New like this"), QPushButton("Delete")
        self.name = QLineEdit()
        self.name.setObjectName("field")
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setAccessibleName("Name of the preset")
        self.thinking = Toggle("With thinking", theme)
        self.thinking.setAccessibleName("The preset goes with thinking")
        self.top_k = StillSpinBox()
        self.top_k.setRange(0, 1000)
        self.numbers = {field: _number(least, most) for field, _words, least, most, _hint in NUMBERS}
        self.said = quiet_words(BUILT_IN)
        for button, slot in ((self.add, self._on_add_clicked), (self.delete, self._on_delete_clicked)):
            button.setAutoDefault(False)
            button.clicked.connect(slot)
        self.name.editingFinished.connect(self._on_edited)
        self.thinking.clicked.connect(self._on_edited)
        boxes: list[StillSpinBox | QDoubleSpinBox] = [self.top_k, *self.numbers.values()]
        for box in boxes:
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_edited)
        self._arrange()

    def _arrange(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.list, 1)
        top.addWidget(self.add)
        top.addWidget(self.delete)
        grid = QGridLayout()
        grid.setColumnStretch(2, 1)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(6)
        self._line(grid, "Name", self.name, "")
        for field, words, _least, _most, hint in NUMBERS:
            self._line(grid, words, self.numbers[field], hint)
        self._line(grid, "Top k", self.top_k, "0 is off")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 5, 0, 5)
        column.setSpacing(10)
        column.addLayout(top)
        column.addWidget(self.said)
        column.addLayout(grid)
        column.addWidget(self.thinking)

    def _line(self, grid: QGridLayout, words: str, field: QWidget, hint: str) -> None:
        row = grid.rowCount()
        grid.addWidget(QLabel(words), row, 0)
        if hint:
            field.setAccessibleName(words)
            field.setFixedWidth(96)
            grid.addWidget(field, row, 1)
            grid.addWidget(quiet_words(hint), row, 2)
        else:
            grid.addWidget(field, row, 1, 1, 2)

    def show_settings(self, settings: Settings) -> None:
        """Show the presets as they are now, and the numbers of the one that is looked at."""
        self._own = settings.presets
        every = (*PRESETS, *self._own)
        names = [preset.name for preset in every]
        if names != [self.list.itemText(at) for at in range(self.list.count())]:
            self.list.clear()
            self.list.addItems(names)
        at = next((at for at, preset in enumerate(every) if preset.key == self._key), 0)
        self._key = every[at].key
        self.list.setCurrentIndex(at)
        self._show(every[at])

    def _show(self, preset: Preset) -> None:
        mine = preset in self._own
        fields: list[QWidget] = [self.name, self.thinking, self.top_k, *self.numbers.values()]
        for field in fields:
            field.blockSignals(True)
            field.setEnabled(mine)
        self.name.setText(preset.name)
        self.thinking.setChecked(preset.thinking)
        self.top_k.setValue(preset.sampling.top_k)
        for name, box in self.numbers.items():
            box.setValue(getattr(preset.sampling, name))
        for field in fields:
            field.blockSignals(False)
        self.delete.setEnabled(mine)
        self.add.setEnabled(len(self._own) < MOST_ENTRIES)
        self.said.setVisible(not mine)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.list.theme = theme
        self.thinking.apply_theme(theme)

    @Slot(int)
    def _on_activated(self, at: int) -> None:
        preset = (*PRESETS, *self._own)[at]
        self._key = preset.key
        self._show(preset)

    @Slot()
    def _on_add_clicked(self) -> None:
        like = (*PRESETS, *self._own)[self.list.currentIndex()]
        fresh = replace(like, key=f"own-{uuid.uuid4().hex}", name=f"{like.name[: LONGEST_NAME - 8]}, mine")
        self._key = fresh.key
        self.chosen.emit(NAME, (*self._own, fresh))
        self.name.setFocus()
        self.name.selectAll()

    @Slot()
    def _on_delete_clicked(self) -> None:
        key, self._key = self._key, PRESETS[0].key
        self.chosen.emit(NAME, tuple(preset for preset in self._own if preset.key != key))

    @Slot()
    def _on_edited(self) -> None:
        before = next((preset for preset in self._own if preset.key == self._key), None)
        if before is None:
            return
        numbers: dict[str, Any] = {name: round(box.value(), 2) for name, box in self.numbers.items()}
        sampling = replace(before.sampling, top_k=self.top_k.value(), **numbers)
        name = " ".join(self.name.text().split()) or before.name
        after = replace(before, name=name, thinking=self.thinking.isChecked(), sampling=sampling)
        if after != before:
            self.chosen.emit(NAME, tuple(after if preset is before else preset for preset in self._own))


def _number(least: float, most: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setObjectName("field")
    box.lineEdit().setTextMargins(7, 0, 7, 0)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.setRange(least, most)
    box.setSingleStep(0.05)
    box.setDecimals(2)
    return box

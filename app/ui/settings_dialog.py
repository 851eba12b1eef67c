"""The settings, section below section, with a search over all of them: built from the table, it names none itself.

Knows rows and sections. Emits what was chosen and what is to be the default again; changes nothing. The rows in sight
are there at once, the others a few at a time, so that it opens without holding up an answer that streams.
"""

from collections.abc import Iterator
from itertools import islice

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFont, QResizeEvent
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.settings import KEYS, MODEL, PRESETS, PROMPTS, SECTIONS, Settings, declared
from app.ui import theme as look
from app.ui.commands import COMMANDS
from app.ui.settings_keys import KeyRow
from app.ui.settings_presets import PresetsRow
from app.ui.settings_prompts import PromptsRow
from app.ui.settings_rows import DoorRow, Row, SettingRow, quiet_words
from app.ui.theme import Theme

SIZE = QSize(780, 640)
NAV_WIDTH, NAV_FROM = 168, 660
FIRST, STEP = 9, 2
"""Rows that are there at once, and that come with every turn of the event loop."""
NOTHING = "No setting has these words."
AT_THE_END = (
    "If a change above needs it, the model is loaded again once you close the settings; an answer that is being "
    "written ends there."
)


class SettingsDialog(QDialog):
    """Emits `chosen` with a setting and its value, `reset` with one that is to be its default."""

    chosen = Signal(str, object)
    reset = Signal(str)
    memory_requested = Signal()

    def __init__(self, settings: Settings, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.search = QLineEdit()
        self.search.setObjectName("field")
        self.search.setPlaceholderText("Search in the settings")
        self.search.setAccessibleName("Search in the settings")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._on_search_changed)
        self.sections = QListWidget()
        self.sections.setObjectName("settingSections")
        self.sections.setAccessibleName("Sections")
        self.sections.addItems(list(SECTIONS))
        for at in range(self.sections.count()):
            self.sections.item(at).setSizeHint(QSize(NAV_WIDTH, look.scaled(32)))
        self.sections.setFixedWidth(look.scaled(NAV_WIDTH))
        self.sections.currentTextChanged.connect(self.go_to)
        self.sections.itemClicked.connect(self._on_section_clicked)
        self.rows: list[Row] = []
        self._headings: dict[str, QLabel] = {}
        self._of_section: dict[str, list[Row]] = {section: [] for section in SECTIONS}
        self._columns: dict[str, QVBoxLayout] = {}
        self._coming = _rows(theme)
        self._settings = settings
        self.whole = False
        """Whether every row is there."""
        self.nothing = quiet_words(NOTHING)
        self.nothing.hide()
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(self._inside())
        self._arrange()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(0)
        self._settle.timeout.connect(self._on_settled)
        self._wanted = ""
        self._more = QTimer(self)
        self._more.setInterval(0)
        self._more.timeout.connect(self._on_more_due)
        self._more.start()
        self._build(FIRST)
        self.search.setFocus()

    # ---- building --------------------------------------------------------------------------------------------------

    def _inside(self) -> QWidget:
        inside = QWidget()
        inside.setObjectName("scrollInside")
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 0, 14, 12)
        column.setSpacing(0)
        for section in SECTIONS:
            heading = QLabel(section)
            heading.setObjectName("settingHeading")
            heading.setIndent(0)
            heading.setFont(look.text_font(look.TEXT_SIZE + 1, QFont.Weight.DemiBold))
            self._headings[section] = heading
            column.addWidget(heading)
            self._columns[section] = QVBoxLayout()
            column.addLayout(self._columns[section])
        column.addWidget(self.nothing)
        column.addStretch(1)
        return inside

    def _build(self, some: int | None) -> None:
        """Make so many of the rows that are still to come; all of them for None."""
        coming = list(islice(self._coming, some))
        for section, row in coming:
            row.chosen.connect(self.chosen)
            row.reset.connect(self.reset)
            if isinstance(row, DoorRow):
                row.opened.connect(self._on_memory_opened)
            self._of_section[section].append(row)
            self.rows.append(row)
            self._columns[section].addWidget(row)
            row.show_settings(self._settings)
        if some is None or len(coming) < some:
            self.whole = True
            self._more.stop()
            self._settle.start()

    @Slot()
    def _on_more_due(self) -> None:
        self._build(STEP)

    def _arrange(self) -> None:
        shut = QPushButton("Close")
        shut.setAutoDefault(False)
        shut.clicked.connect(self.close)
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.search, 1)
        top.addWidget(shut)
        sides = QHBoxLayout()
        sides.setSpacing(16)
        sides.addWidget(self.sections)
        sides.addWidget(self.area, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 8, 10)
        column.setSpacing(12)
        column.addLayout(top)
        column.addLayout(sides, 1)
        top.setContentsMargins(0, 0, 10, 0)
        window = self.parentWidget()
        room = window.size() - QSize(32, 48) if window is not None else SIZE
        self.setMinimumSize(420, 320)
        self.resize(SIZE.boundedTo(room.expandedTo(self.minimumSize())))

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_settings(self, settings: Settings) -> None:
        """Show what is chosen now."""
        self._settings = settings
        for row in self.rows:
            row.show_settings(settings)

    @Slot(str)
    def go_to(self, section: str) -> None:
        """Scroll to a section, once everything has its place; a search that hides it ends."""
        self._wanted = section
        heading = self._headings.get(section)
        if heading is not None and heading.isHidden():
            self.search.clear()
        if self.whole:
            self._settle.start()

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        for row in self.rows:
            row.apply_theme(theme)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Leave out the list of sections where there is no room for it: they follow each other anyhow."""
        super().resizeEvent(event)
        self.sections.setVisible(look.room(self.width()) >= NAV_FROM)

    def done(self, result: int) -> None:
        """Keep what is being written before it closes."""
        writing = self.focusWidget()
        if writing is not None:
            writing.clearFocus()  # a name or a number is taken when the keyboard leaves it
        for row in self.rows:
            if isinstance(row, PromptsRow):
                row.keep()
        super().done(result)

    @Slot(QListWidgetItem)
    def _on_section_clicked(self, item: QListWidgetItem) -> None:
        self.go_to(item.text())  # also the one that was chosen last, from where one has scrolled since

    @Slot()
    def _on_settled(self) -> None:
        heading = self._headings.get(self._wanted)
        if heading is not None:
            self.area.verticalScrollBar().setValue(heading.y())

    @Slot(str)
    def _on_search_changed(self, text: str) -> None:
        self._build(None)
        words = text.casefold().split()
        some = False
        for section, rows in self._of_section.items():
            named = all(word in section.casefold() for word in words)
            found = [row for row in rows if named or row.matches(words)]
            for row in rows:
                row.setVisible(row in found)
            self._headings[section].setVisible(bool(found))
            some = some or bool(found)
        self.nothing.setVisible(not some)
        self.area.verticalScrollBar().setValue(0)

    @Slot()
    def _on_memory_opened(self) -> None:
        self.close()
        self.memory_requested.emit()


def _rows(theme: Theme) -> Iterator[tuple[str, Row]]:
    """Every row with its section, made when it is asked for."""
    for section in SECTIONS:
        if section == PRESETS:
            yield section, PresetsRow(theme)
        elif section == PROMPTS:
            yield section, PromptsRow(theme)
        elif section == KEYS:
            yield from ((section, KeyRow(command, theme)) for command in COMMANDS)
        else:
            yield from (
                (section, SettingRow(name, each, theme)) for name, each in declared() if each.section == section
            )
        if section == MODEL:
            hint = f"What the model takes of the GPU, as a plan. {AT_THE_END}"
            yield section, DoorRow("Memory", hint, "Memory plan…")

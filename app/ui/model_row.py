"""One model of the list: what it is, whether it is sound, and what can be done with it. Emits intents by its folder.

Knows words and buttons. Does not know files: whether a folder is there is told.
"""

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from app.ui import figures
from app.ui.card import Card, button, heading, words
from app.ui.flow_layout import FlowLayout
from app.ui.icon_button import IconButton
from app.ui.plain_tip import plain_tip
from app.ui.theme import Theme


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as it stands in the list. `folder` is empty for the demo model, which is always there. `state` is a
    sentence about its files, `bad` if it is no good news; `recorded`: there is a record to compare them with."""

    folder: str
    name: str
    details: str
    state: str = ""
    bad: bool = False
    in_use: bool = False
    there: bool = True
    recorded: bool = False
    repairable: bool = False
    checking: bool = False
    size: int = 0


class ModelRow(Card):
    """Every signal carries the folder."""

    use_requested = Signal(str)
    check_requested = Signal(str)
    give_up_requested = Signal(str)
    repair_requested = Signal(str)
    contents_requested = Signal(str)
    reveal_requested = Signal(str)
    find_requested = Signal(str)
    trash_requested = Signal(str)
    forget_requested = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.listed = Listed("", "", "")
        self.name = heading("")
        self.details = words(muted=True)
        self.state = words(muted=True)
        self.question = words()
        self.contents = QWidget()
        self._grid = QGridLayout(self.contents)
        self._grid.setContentsMargins(0, 4, 0, 4)
        self._grid.setHorizontalSpacing(18)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self.use = button("Use")
        self.use.clicked.connect(self._on_use_clicked)
        self.more = IconButton("more", "What can be done with this model", theme)
        self.more.setObjectName("rowMore")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(self._menu())
        said = QVBoxLayout()
        said.setSpacing(2)
        for part in (self.name, self.details, self.state):
            said.addWidget(part)
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addLayout(said, 1)
        top.addWidget(self.use)
        top.addWidget(self.more)
        self.column.addLayout(top)
        self.column.addWidget(self.contents)
        self.column.addWidget(self.question)
        self.column.addLayout(self._ways())
        self.contents.hide()
        self._asks = False

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        self.check = menu.addAction("Check every file")
        self.check.triggered.connect(self._on_check_triggered)
        self.holds = menu.addAction("What it holds")
        self.holds.triggered.connect(self._on_holds_triggered)
        self.reveal = menu.addAction("Show in the file manager")
        self.reveal.triggered.connect(self._on_reveal_triggered)
        menu.addSeparator()
        self.remove = menu.addAction("Remove…")
        self.remove.triggered.connect(self._on_remove_triggered)
        return menu

    def _ways(self) -> FlowLayout:
        self.trash, self.forget, self.keep = (
            button("Move to the trash"),
            button("Only take it off the list"),
            button("Keep it"),
        )
        self.repair, self.locate, self.stop = button("Repair"), button("Find the folder…"), button("Stop checking")
        self.trash.clicked.connect(self._on_trash_clicked)
        self.forget.clicked.connect(self._on_forget_clicked)
        self.keep.clicked.connect(self._on_keep_clicked)
        self.repair.clicked.connect(self._on_repair_clicked)
        self.locate.clicked.connect(self._on_find_clicked)
        self.stop.clicked.connect(self._on_stop_clicked)
        row = FlowLayout(8)
        for each in (self.repair, self.locate, self.stop, self.trash, self.forget, self.keep):
            row.addWidget(each)
        return row

    def show_model(self, listed: Listed) -> None:
        """Show it as it is now."""
        self.listed = listed
        self.name.setText(listed.name)
        self.details.setText(listed.details)
        self.details.setToolTip(plain_tip(listed.folder))
        self.state.setText(listed.state)
        self.state.setVisible(bool(listed.state))
        self.state.setObjectName("remarks" if listed.bad else "figures")
        self.state.style().unpolish(self.state)
        self.state.style().polish(self.state)
        self.use.setText("In use" if listed.in_use else "Use")
        self.use.setEnabled(not listed.in_use)
        self.use.setVisible(listed.there)
        self.use.setAccessibleName(f"Use {listed.name}")
        self.more.setVisible(bool(listed.folder))
        self.check.setEnabled(listed.there and listed.recorded and not listed.checking)
        self.holds.setEnabled(listed.there)
        self.reveal.setEnabled(listed.there)
        self._show_ways()

    def show_contents(self, rows: tuple[tuple[str, str], ...], odd: tuple[str, ...]) -> None:
        """Unfold what the folder holds; nothing folds it again."""
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for at, (name, value) in enumerate(rows):
            self._grid.addWidget(words(name, muted=True), at, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(words(value), at, 1)
        for at, sentence in enumerate(odd, len(rows)):
            self._grid.addWidget(words(sentence, name="remarks"), at, 0, 1, 2)
        self.contents.setVisible(bool(rows or odd))

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self.more.apply_theme(theme)

    def _show_ways(self) -> None:
        listed = self.listed
        self.question.setVisible(self._asks)
        if listed.there:
            self.question.setText(
                f"Move {listed.folder} to the trash? Emptying the trash then frees {figures.size(listed.size)}."
            )
        else:
            self.question.setText("Take it off the list? If its disk comes back, the folder can be chosen again.")
        self.trash.setVisible(self._asks and listed.there)
        self.forget.setVisible(self._asks)
        self.keep.setVisible(self._asks)
        self.repair.setVisible(listed.repairable and not self._asks)
        self.locate.setVisible(not listed.there and not self._asks)
        self.stop.setVisible(listed.checking and not self._asks)

    def _ask(self, *, asks: bool) -> None:
        self._asks = asks
        self._show_ways()

    @Slot()
    def _on_use_clicked(self) -> None:
        self.use_requested.emit(self.listed.folder)

    @Slot()
    def _on_check_triggered(self) -> None:
        self.check_requested.emit(self.listed.folder)

    @Slot()
    def _on_stop_clicked(self) -> None:
        self.give_up_requested.emit(self.listed.folder)

    @Slot()
    def _on_holds_triggered(self) -> None:
        if self.contents.isHidden():
            self.contents_requested.emit(self.listed.folder)
        else:
            self.contents.hide()

    @Slot()
    def _on_reveal_triggered(self) -> None:
        self.reveal_requested.emit(self.listed.folder)

    @Slot()
    def _on_repair_clicked(self) -> None:
        self.repair_requested.emit(self.listed.folder)

    @Slot()
    def _on_find_clicked(self) -> None:
        self.find_requested.emit(self.listed.folder)

    @Slot()
    def _on_remove_triggered(self) -> None:
        self._ask(asks=True)

    @Slot()
    def _on_keep_clicked(self) -> None:
        self._ask(asks=False)

    @Slot()
    def _on_trash_clicked(self) -> None:
        self._ask(asks=False)
        self.trash_requested.emit(self.listed.folder)

    @Slot()
    def _on_forget_clicked(self) -> None:
        self._ask(asks=False)
        self.forget_requested.emit(self.listed.folder)

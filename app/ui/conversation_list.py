"""The list of conversations: folders, pinned ones, then the last used below the names of their days.

Knows: a menu for each row, renaming in place, folding, dragging into a folder. Does not know what a conversation is;
emits intents. A model and not one item for each, so that ten thousand conversations cost no more than those in sight.
"""

from datetime import datetime

from PySide6.QtCore import QModelIndex, QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QAction,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QKeySequence,
)
from PySide6.QtWidgets import QListView, QMenu, QWidget

from app.ui.conversation_drawing import Drawing
from app.ui.conversation_rows import (
    DRAGGED,
    FOLDED,
    FOLDER,
    INSIDE,
    KEY,
    PINNED,
    Entry,
    Rows,
    folders_of,
    rows_of,
)
from app.ui.theme import Theme

NEW_FOLDER = "New folder"
MENU_GONE_MS = 60
"""After a menu was closed its window still loses the focus for a moment, which would end a field at once."""


class ConversationList(QListView):
    """Emits the key of the conversation that something is wanted of."""

    chosen = Signal(str)
    rename_requested = Signal(str, str)
    pin_requested = Signal(str, bool)
    export_requested = Signal(str)
    trash_requested = Signal(str)
    file_requested = Signal(str, str)
    folder_renamed = Signal(str, str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("conversations")
        self.setAccessibleName("Conversations")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.setDragEnabled(True)
        self.setAcceptDrops(True)
        self.setDropIndicatorShown(False)
        self._rows = Rows(self)
        self._rows.renamed.connect(self.rename_requested)
        self._rows.folder_renamed.connect(self.folder_renamed, Qt.ConnectionType.QueuedConnection)
        self.setModel(self._rows)
        self._drawing = Drawing(theme, self)
        self.setItemDelegate(self._drawing)
        self.selectionModel().currentChanged.connect(self._on_current_changed)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu_requested)
        self.clicked.connect(self._on_clicked)
        self._showing = False
        self._entries: list[Entry] = []
        self._current = ""
        self._folded: set[str] = set()
        self._written = "", ""

    def count(self) -> int:
        """How many rows there are, headings included."""
        return self._rows.rowCount()

    def set_row(self, row: int) -> None:
        """Choose what stands in a row, as a click does."""
        self.setCurrentIndex(self._rows.index(row))

    def words(self) -> list[str]:
        """What stands in the rows."""
        return [str(self._rows.index(row).data()) for row in range(self.count())]

    def show_entries(self, entries: list[Entry], current: str) -> None:
        """Show conversations, the last used first. The folder of one that was not shown before is unfolded."""
        folder = next((entry.folder for entry in entries if entry.key == current), "")
        if current != self._current:
            self._folded.discard(folder)
        stays = self.currentIndex().data(FOLDER) if current == self._current else None
        self._entries, self._current = entries, current
        self._showing = True  # choosing follows from what is shown here, it is no intent
        self._rows.show(rows_of(entries, datetime.now().date(), self._folded))
        row = self._rows.row_of_folder(stays) if stays else -1
        row = row if row >= 0 else self._rows.row_of(current)
        self.setCurrentIndex(self._rows.index(row) if row >= 0 else QModelIndex())
        self._showing = False

    def fold(self, name: str, folded: bool) -> None:
        """Hide what lies in a folder, or show it."""
        self._folded = self._folded | {name} if folded else self._folded - {name}
        self.show_entries(self._entries, self._current)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._drawing.theme = theme
        self.scheduleDelayedItemsLayout()  # the text may have another size now
        self.viewport().update()

    def menu_for(self, row: int) -> QMenu | None:
        """The menu of a conversation or a folder; None for a heading."""
        index = self._rows.index(row)
        if index.data(FOLDER):
            return self._folder_menu(index)
        if not index.data(KEY):
            return None
        menu = self._menu()
        pin = "Unpin" if index.data(PINNED) else "Pin"
        for words, what in (("Rename…", "rename"), (pin, "pin"), ("Export…", "export"), ("Move to trash", "trash")):
            _add(menu, words, what, index)
        self._add_folders(menu.addMenu("Move to folder"), index)
        return menu

    def offer_folders(self, key: str) -> None:
        """Ask which folder a conversation is to lie in."""
        folder = next((entry.folder for entry in self._entries if entry.key == key), "")
        if folder in self._folded:
            self.fold(folder, False)
        index = self._rows.index(self._rows.row_of(key))
        if index.isValid():
            self.setCurrentIndex(index)
            self.scrollTo(index)
            menu = self._menu()
            self._add_folders(menu, index)
            menu.popup(self.viewport().mapToGlobal(self.visualRect(index).bottomLeft()))
            menu.setActiveAction(menu.actions()[0])

    def _folder_menu(self, index: QModelIndex) -> QMenu:
        menu = self._menu()
        _add(menu, "Rename…", "rename", index)
        _add(menu, "Unfold" if index.data(FOLDED) else "Fold", "fold", index)
        _add(menu, "Remove folder, keep its conversations", "unfile", index)
        return menu

    def _add_folders(self, menu: QMenu, index: QModelIndex) -> None:
        for name in folders_of(self._entries):
            action = _add(menu, name.replace("&", "&&"), "file", index, name)
            action.setCheckable(True)
            action.setChecked(name == index.data(INSIDE))
        if menu.actions():
            menu.addSeparator()
        _add(menu, "New folder…", "new", index)
        if index.data(INSIDE):
            _add(menu, "No folder", "file", index, "")

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.triggered.connect(self._on_menu_chosen)
        return menu

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """F2 renames; on a folder, Left and Right fold and unfold it, Return and Space do the other of the two."""
        at = self.currentIndex()
        writing = self.state() == QListView.State.EditingState  # Return ends that, and comes here afterwards
        folder, key = "" if writing else at.data(FOLDER), event.key()
        if key == Qt.Key.Key_F2 and (at.data(KEY) or folder):
            self.edit(at)
        elif folder and key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.fold(folder, key == Qt.Key.Key_Left)
        elif folder and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.fold(folder, not at.data(FOLDED))
        else:
            super().keyPressEvent(event)

    # ---- dragging --------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """A conversation of this list can be dropped; anything else is the window's."""
        self._consider(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:  # noqa: N802
        """Show which folder it would fall into."""
        self._consider(event)

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:  # noqa: N802
        """It would fall into none."""
        self._aim(None)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Put it into the folder that it fell on, or on a conversation of; beside all folders, take it out."""
        if self._consider(event):
            key = bytes(event.mimeData().data(DRAGGED).data()).decode("utf-8", "replace")
            if any(entry.key == key for entry in self._entries):
                self.file_requested.emit(key, self._folder_at(event))
        self._aim(None)

    def _consider(self, event: QDropEvent) -> bool:
        ours = event.mimeData().hasFormat(DRAGGED) and event.source() in (self, None)
        if ours:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self._aim(self._folder_at(event))
        else:
            event.ignore()
        return ours

    def _folder_at(self, event: QDropEvent) -> str:
        return str(self.indexAt(event.position().toPoint()).data(INSIDE) or "")

    def _aim(self, folder: str | None) -> None:
        if folder != self._drawing.aim:
            self._drawing.aim = folder
            self.viewport().update()

    # ---- what is chosen --------------------------------------------------------------------------------------------

    @Slot(QModelIndex)
    def _on_clicked(self, index: QModelIndex) -> None:
        if index.data(FOLDER):
            self.fold(index.data(FOLDER), not index.data(FOLDED))

    @Slot(QModelIndex, QModelIndex)
    def _on_current_changed(self, now: QModelIndex, _before: QModelIndex) -> None:
        if not self._showing and now.isValid() and now.data(KEY):
            self.chosen.emit(now.data(KEY))

    @Slot(QPoint)
    def _on_menu_requested(self, place: QPoint) -> None:
        index = self.indexAt(place)
        if not index.isValid():
            return
        menu = self.menu_for(index.row())
        if menu is not None:
            menu.popup(self.viewport().mapToGlobal(place))

    @Slot(QAction)
    def _on_menu_chosen(self, action: QAction) -> None:
        what, key, pinned, folder = action.data()
        match what:
            case "rename":
                self._edit_later(key, folder)
            case "pin":
                self.pin_requested.emit(key, not pinned)
            case "export":
                self.export_requested.emit(key)
            case "trash":
                self.trash_requested.emit(key)
            case "file":
                self.file_requested.emit(key, folder)
            case "new":
                self._make_folder(key)
            case "fold":
                self.fold(folder, folder not in self._folded)
            case "unfile":
                self.folder_renamed.emit(folder, "")

    def _make_folder(self, key: str) -> None:
        """Put a conversation into a folder of its own, and have the person write its name."""
        taken, name, count = folders_of(self._entries), NEW_FOLDER, 1
        while name in taken:
            count += 1
            name = f"{NEW_FOLDER} {count}"
        self.file_requested.emit(key, name)
        self._edit_later("", name)

    def _edit_later(self, key: str, folder: str = "") -> None:
        self._written = key, folder
        QTimer.singleShot(MENU_GONE_MS, self._on_edit_due)

    @Slot()
    def _on_edit_due(self) -> None:
        key, folder = self._written
        index = self._rows.index(self._rows.row_of(key) if key else self._rows.row_of_folder(folder))
        if index.isValid():
            self.setFocus()
            self.setCurrentIndex(index)
            self.scrollTo(index)
            self.edit(index)


def _add(menu: QMenu, words: str, what: str, index: QModelIndex, folder: str | None = None) -> QAction:
    action = menu.addAction(words)
    within = index.data(FOLDER) if folder is None else folder
    action.setData((what, index.data(KEY), bool(index.data(PINNED)), within))
    if what == "rename":
        action.setShortcut(QKeySequence("F2"))
    return action

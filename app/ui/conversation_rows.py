"""What stands in the list of conversations: folders, pinned ones, then the last used below the names of their days.

Knows: entries, folders that are folded, headings. Does not know how they are drawn, nor what a conversation is.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtWidgets import QWidget

from app.ui.plain_tip import plain_tip

KEY, RUNNING, PINNED, FOLDER, FOLDED, INSIDE = (Qt.ItemDataRole.UserRole + at for at in range(6))
"""What a row says of itself; FOLDER is the name of the folder that it is, INSIDE of the one that it lies in."""
PINNED_HEADING = "Pinned"
DRAGGED = "application/x-parley-conversation"
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Entry:
    """A conversation as the list shows it; `folder` is empty for none."""

    key: str
    title: str
    used: datetime
    running: bool = False
    pinned: bool = False
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as the list shows it, with the number of conversations in it."""

    name: str
    count: int
    folded: bool


Row = Entry | Folder | str


def day_name(day: date, today: date) -> str:
    """The heading of a day; one that is still to come, because a clock was wrong, is today."""
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    if day > today - timedelta(days=7):
        return day.strftime("%A")
    if day.year == today.year:
        return day.strftime("%B")
    return day.strftime("%B %Y")


def folders_of(entries: list[Entry]) -> list[str]:
    """The names of all folders, as they are shown."""
    return sorted({entry.folder for entry in entries if entry.folder}, key=_alphabetic)


def rows_of(entries: list[Entry], today: date, folded: Collection[str] = ()) -> list[Row]:
    """Folders with their entries, of which pinned ones come first, then the others below their headings. A day never
    comes back further down, whatever a clock said meanwhile."""
    rows: list[Row] = []
    for name in folders_of(entries):
        inside = [entry for entry in entries if entry.folder == name]
        rows.append(Folder(name, len(inside), name in folded))
        if name not in folded:
            rows += [entry for entry in inside if entry.pinned]
            rows += [entry for entry in inside if not entry.pinned]
    loose = [entry for entry in entries if not entry.folder]
    pinned = [entry for entry in loose if entry.pinned]
    if pinned:
        rows += [PINNED_HEADING, *pinned]
    heading, reached = "", today
    for entry in loose:
        if entry.pinned:
            continue
        reached = min(reached, entry.used.date())
        if day_name(reached, today) != heading:
            heading = day_name(reached, today)
            rows.append(heading)
        rows.append(entry)
    return rows


class Rows(QAbstractListModel):
    """Headings, folders and entries."""

    renamed = Signal(str, str)
    folder_renamed = Signal(str, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: list[Row] = []

    def show(self, rows: list[Row]) -> None:
        """Hold these rows instead."""
        if rows == self._rows:
            return
        if [_key(row) for row in rows] == [_key(row) for row in self._rows]:
            self._rows = rows  # a place in the list, and an editor that is open in it, stay
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def row_of(self, key: str) -> int:
        """Where a conversation stands; -1 if nowhere."""
        return next((at for at, row in enumerate(self._rows) if isinstance(row, Entry) and row.key == key), -1)

    def row_of_folder(self, name: str) -> int:
        """Where a folder stands; -1 if there is none."""
        return next((at for at, row in enumerate(self._rows) if isinstance(row, Folder) and row.name == name), -1)

    def rowCount(self, _parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        """How many rows there are, headings included."""
        return len(self._rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Headings are only read; conversations can be dragged, and dropped on all that is in a folder or in none."""
        if not index.isValid() or isinstance(self._rows[index.row()], str):
            return Qt.ItemFlag.NoItemFlags
        usual = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable
        return usual | Qt.ItemFlag.ItemIsDragEnabled if isinstance(self._rows[index.row()], Entry) else usual

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """What a row says."""
        row = self._rows[index.row()] if 0 <= index.row() < len(self._rows) else ""
        if isinstance(row, str):
            return row if role == Qt.ItemDataRole.DisplayRole else None
        if isinstance(row, Folder):
            return self._folder_data(row, role)
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                return row.title
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(row.title)
            case _:
                said = {KEY: row.key, RUNNING: row.running, PINNED: row.pinned, INSIDE: row.folder}
                return said.get(role)

    def _folder_data(self, folder: Folder, role: int) -> object:
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                return folder.name
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(folder.name)
            case Qt.ItemDataRole.AccessibleTextRole:
                state = "folded" if folder.folded else "unfolded"
                return f"Folder {folder.name}, {folder.count} conversation{'s' * (folder.count != 1)}, {state}"
            case _:
                said = {FOLDER: folder.name, FOLDED: folder.folded, INSIDE: folder.name}
                return said.get(role)

    def setData(self, index: Index, value: object, _role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802
        """Want another name for a conversation or a folder."""
        row, name = self._rows[index.row()], str(value)
        if isinstance(row, Entry) and name != row.title:
            self.renamed.emit(row.key, name)
        elif isinstance(row, Folder) and name.strip() and name != row.name:
            self.folder_renamed.emit(row.name, name)
        else:
            return False
        return True

    # ---- dragging --------------------------------------------------------------------------------------------------

    def supportedDragActions(self) -> Qt.DropAction:  # noqa: N802
        """The view takes nothing out: who files a conversation shows the list anew."""
        return Qt.DropAction.CopyAction

    def mimeTypes(self) -> list[str]:  # noqa: N802
        """What a dragged conversation is offered as: nothing that another program would take."""
        return [DRAGGED]

    def mimeData(self, indexes: list[QModelIndex]) -> QMimeData:  # type: ignore[override]  # noqa: N802
        """A dragged conversation, by its key."""
        mime = QMimeData()
        mime.setData(DRAGGED, str(indexes[0].data(KEY)).encode() if indexes else b"")
        return mime


def _key(row: Row) -> str:
    if isinstance(row, Folder):
        return f"\1{row.name}"
    return row if isinstance(row, str) else f"\0{row.key}"


def _alphabetic(name: str) -> tuple[str, str]:
    return name.casefold(), name

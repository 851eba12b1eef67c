"""What the person does with whole conversations: look for them, name, pin, delete, export, import; find in one.

Knows which part asks for what and what the session and the library do about it. Does not know how the parts look.
"""

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from app.protocol import Hit
from app.ui.find_bar import mark
from app.ui.library import Form
from app.ui.revision import Revision
from app.ui.search_panel import SearchPanel
from app.ui.session import Session
from app.ui.shell import Shell
from app.ui.theme import Theme
from app.ui.trash_dialog import TrashDialog

UNDO_TRASH, UNDO_TURN = "undo_trash", "undo_turn"
IMPORTED = "Exports of Parley, ChatGPT, LM Studio, Open WebUI (*.json *.zip)"
FORMS: dict[Form, str] = {
    "markdown": "Markdown, to read (*.md)",
    "html": "HTML, one page with its pictures (*.html)",
    "json": "JSON, to import again (*.json)",
}
ENDINGS: dict[str, Form] = {".md": "markdown", ".html": "html", ".htm": "html", ".json": "json"}


class Shelf(QObject):
    """Connects the list, search, find, trash and files with the session."""

    def __init__(self, session: Session, revision: Revision, shell: Shell, theme: Theme, window: QWidget) -> None:
        super().__init__(window)
        self._revision = revision
        self._session, self._shell, self._theme, self._window = session, shell, theme, window
        self._trashed = ""
        self.panel = SearchPanel(theme, window)
        self.panel.words_changed.connect(self._on_words_changed)
        self.panel.chosen.connect(self._on_hit_chosen)
        session.library.found.connect(self.panel.show_hits)
        session.library.said.connect(self._on_said)
        listed, sidebar, bar = shell.sidebar.list, shell.sidebar, shell.find_bar
        sidebar.search_requested.connect(self.open_search)
        sidebar.trash_opened.connect(self.open_trash)
        listed.rename_requested.connect(self._on_rename_requested)
        listed.pin_requested.connect(session.library.pin)
        listed.file_requested.connect(session.library.file)
        listed.folder_renamed.connect(session.library.rename_folder)
        listed.trash_requested.connect(self._on_trash_requested)
        listed.export_requested.connect(self._on_export_requested)
        shell.transcript.delete_requested.connect(self._on_delete_requested)
        bar.asked.connect(self._on_asked)
        bar.moved.connect(self._on_moved)
        menu = shell.header.menu
        menu.export_all_requested.connect(self._on_export_all_requested)
        menu.import_requested.connect(self._on_import_requested)
        shell.notice.action_requested.connect(self._on_action_requested)

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.panel.apply_theme(theme)

    @Slot()
    def open_search(self) -> None:
        """Search all conversations."""
        self._shell.drawer.close()
        if self._session.library.searchable:
            self.panel.open()
        else:
            self._shell.notice.say("There is nothing to search in, because conversations are not saved at the moment.")

    @Slot()
    def open_trash(self) -> None:
        """Show the trash."""
        dialog = TrashDialog(self._session.library.trashed(), self._window)
        dialog.restore_requested.connect(self._session.library.restore)
        dialog.erase_requested.connect(self._session.erase)
        dialog.open()

    # ---- search and find -------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_words_changed(self, words: str) -> None:
        self._session.library.search(words)

    @Slot(object)
    def _on_hit_chosen(self, hit: Hit) -> None:
        self._session.reveal(hit.conversation, hit.message)
        if not hit.message or hit.message not in self._session.current.nodes:
            return
        found = self._messages_with(self.panel.words)
        if hit.message in found:
            self._shell.find_bar.show_words(self.panel.words, found, hit.message)
        else:  # it is in the thinking, or partly
            self._shell.transcript.reveal(hit.message)
            self._shell.transcript.thinking_requested.emit(hit.message)

    @Slot(str)
    def _on_asked(self, words: str) -> None:
        self._shell.find_bar.show_found(self._messages_with(words))

    @Slot(str)
    def _on_moved(self, key: str) -> None:
        transcript = self._shell.transcript
        for node in self._session.current.path():
            view = transcript.view_of(node.key)
            if view is not None and node.key != key:
                mark(view, [], self._theme)
        if key:
            transcript.reveal(key)
            view = transcript.view_of(key)
            if view is not None:
                below = mark(view, self._shell.find_bar.words.split(), self._theme)
                transcript.reveal(key, below)

    def _messages_with(self, words: str) -> list[str]:
        wanted = words.casefold().split()
        if not wanted:
            return []
        path = self._session.current.path()
        return [node.key for node in path if all(word in node.text.casefold() for word in wanted)]

    # ---- names, pins and the trash ---------------------------------------------------------------------------------

    @Slot(str, str)
    def _on_rename_requested(self, key: str, name: str) -> None:
        self._session.library.rename(key, name)

    @Slot(str)
    def _on_trash_requested(self, key: str) -> None:
        title = next((s.title for s in self._session.library.summaries if s.key == key), "")
        self._session.trash(key)
        self._trashed = key
        self._shell.notice.say(f"“{title}” is in the trash for 30 days.", UNDO_TRASH, "Undo", quiet=True)

    @Slot(str)
    def _on_delete_requested(self, key: str) -> None:
        if self._revision.delete_turn(key):
            self._shell.notice.say("The question and its answers are deleted.", UNDO_TURN, "Undo", quiet=True)

    @Slot(str)
    def _on_action_requested(self, action: str) -> None:
        if action == UNDO_TRASH:
            self._session.library.restore(self._trashed)
            self._session.open(self._trashed)
        elif action == UNDO_TURN:
            self._revision.undo_delete()

    # ---- files -----------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_export_requested(self, key: str) -> None:
        title = next((s.title for s in self._session.library.summaries if s.key == key), "conversation")
        self._ask_where("".join(c if c.isalnum() or c in " -_" else "_" for c in title)[:60], (key,))

    @Slot()
    def _on_export_all_requested(self) -> None:
        self._ask_where("Parley conversations", ())

    def _ask_where(self, name: str, keys: tuple[str, ...]) -> None:
        dialog = QFileDialog(self._window, "Export", name.strip() or "conversation")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters(list(FORMS.values()))
        dialog.setDefaultSuffix("md")
        dialog.filterSelected.connect(self._on_form_chosen)
        dialog.setProperty("keys", list(keys))
        dialog.fileSelected.connect(self._on_place_chosen)
        dialog.open()

    @Slot(str)
    def _on_form_chosen(self, words: str) -> None:
        dialog = self.sender()
        if isinstance(dialog, QFileDialog):
            dialog.setDefaultSuffix(words.rsplit("*.", 1)[-1].strip(")"))

    @Slot(str)
    def _on_place_chosen(self, path: str) -> None:
        dialog = self.sender()
        if isinstance(dialog, QFileDialog):
            form = next(form for form, words in FORMS.items() if words == dialog.selectedNameFilter())
            self.export(path, form, tuple(dialog.property("keys") or ()))

    def export(self, path: str, form: Form, keys: tuple[str, ...]) -> None:
        """Write conversations to a file; its ending says the form, unless it has another."""
        told = ENDINGS.get(Path(path).suffix.lower())
        ending = next(ending for ending, each in ENDINGS.items() if each == form)
        self._session.library.export(told or form, path if told else path + ending, keys)

    @Slot()
    def _on_import_requested(self) -> None:
        dialog = QFileDialog(self._window, "Import conversations", "", IMPORTED)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self._session.library.bring_in)
        dialog.open()

    @Slot(str)
    def _on_said(self, sentence: str) -> None:
        self._shell.notice.say(sentence, quiet=True)

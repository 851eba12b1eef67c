"""The page about models at work: the first start, what this computer has, a download from its button to its end.

Knows the page and what follows from each of its intents. Does not know how it looks; the list is `model_list`'s, and a
model is loaded by whoever changes the settings.
"""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app import paths
from app.models import recommended
from app.models.fit import short_disk, verdict
from app.programs import program
from app.protocol import Surveyed
from app.ui.clerk import Clerk
from app.ui.connections_dialog import ConnectionsDialog
from app.ui.fetching import Fetching
from app.ui.inspection import Found
from app.ui.leave_question import LeaveQuestion
from app.ui.model_folders import ModelFolders
from app.ui.model_list import ModelList
from app.ui.model_words import connection
from app.ui.session import Session
from app.ui.shell import Shell
from app.ui.state import Ready, State
from app.ui.theme import Theme

LOAD_FETCHED, SHOW_MODELS = "load_fetched", "show_models"
BUSY = "Another download is not finished: let it finish or cancel it, then repair this."


class ModelDesk(QObject):
    """Emits the settings that it wants to be changed; with "model" among them, that model is to be loaded. Emits
    `quit_wanted` when the person was asked about a download that is under way, and wants to quit; `left` when the
    conversation is to be seen again."""

    settings_wanted = Signal(dict)
    quit_wanted = Signal()
    left = Signal()

    def __init__(self, session: Session, shell: Shell, theme: Theme, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._shell, self._theme, self._window = session, shell, theme, window
        self.page = shell.models
        self.found: Surveyed | None = None
        self.fetching = Fetching(program("downloader"), self)
        self.clerk = Clerk(program("downloader"), self)
        self.list = ModelList(session, self.clerk, program("engine"), self)
        self.folders = ModelFolders(window)
        self._first = False
        self._may_close = False
        self._connect()

    def _connect(self) -> None:
        page, offer, fetching = self.page, self.page.offer, self.fetching
        menu = self._shell.header.menu
        for opener in (menu, self._shell.empty):
            opener.models_requested.connect(self.open)
        menu.connections_requested.connect(self.open_connections)
        self._shell.notice.action_requested.connect(self._on_action_requested)
        self._session.state_changed.connect(self._on_state_changed)
        self._session.path_changed.connect(self._on_path_changed)
        page.left.connect(self.leave)
        page.demo_requested.connect(self._on_demo_requested)
        page.own_folder_requested.connect(self._on_own_folder_requested)
        page.row_added.connect(self.list.connect_row)
        offer.download_requested.connect(self.download)
        offer.folder_requested.connect(self._on_place_requested)
        offer.pause_requested.connect(fetching.pause)
        offer.go_on_requested.connect(fetching.go_on)
        offer.cancel_requested.connect(fetching.cancel)
        offer.dismissed.connect(fetching.dismiss)
        offer.load_requested.connect(self._on_load_requested)
        fetching.changed.connect(self._on_fetching_changed)
        fetching.arrived.connect(self._on_arrived)
        self.folders.place_chosen.connect(self._on_place_chosen)
        self.folders.own_chosen.connect(self._on_own_folder_chosen)
        self.folders.moved.connect(self.list.moved)
        self.clerk.surveyed.connect(self._on_surveyed)
        self.clerk.unseen.connect(page.computer.sentence.setText)
        self.list.changed.connect(self.refresh)
        self.list.wanted.connect(self._on_wanted)
        self.list.repair_wanted.connect(self._on_repair_wanted)
        self.list.find_wanted.connect(self._on_find_wanted)
        self.list.contents_found.connect(self._on_contents_found)
        self.list.told.connect(self._on_told)
        self.list.warned.connect(self._on_warned)

    # ---- the page --------------------------------------------------------------------------------------------------

    @Slot()
    def begin(self) -> None:
        """Take up what the last window left: the list, a download, and the page of the first start."""
        settings = self._session.settings
        if not settings.welcomed and not settings.model:
            self._open(first=True)
        self.fetching.proxy = settings.proxy
        if self.list.catalogue.unfinished is not None:
            self.fetching.remember(self.list.catalogue.unfinished)
        self.list.begin()

    @Slot()
    def open(self) -> None:
        """Show the page."""
        self._open(first=False)

    def _open(self, *, first: bool) -> None:
        self._first = first
        self.page.set_first(first=first)
        self.page.put_offer_first(first=first or self.fetching.now.stage != "none")
        self._shell.drawer.close()
        self._shell.show_models()
        self.refresh()
        self._survey()

    @Slot()
    def leave(self) -> None:
        """Go back to the conversation; the page of the first start need not come by itself again."""
        self._shell.show_empty(not self._session.current.nodes)
        self._seen()
        self.left.emit()

    def _seen(self) -> None:
        if not self._session.settings.welcomed:
            self.settings_wanted.emit({"welcomed": True})

    @Slot()
    def open_connections(self) -> None:
        """Show which connections there can be."""
        settings = self._session.settings
        dialog = ConnectionsDialog(settings.proxy, self.fetching.token, self._theme, self._window)
        dialog.page.forbidden.connect(self._on_forbidden)
        dialog.page.proxy_chosen.connect(self._on_proxy_chosen)
        dialog.page.token_chosen.connect(self._on_token_chosen)
        dialog.open()

    def apply_theme(self, theme: Theme) -> None:
        """Draw the next dialog in other colours."""
        self._theme = theme

    @Slot()
    def refresh(self) -> None:
        """Show all that is known, if somebody looks."""
        if not self._shell.models_shown:
            return
        own, found = self._shell.status.own_bytes, self.found
        self.page.offer.show_folder(str(self._place()))
        self.page.offer.show_arrival(self.fetching.now)
        if found is not None:
            judged = verdict(found, recommended.NAME, recommended.SIZES, own)
            self.page.computer.show_found(found, judged)
            here = any(m.repository == recommended.REPOSITORY and m.there for m in self.list.catalogue.models)
            self.page.offer.show_verdict(judged, short_disk(found, recommended.DOWNLOAD), here=here)
        self.page.show_models(self.list.rows(found, own))

    def _survey(self) -> None:
        self.clerk.survey(str(self._place()))

    def _place(self) -> Path:
        chosen = self._session.settings.models_folder
        return Path(chosen) if chosen else paths.models_dir()

    @Slot(object)
    def _on_surveyed(self, found: Surveyed) -> None:
        self.found = found
        self.refresh()

    @Slot(object)
    def _on_state_changed(self, state: State) -> None:
        if isinstance(state, Ready) and self._shell.models_shown:
            self._survey()  # the GPU has another share free now

    @Slot()
    def _on_path_changed(self) -> None:
        if self._first and not self._shell.models_shown:
            self._seen()  # to ask something is a way to leave the page, too

    @Slot()
    def _on_demo_requested(self) -> None:
        self.leave()
        if self._session.settings.model:
            self._on_wanted("")

    @Slot(str)
    def _on_wanted(self, folder: str) -> None:
        self.settings_wanted.emit({"model": folder})

    @Slot(str)
    def _on_told(self, sentence: str) -> None:
        self._shell.notice.say(sentence, quiet=True)

    @Slot(str)
    def _on_warned(self, sentence: str) -> None:
        shown = self._shell.models_shown
        self._shell.notice.say(sentence, "" if shown else SHOW_MODELS, "" if shown else "Models…")

    @Slot(str, object)
    def _on_contents_found(self, folder: str, found: Found) -> None:
        row = self.page.rows.get(folder)
        if row is not None:
            row.show_contents(found.rows, found.odd)

    # ---- a download ------------------------------------------------------------------------------------------------

    @Slot(str)
    def download(self, repository: str) -> None:
        """Fetch a repository into a folder of its own."""
        name = repository.strip("/").split("/")[-2:]
        self._seen()
        self.fetching.begin(repository, str(self._place().joinpath(*name)))

    @Slot()
    def _on_fetching_changed(self) -> None:
        now, kept = self.fetching.now, self.list.catalogue.unfinished
        self._shell.status.show_connection(connection(now))
        left = now.unfinished
        same = left is not None and kept is not None and replace(left, done=kept.done, total=kept.total) == kept
        if not same:  # how far it is does not matter to the list before the window is closed
            self.list.keep(replace(self.list.catalogue, unfinished=left))
        if self._shell.models_shown:
            self.page.offer.show_arrival(now)
        elif now.stage == "failed":
            self._shell.notice.say(now.note, SHOW_MODELS, "Models…")

    @Slot(str)
    def _on_arrived(self, folder: str) -> None:
        now = self.fetching.now
        self.list.arrived(folder, now.repository, now.total)
        if not self._shell.models_shown:
            sentence = f"{recommended.name_of(now.repository)} is here, and every file was checked."
            self._shell.notice.say(sentence, LOAD_FETCHED, "Load it now", quiet=True)

    @Slot(str)
    def _on_load_requested(self, folder: str) -> None:
        self.fetching.dismiss()
        self.leave()
        self._on_wanted(folder)

    @Slot(str, str)
    def _on_repair_wanted(self, repository: str, folder: str) -> None:
        if self.fetching.now.stage in {"none", "arrived"}:
            self.fetching.begin(repository, folder)
            self.page.put_offer_first(first=True)
        else:
            self._on_warned(BUSY)

    @Slot(str)
    def _on_forbidden(self, kind: str) -> None:
        if kind == "models":
            self.fetching.halt()

    @Slot(str)
    def _on_proxy_chosen(self, proxy: str) -> None:
        self.settings_wanted.emit({"proxy": proxy})
        self.fetching.proxy = proxy

    @Slot(str)
    def _on_token_chosen(self, token: str) -> None:
        self.fetching.token = token

    # ---- folders ---------------------------------------------------------------------------------------------------

    @Slot()
    def _on_place_requested(self) -> None:
        self.folders.ask_place(self._place())

    @Slot(str)
    def _on_place_chosen(self, folder: str) -> None:
        self.settings_wanted.emit({"models_folder": folder})
        self.refresh()
        self._survey()

    @Slot()
    def _on_own_folder_requested(self) -> None:
        self.folders.ask_own(self._place())

    @Slot(str)
    def _on_own_folder_chosen(self, folder: str) -> None:
        self.leave()
        self._on_wanted(folder)

    @Slot(str)
    def _on_find_wanted(self, gone: str) -> None:
        self.folders.ask_gone(gone, self._place())

    # ---- the end ---------------------------------------------------------------------------------------------------

    def may_close(self) -> bool:
        """Whether the window may be closed at once; otherwise it is asked, and closed after a yes."""
        desktop = QGuiApplication.instance()
        ends = isinstance(desktop, QGuiApplication) and desktop.isSavingSession()  # nobody is there to ask
        if self._may_close or ends or not self.fetching.now.under_way:
            return True
        question = LeaveQuestion(self.fetching.now, self._window)
        question.quit_chosen.connect(self._on_quit_chosen)
        question.open()
        return False

    @Slot()
    def _on_quit_chosen(self) -> None:
        self._may_close = True
        self.quit_wanted.emit()

    def close(self) -> None:
        """End the processes, and keep how far the download is."""
        self._may_close = True
        self.list.keep(replace(self.list.catalogue, unfinished=self.fetching.now.unfinished))
        self.fetching.close()
        self.clerk.close()
        self.list.reader.close()

    @Slot(str)
    def _on_action_requested(self, action: str) -> None:
        if action == LOAD_FETCHED and self.fetching.now.stage == "arrived":
            self._on_load_requested(self.fetching.now.folder)
        elif action == SHOW_MODELS:
            self.open()

"""The window: its parts made and put together, what falls on it, how it is arranged, shown and closed.

Each responsibility has an object of its own, that connects itself: `preferences` (what was chosen), `thoughts` (whose
thinking is shown), `display` (what the session says), `revision` and `shelf` (messages, conversations), `model_choices`
and `models` (the loaded model, all models), `deeds` (what the keys do). Knows which there are. Does not know what any
of them shows.
"""

from PySide6.QtCore import QMimeData, Signal, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QFileDialog, QMainWindow

from app import connections
from app.chat.attachments import dialog_patterns
from app.settings import Settings
from app.ui.about import AboutDialog
from app.ui.deeds import Deeds
from app.ui.display import Display
from app.ui.drop_overlay import DropOverlay
from app.ui.incoming import acceptable, announcement, taken
from app.ui.link_dialog import LinkDialog
from app.ui.memory_desk import MemoryDesk
from app.ui.model_choices import ModelChoices
from app.ui.model_desk import ModelDesk
from app.ui.preferences import Preferences
from app.ui.remembering import Remembering
from app.ui.revision import Revision
from app.ui.session import AGAIN, ANSWER_NOW, STOP, Session
from app.ui.shelf import Shelf
from app.ui.shell import Shell
from app.ui.theme import Theme
from app.ui.thoughts import Thoughts

LEAST = 480
FILES = f"Pictures and videos ({dialog_patterns()});;All files (*)"


class MainWindow(QMainWindow):
    """Everything that is seen. If it `stays` it hides instead of closing; `quit_asked` means the whole program."""

    quit_asked = Signal()

    def __init__(self, session: Session, theme: Theme) -> None:
        super().__init__()
        self.session = session
        self.stays = False
        self.shell = Shell(theme, self)
        self.sidebar, self.header = self.shell.sidebar, self.shell.header
        self.pane, self.thinking_line = self.shell.pane, self.shell.thinking_line
        self.transcript, self.empty = self.shell.transcript, self.shell.empty
        self.notice, self.composer, self.status = self.shell.notice, self.shell.composer, self.shell.status
        self.setCentralWidget(self.shell)
        self.setAcceptDrops(True)
        self.setMinimumSize(LEAST, LEAST)
        self.overlay = DropOverlay(theme, self)
        self.preferences = Preferences(session, self.shell, theme, self)
        self.thoughts = Thoughts(session, self.shell, self.preferences)
        self.display = Display(session, self.shell, self.thoughts, self)
        self.revision = Revision(session, self)
        self.remembering = Remembering(session, self)
        self.shelf = Shelf(session, self.revision, self.shell, theme, self)
        self.model_choices = ModelChoices(session, self.shell, self.preferences, theme, self)
        self.models = ModelDesk(session, self.shell, theme, self)
        self.models.settings_wanted.connect(self.preferences.take_over)
        self.models.quit_wanted.connect(self.quit_asked)
        self.models.left.connect(self.thoughts.show)
        self.deeds = Deeds(self)
        self._connect_conversation()
        self._connect_window()
        self._restore()

    @property
    def settings(self) -> Settings:
        """The person's settings as they are now."""
        return self.session.settings

    @property
    def desk(self) -> MemoryDesk:
        """Where the memory plan is opened."""
        return self.model_choices.memory

    # ---- connecting ------------------------------------------------------------------------------------------------

    def _connect_conversation(self) -> None:
        """What is written and read: the composer, the transcript, the suggestions, the conversations."""
        session, composer, transcript, revision = self.session, self.composer, self.transcript, self.revision
        composer.submitted.connect(session.submit)
        composer.stop_requested.connect(session.stop)
        composer.attach_requested.connect(self.ask_for_files)
        composer.text_changed.connect(self._on_text_changed)
        composer.media_pasted.connect(self.on_media)
        composer.attachment_removed.connect(session.draft.remove)
        composer.refused.connect(self._on_refused)
        transcript.again_requested.connect(revision.again)
        transcript.version_requested.connect(revision.show_version)
        transcript.continue_requested.connect(revision.go_on)
        transcript.edited.connect(revision.edit)
        transcript.branch_requested.connect(revision.branch)
        for source in (transcript, self.pane.text, self.thinking_line.text):
            source.link_activated.connect(self._on_link_activated)
        transcript.remember_requested.connect(self.remembering.remember_all)
        self.notice.action_requested.connect(self.remembering.act)
        self.empty.suggestion_chosen.connect(self._on_suggestion_chosen)
        self.sidebar.new_requested.connect(self.begin_anew)
        self.sidebar.list.chosen.connect(self._on_conversation_chosen)
        self.notice.action_requested.connect(self._on_action_requested)

    def _connect_window(self) -> None:
        """What is about the window itself."""
        menu = self.header.menu
        menu.settings_requested.connect(self.preferences.open_settings)
        menu.keys_requested.connect(self.deeds.open_keys)
        menu.about_requested.connect(self._on_about_requested)
        menu.quit_requested.connect(self.quit_asked)
        self.header.sidebar.clicked.connect(self.toggle_sidebar)
        self.preferences.changed.connect(self._on_settings_changed)

    def _restore(self) -> None:
        settings = self.settings
        room, usual = self.screen().availableSize(), Settings()  # it may have been left on a larger screen
        width = min(max(LEAST, settings.window_width), max(room.width(), usual.window_width))
        self.resize(width, min(max(LEAST, settings.window_height), max(room.height(), usual.window_height)))
        self.shell.set_sidebar_width(settings.sidebar_width, width)
        self.shell.set_line_width(settings.line_width)
        self.preferences.show_choices()
        self.display.begin()
        self.composer.edit.setFocus()

    # ---- what the person wants -------------------------------------------------------------------------------------

    @Slot()
    def begin_anew(self) -> None:
        """Show an empty conversation."""
        self.session.new_conversation()
        self.shell.drawer.close()
        self.composer.edit.setFocus()

    @Slot(str)
    def _on_conversation_chosen(self, key: str) -> None:
        self.session.open(key)
        self.shell.drawer.close()

    @Slot()
    def toggle_sidebar(self) -> None:
        """Show the conversations, or hide them."""
        if self.shell.as_drawer:
            self.shell.drawer.toggle()
        else:
            self.preferences.change(sidebar_shown=not self.settings.sidebar_shown)

    @Slot(frozenset)
    def _on_settings_changed(self, names: frozenset[str]) -> None:
        if "sidebar_shown" in names:
            self._arrange()
        if "line_width" in names:
            self.shell.set_line_width(self.settings.line_width)
        if "keys" in names:
            self.deeds.bind()
        if "model" in names:
            self.header.menu.show_settings(self.settings)

    @Slot(str)
    def choose_model(self, folder: str) -> None:
        """Load the model in a folder, now and the next time."""
        self.model_choices.choose(folder)

    @Slot()
    def ask_for_files(self) -> None:
        """Ask which pictures and videos to attach."""
        dialog = QFileDialog(self, "Attach pictures or videos", "", FILES)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(self.session.draft.add_files)
        dialog.open()

    @Slot(QMimeData)
    def on_media(self, mime: QMimeData) -> None:
        """Attach what was dropped or pasted, or say why not."""
        incoming = taken(mime)
        if incoming.files:
            self.session.draft.add_files(incoming.files)
        elif incoming.picture:
            self.session.draft.add_bytes(incoming.picture, incoming.suffix)
        else:
            self.notice.say(incoming.sentence)
        self.composer.edit.setFocus()

    @Slot(str)
    def _on_text_changed(self, text: str) -> None:
        self.session.draft.set_text(text)
        if not self.notice.action:
            self.notice.hide()  # it was read, and something is done about it

    @Slot(str)
    def _on_refused(self, sentence: str) -> None:
        self.notice.say(sentence)

    @Slot(str)
    def _on_suggestion_chosen(self, text: str) -> None:
        written = self.session.draft.text.rstrip()
        self.composer.set_text(f"{written}\n\n{text}" if written else text)
        if not written:  # what the person has begun is theirs to send
            self.session.submit()

    @Slot(str)
    def _on_action_requested(self, action: str) -> None:
        if action == AGAIN:
            self.revision.last_again()
        elif action == ANSWER_NOW:
            self.session.answer_now()
        elif action == STOP:
            self.session.stop()

    @Slot(str)
    def _on_link_activated(self, address: str) -> None:
        if connections.allowed("links"):
            LinkDialog(address, self).open()
        else:
            self.notice.say("Links are switched off: switch them on under Connections in the menu.")

    @Slot()
    def _on_about_requested(self) -> None:
        AboutDialog(self).open()

    # ---- drag and drop ---------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Say what a drop will do."""
        mime = event.mimeData()
        if acceptable(mime) or mime.hasText():
            self.overlay.announce(*announcement(mime))
            event.acceptProposedAction()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:  # noqa: N802
        """Say no more."""
        self.overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Attach files and pictures, insert text."""
        self.overlay.hide()
        mime = event.mimeData()
        if acceptable(mime):
            self.on_media(mime)
        else:
            self.composer.insert(mime.text())
        event.acceptProposedAction()

    # ---- arrangement -----------------------------------------------------------------------------------------------

    def apply_theme(self, theme: Theme) -> None:
        """Draw everything in other colours, and in fonts of another size."""
        for part in (self.shell, self.overlay, self.shelf, self.model_choices, self.models, self.preferences):
            part.apply_theme(theme)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Arrange the parts for the new width."""
        super().resizeEvent(event)
        self._arrange()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Remember how the window was, and hide it if Parley stays in the tray."""
        self.preferences.change(
            window_width=self.normalGeometry().width() or self.width(),
            window_height=self.normalGeometry().height() or self.height(),
            window_maximized=self.isMaximized(),
            sidebar_width=self.shell.drawer.home_width,
        )
        if self.stays:
            self.hide()
            event.ignore()
        elif not self.models.may_close():
            event.ignore()
        else:
            super().closeEvent(event)

    def _arrange(self) -> None:
        self.shell.arrange(self.width(), self.settings)
        self.overlay.setGeometry(self.rect())
        self.thoughts.show()

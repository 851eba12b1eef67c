"""The window: connects the parts' intents to the session, and what the session says to the parts.

Knows which part shows what. Does not know where the parts are (`shell`), how an answer is drawn, or the protocol.
"""

import time
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QMimeData, QTimer, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import QFileDialog, QMainWindow

from app import settings as settings_store
from app.chat.attachments import dialog_patterns
from app.chat.conversation import Answer, Choices, Conversation
from app.programs import program
from app.settings import Settings
from app.ui.conversation_list import Entry
from app.ui.drop_overlay import DropOverlay
from app.ui.incoming import acceptable, announcement, taken
from app.ui.link_dialog import LinkDialog
from app.ui.memory_desk import MemoryDesk
from app.ui.preset_menu import PRESETS
from app.ui.revision import Revision
from app.ui.session import AGAIN, CHOOSE_MODEL, RESTART, Session
from app.ui.shelf import Shelf
from app.ui.shell import DRAWER_UP_TO, Shell
from app.ui.state import Answering, Dead, LoadingModel, Ready, Starting, State
from app.ui.theme import Theme
from app.ui.wording import model_lines, moment, remarks, speed, waits_for

TICK_MS = 500
ACTIONS = {RESTART: "Restart engine", CHOOSE_MODEL: "Open model folder…", AGAIN: "Answer again"}
FILES = f"Pictures and videos ({dialog_patterns()});;All files (*)"


class MainWindow(QMainWindow):
    """Everything that is seen."""

    def __init__(self, session: Session, theme: Theme) -> None:
        super().__init__()
        self.session = session
        self._subject = ""
        self._seen = session.current
        self.shell = Shell(theme, self)
        self.sidebar, self.header = self.shell.sidebar, self.shell.header
        self.pane, self.thinking_line = self.shell.pane, self.shell.thinking_line
        self.transcript, self.empty = self.shell.transcript, self.shell.empty
        self.notice, self.composer, self.status = self.shell.notice, self.shell.composer, self.shell.status
        self.setCentralWidget(self.shell)
        self.setAcceptDrops(True)
        self.setMinimumSize(480, 480)
        self.overlay = DropOverlay(theme, self)
        self.revision = Revision(session, self)
        self.shelf = Shelf(session, self.revision, self.shell, theme, self)
        self.desk = MemoryDesk(program("engine"), theme, self)
        self._tick = QTimer(self)
        self._tick.setInterval(TICK_MS)
        self._connect()
        self._restore()

    @property
    def settings(self) -> Settings:
        """The person's settings as they are now."""
        return self.session.settings

    # ---- building --------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        session, composer, transcript = self.session, self.composer, self.transcript
        session.state_changed.connect(self._on_state_changed)
        session.conversations_changed.connect(self._on_conversations_changed)
        session.path_changed.connect(self._on_path_changed)
        session.answer_changed.connect(self._on_answer_changed)
        session.gauges_changed.connect(self.status.show_memory)
        self.desk.context_chosen.connect(self._on_context_chosen)
        session.context_changed.connect(self.status.show_context)
        session.draft_replaced.connect(composer.set_text)
        session.noticed.connect(self._on_noticed)
        session.draft.changed.connect(self._on_draft_changed)
        composer.submitted.connect(session.submit)
        composer.stop_requested.connect(session.stop)
        composer.attach_requested.connect(self._on_attach_requested)
        composer.thinking_toggled.connect(self._on_thinking_toggled)
        composer.text_changed.connect(self._on_text_changed)
        composer.media_pasted.connect(self.on_media)
        composer.attachment_removed.connect(session.draft.remove)
        composer.refused.connect(self._on_refused)
        self.sidebar.new_requested.connect(self._on_new_requested)
        self.sidebar.list.chosen.connect(self._on_conversation_chosen)
        transcript.again_requested.connect(self.revision.again)
        transcript.version_requested.connect(self.revision.show_version)
        transcript.continue_requested.connect(self.revision.go_on)
        transcript.edited.connect(self.revision.edit)
        transcript.branch_requested.connect(self.revision.branch)
        transcript.thinking_requested.connect(self._on_thinking_requested)
        for source in (transcript, self.pane.text, self.thinking_line.text):
            source.link_activated.connect(self._on_link_activated)
        self.pane.fold_requested.connect(self._on_fold_requested)
        for form in (self.pane, self.thinking_line):
            form.answer_now_requested.connect(session.answer_now)
        self.thinking_line.unfold_requested.connect(self._on_unfold_requested)
        self.empty.suggestion_chosen.connect(self._on_suggestion_chosen)
        self.notice.action_requested.connect(self._on_action_requested)
        self.header.sidebar.clicked.connect(self._on_sidebar_toggled)
        self.header.preset.chosen.connect(self._on_preset_chosen)
        menu = self.header.menu
        menu.restart_requested.connect(session.start)
        menu.unload_requested.connect(session.unload)
        menu.setting_chosen.connect(self._on_setting_chosen)
        menu.memory_requested.connect(self._on_memory_requested)
        for opener in (menu, self.empty):
            opener.open_model_requested.connect(self._on_open_model_requested)
            opener.demo_requested.connect(self._on_demo_requested)
        for keys, slot in (
            ("Ctrl+N", self._on_new_requested),
            ("Ctrl+B", self._on_sidebar_toggled),
            ("Ctrl+O", self._on_attach_requested),
            ("Esc", self._on_escape),
            ("Ctrl+R", self.revision.last_again),
            ("Alt+Return", self.revision.go_on_with_last),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(slot)
        self.shell.pane_dragged.connect(self._on_pane_dragged)
        self._tick.timeout.connect(self._on_tick)

    def _restore(self) -> None:
        settings = self.settings
        room, usual = self.screen().availableSize(), Settings()  # it may have been left on a larger screen
        width = min(max(480, settings.window_width), max(room.width(), usual.window_width))
        self.resize(width, min(max(480, settings.window_height), max(room.height(), usual.window_height)))
        self.shell.set_sidebar_width(settings.sidebar_width, width)
        self.composer.thinking.setChecked(settings.thinking)
        self._show_settings()
        self._on_conversations_changed()
        self._on_path_changed(self.session.current)
        self._on_state_changed(self.session.state)
        self.composer.edit.setFocus()

    # ---- what the session says -------------------------------------------------------------------------------------

    @Slot(object)
    def _on_state_changed(self, state: State) -> None:
        now = time.monotonic()
        self.empty.show_state(state, now)
        self.transcript.set_waits_for(waits_for(state, now))
        self.sidebar.show_model(*model_lines(state, self.settings, now), remarks(state))
        busy = isinstance(state, LoadingModel | Answering)
        if busy != self._tick.isActive():
            self._tick.start() if busy else self._tick.stop()
        if isinstance(state, Starting | Ready) and self.notice.action in (RESTART, CHOOSE_MODEL):
            self.notice.hide()
        if isinstance(state, Starting | Dead):
            self.status.memory.hide()  # its figures were those of an engine that is gone
        self._show_settings()
        self._show_busy()

    @Slot()
    def _on_conversations_changed(self) -> None:
        session = self.session
        busy = session.busy()
        entries = [
            Entry(summary.key, summary.title, moment(summary.used_at), summary.key in busy, summary.pinned)
            for summary in session.library.summaries
        ]
        self.sidebar.show_entries(entries, session.current.key)
        self.header.title.setText(session.current.title)
        self.setWindowTitle(f"{session.current.title} – Parley")
        self._show_busy()

    @Slot(object)
    def _on_path_changed(self, conversation: Conversation) -> None:
        self._subject = ""
        if self.notice.action == AGAIN:
            self.notice.hide()  # it spoke of an answer that is no longer the last one here
        if conversation is not self._seen:
            self._seen = conversation
            self.shell.find_bar.close_bar()
            self._take_choices(conversation.choices)
        self.transcript.show_path(conversation)
        self.shell.show_empty(not conversation.nodes)
        self.header.title.setText(conversation.title)
        self._show_thinking()
        self._show_busy()

    @Slot(object)
    def _on_answer_changed(self, answer: Answer) -> None:
        self.transcript.refresh_answer(answer)
        self.status.show_speed(speed(answer, time.monotonic()))
        self._show_thinking()
        if answer.over:
            self._show_busy()

    @Slot(str, str)
    def _on_noticed(self, sentence: str, action: str) -> None:
        if action == CHOOSE_MODEL and isinstance(self.session.state, LoadingModel) and self.empty.isVisible():
            return  # why the load failed is said where the conversation would be
        self.notice.say(sentence, action, ACTIONS.get(action, ""))

    @Slot()
    def _on_draft_changed(self) -> None:
        draft = self.session.draft
        self.composer.set_items(draft.items)
        self.composer.set_tokens(draft.tokens)

    @Slot(str)
    def _on_text_changed(self, text: str) -> None:
        self.session.draft.set_text(text)
        if not self.notice.action:
            self.notice.hide()  # it was read, and something is done about it

    @Slot()
    def _on_tick(self) -> None:
        now = time.monotonic()
        state = self.session.state
        if isinstance(state, LoadingModel):
            self._on_state_changed(state)
        answer = self.session.current.last_answer()
        if answer is not None and not answer.over:
            self.transcript.refresh_answer(answer)
            self.status.show_speed(speed(answer, now))
            self._show_thinking()

    # ---- what the person wants -------------------------------------------------------------------------------------

    @Slot()
    def _on_new_requested(self) -> None:
        self.session.new_conversation()
        self.shell.drawer.close()
        self.composer.edit.setFocus()

    @Slot(str)
    def _on_conversation_chosen(self, key: str) -> None:
        self.session.open(key)
        self.shell.drawer.close()

    @Slot()
    def _on_escape(self) -> None:
        if self.shell.drawer.is_open:
            self.shell.drawer.close()
        elif self.session.running(self.session.current):
            self.session.stop()
        else:
            self.notice.hide()

    @Slot()
    def _on_sidebar_toggled(self) -> None:
        if self.width() <= DRAWER_UP_TO:
            self.shell.drawer.toggle()
        else:
            self._change(sidebar_shown=not self.settings.sidebar_shown)
            self._arrange()

    @Slot(bool)
    def _on_thinking_toggled(self, thinking: bool) -> None:
        preset = PRESETS.get(self.settings.preset)
        keep = preset is not None and preset.thinking == thinking
        self._change(thinking=thinking, preset=self.settings.preset if keep else "")
        self.session.choose(Choices(self.settings.thinking, self.settings.preset))

    @Slot(str)
    def _on_preset_chosen(self, key: str) -> None:
        preset = PRESETS.get(key)
        thinking = preset.thinking if preset else self.settings.thinking
        self._change(preset=key, thinking=thinking)
        self.session.choose(Choices(thinking, key))
        self.composer.thinking.setChecked(thinking)

    @Slot(str, object)
    def _on_setting_chosen(self, field: str, value: object) -> None:
        self._change(**{field: value})
        if field == "unload_after":
            self.session.watch()
        elif field != "theme":
            self.session.load(self.settings)

    @Slot()
    def _on_memory_requested(self) -> None:
        self.desk.open(self.settings, self.status.own_bytes)

    @Slot(object)
    def _on_context_chosen(self, context: int | None) -> None:
        self._on_setting_chosen("context", context)

    @Slot()
    def _on_demo_requested(self) -> None:
        self._change(model="")
        self.session.load(self.settings)

    @Slot()
    def _on_open_model_requested(self) -> None:
        dialog = QFileDialog(self, "Choose the folder of a model", self.settings.model)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.choose_model)
        dialog.open()

    @Slot(str)
    def choose_model(self, folder: str) -> None:
        """Load the model in a folder, now and the next time."""
        self._change(model=folder)
        self.session.load(self.settings)

    @Slot()
    def _on_attach_requested(self) -> None:
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
        if action == RESTART:
            self.session.start()
        elif action == CHOOSE_MODEL:
            self._on_open_model_requested()
        elif action == AGAIN:
            self.revision.last_again()

    @Slot(str)
    def _on_thinking_requested(self, key: str) -> None:
        self._subject = key
        if self.shell.beside and self.settings.pane_folded:
            self._change(pane_folded=False)
        self._show_thinking()
        if not self.shell.beside:
            self.thinking_line.unfold()

    @Slot()
    def _on_fold_requested(self) -> None:
        self._change(pane_folded=True)
        self._show_thinking()

    @Slot()
    def _on_unfold_requested(self) -> None:
        self._change(pane_folded=False)
        self._show_thinking()

    @Slot(int)
    def _on_pane_dragged(self, width: int) -> None:
        self.session.settings = replace(self.settings, pane_width=width)  # kept when the window closes

    @Slot(str)
    def _on_link_activated(self, address: str) -> None:
        LinkDialog(address, self).open()

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
        """Draw everything in other colours."""
        self.shell.apply_theme(theme)
        self.overlay.apply_theme(theme)
        self.shelf.apply_theme(theme)
        self.desk.apply_theme(theme)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Arrange the parts for the new width."""
        super().resizeEvent(event)
        self._arrange()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Remember how the window was."""
        self._change(
            window_width=self.normalGeometry().width() or self.width(),
            window_height=self.normalGeometry().height() or self.height(),
            window_maximized=self.isMaximized(),
            sidebar_width=self.shell.drawer.home_width,
        )
        super().closeEvent(event)

    def _arrange(self) -> None:
        self.shell.arrange(self.width(), self.settings)
        self.overlay.setGeometry(self.rect())
        self._show_thinking()

    def _show_thinking(self) -> None:
        self.shell.show_thinking(self._thinking_answer(), self.settings)

    def _thinking_answer(self) -> Answer | None:
        """The answer whose thinking is shown: the one that was asked for, or the newest."""
        conversation = self.session.current
        asked = conversation.nodes.get(self._subject)
        answer = asked if isinstance(asked, Answer) else conversation.last_answer()
        coming = answer is not None and answer.wants_thinking and answer.stage in ("reading", "thinking")
        if answer is None or not (answer.thinking or coming):
            return None
        return answer

    def _take_choices(self, choices: Choices) -> None:
        """Go on as it was chosen for the conversation that is shown."""
        thinking = self.settings.thinking if choices.thinking is None else choices.thinking
        preset = self.settings.preset if choices.preset is None else choices.preset
        if (thinking, preset) != (self.settings.thinking, self.settings.preset):
            self._change(thinking=thinking, preset=preset)
            self.composer.thinking.blockSignals(True)
            self.composer.thinking.setChecked(thinking)
            self.composer.thinking.blockSignals(False)

    def _show_busy(self) -> None:
        self.composer.set_busy(self.session.running(self.session.current))

    def _change(self, **fields: Any) -> None:
        """Change settings, show and keep them."""
        self.session.settings = replace(self.settings, **fields)
        self._show_settings()
        try:
            settings_store.save(self.settings)
        except OSError as error:
            self.notice.say(
                f"The settings could not be saved ({error.strerror}): see that Parley may write to "
                f"{settings_store.settings_file().parent} and that the disk has room."
            )

    def _show_settings(self) -> None:
        preset = PRESETS.get(self.settings.preset)
        self.session.sampling = preset.sampling if preset else None
        state = self.session.state
        demo = isinstance(state, Ready | Answering) and state.model.demo
        self.header.preset.show_choice(self.settings.preset, self.settings.thinking, demo)
        self.header.menu.show_settings(self.settings)

"""What the session says, shown in the parts that it concerns: state, conversations, answers, draft, notices.

Knows which part shows what. Emits nothing and wants nothing: what the person does is connected elsewhere.
"""

import time

from PySide6.QtCore import QObject, QTimer, Slot
from PySide6.QtWidgets import QWidget

from app.chat.conversation import Answer, Conversation
from app.ui.conversation_rows import Entry
from app.ui.plain_words import plain_words
from app.ui.remembering import LEAVE_OUT, REMEMBER_ALL, SUMMARIZE
from app.ui.session import AGAIN, ANSWER_NOW, CHOOSE_MODEL, RESTART, STOP, Session
from app.ui.shell import Shell
from app.ui.spoken import speak
from app.ui.state import Answering, Dead, LoadingModel, Ready, Starting, State
from app.ui.thoughts import Thoughts
from app.ui.wording import model_lines, moment, remarks, speed, waits_for

TICK_MS = 500
ANSWERED, SPOKEN = "The answer is done:", 300
"""What a screen reader says, with so many characters of the answer."""
ACTIONS = {
    RESTART: "Restart engine",
    CHOOSE_MODEL: "Open model folder…",
    AGAIN: "Answer again",
    LEAVE_OUT: "Leave out the oldest",
    REMEMBER_ALL: "Undo",
    ANSWER_NOW: "Answer now",
    STOP: "Stop",
}
OTHERS = {LEAVE_OUT: (SUMMARIZE, "Summarize them"), ANSWER_NOW: (STOP, "Stop")}
QUIET = (LEAVE_OUT, REMEMBER_ALL, ANSWER_NOW, STOP)
OF_THE_SHOWN = (AGAIN, *QUIET)
"""What is offered for the conversation that is shown, and for no other."""


class Display(QObject):
    """Keeps the window true to the session."""

    def __init__(self, session: Session, shell: Shell, thoughts: Thoughts, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._shell, self._thoughts, self._window = session, shell, thoughts, window
        self._seen = session.current
        self._tick = QTimer(self)
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(self._on_tick)
        session.state_changed.connect(self._on_state_changed)
        session.conversations_changed.connect(self._on_conversations_changed)
        session.path_changed.connect(self._on_path_changed)
        session.answer_changed.connect(self._on_answer_changed)
        session.turns.ended.connect(self._on_ended)
        session.gauges_changed.connect(shell.status.show_memory)
        session.context_changed.connect(shell.status.show_context)
        session.draft_replaced.connect(shell.composer.set_text)
        session.noticed.connect(self._on_noticed)
        session.draft.changed.connect(self._on_draft_changed)

    def begin(self) -> None:
        """Show everything as it is now."""
        self._on_conversations_changed()
        self._on_path_changed(self._session.current)
        self._on_state_changed(self._session.state)

    @Slot(object)
    def _on_state_changed(self, state: State) -> None:
        now, shell = time.monotonic(), self._shell
        shell.empty.show_state(state, now)
        shell.transcript.set_waits_for(waits_for(state, now))
        shell.sidebar.show_model(*model_lines(state, self._session.settings, now), remarks(state))
        shell.header.menu.show_settings(self._session.settings)
        busy = isinstance(state, LoadingModel | Answering)
        if busy != self._tick.isActive():
            self._tick.start() if busy else self._tick.stop()
        if isinstance(state, Starting | Ready) and shell.notice.action in (RESTART, CHOOSE_MODEL):
            shell.notice.hide()
        if isinstance(state, Starting | Dead):
            shell.status.memory.hide()  # its figures were those of an engine that is gone
        self._show_busy()

    @Slot()
    def _on_conversations_changed(self) -> None:
        session = self._session
        busy = session.busy()
        entries = [
            Entry(each.key, each.title, moment(each.used_at), each.key in busy, each.pinned, each.folder)
            for each in session.library.summaries
        ]
        self._shell.sidebar.show_entries(entries, session.current.key)
        self._shell.header.title.setText(session.current.title)
        self._window.setWindowTitle(f"{session.current.title} – Parley")
        self._show_busy()

    @Slot(object)
    def _on_path_changed(self, conversation: Conversation) -> None:
        shell = self._shell
        other = conversation is not self._seen
        if shell.notice.action == AGAIN or (other and shell.notice.action in OF_THE_SHOWN):
            shell.notice.hide()  # it spoke of an answer that is no longer the last one here
        if other:
            self._seen = conversation
            shell.find_bar.close_bar()
        shell.transcript.show_path(conversation)
        shell.show_empty(not conversation.nodes)
        shell.header.title.setText(conversation.title)
        self._thoughts.show_newest()
        self._show_busy()

    @Slot(object)
    def _on_answer_changed(self, answer: Answer) -> None:
        self._shell.transcript.refresh_answer(answer)
        self._shell.status.show_speed(speed(answer, time.monotonic()))
        self._thoughts.show()
        action = self._shell.notice.action
        if (action == ANSWER_NOW and answer.stage != "thinking") or (action == STOP and answer.over):
            self._shell.notice.hide()  # it is too late for that
        if answer.over:
            self._show_busy()

    @Slot(object, object)
    def _on_ended(self, conversation: Conversation, answer: Answer) -> None:
        """Whoever does not see the answer hears that it is there, with its beginning."""
        told = answer.ending in ("stopped", "interrupted", "failed")  # by the person, or in a notice
        if conversation is self._session.current and answer.key in conversation.nodes and not told:
            speak(self._shell.transcript, f"{ANSWERED} {plain_words(answer.text[:SPOKEN])}")

    @Slot(str, str)
    def _on_noticed(self, sentence: str, action: str) -> None:
        if action == CHOOSE_MODEL and isinstance(self._session.state, LoadingModel) and self._shell.empty.isVisible():
            return  # why the load failed is said where the conversation would be
        notice = self._shell.notice
        if action in (ANSWER_NOW, STOP) and notice.isVisible() and notice.property("quiet") is not True:
            return  # bad news are worth more
        other = OTHERS.get(action, ("", ""))
        self._shell.notice.say(sentence, action, ACTIONS.get(action, ""), other=other, quiet=action in QUIET)

    @Slot()
    def _on_draft_changed(self) -> None:
        draft = self._session.draft
        self._shell.composer.set_items(draft.items)
        self._shell.composer.set_tokens(draft.tokens)

    @Slot()
    def _on_tick(self) -> None:
        now = time.monotonic()
        state = self._session.state
        if isinstance(state, LoadingModel):
            self._on_state_changed(state)
        answer = self._session.current.last_answer()
        if answer is not None and not answer.over:
            self._shell.transcript.refresh_answer(answer)
            self._shell.status.show_speed(speed(answer, now))
            self._thoughts.show()

    def _show_busy(self) -> None:
        self._shell.composer.set_busy(self._session.running(self._session.current))

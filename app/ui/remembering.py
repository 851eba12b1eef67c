"""What can be done once the context is full: the oldest turns left out, or a summary in their place, and back again.

Knows which part of the shown conversation is remembered, and that nothing changes without the person's choice. Does not
know widgets; the summary is written in its turn like an answer, by the session.
"""

from PySide6.QtCore import QObject, Slot

from app.chat.conversation import Answer, Conversation, Memory, Question
from app.chat.memory import begin_of_memory, summary_room, turns_before
from app.chat.sent import SUMMARY_REQUEST
from app.ui import figures
from app.ui.session import NO_ACTION, STOP, Session

LEAVE_OUT, SUMMARIZE, REMEMBER_ALL = "leave_out", "summarize", "remember_all"
OFFER = "The conversation can go on without its oldest turns, or with a summary in their place; none of it is lost."
NO_SUMMARY = "There is no room for a summary any more; the oldest turns can still be left out."
ALONE = "Leaving out older turns would not help: start a new conversation, or choose a larger context."
LEFT_OUT = "{} no longer sent; what is not sent stays above, in grey."
SUMMED_UP = "{} no longer sent, but a summary is; what is not sent stays above, in grey."
NOTHING_CHANGED = "The summary was not finished, so nothing has changed."


class Remembering(QObject):
    """Works on the conversation that the session shows."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._unsent: str | None = None
        self._summary: tuple[Conversation, Question, Answer] | None = None
        self._undo = ""
        session.filled.connect(self.offer)
        session.turns.grew.connect(self._on_grew)
        session.turns.ended.connect(self._on_ended)

    @Slot(str, bool)
    def offer(self, sentence: str, drafted: bool = False) -> None:
        """Say that the context is full, and what can be done; `drafted` if what did not fit is the draft now."""
        self._unsent = self._session.draft.text if drafted else None
        if self._begin() is not None:
            self._session.noticed.emit(f"{sentence} {OFFER}", LEAVE_OUT)
        else:
            self._session.noticed.emit(sentence if drafted else f"{sentence} {ALONE}", NO_ACTION)

    @Slot(str)
    def act(self, action: str) -> None:
        """Do what the person chose, if it is something that was offered here."""
        if action == LEAVE_OUT:
            self.leave_out()
        elif action == SUMMARIZE:
            self.summarize()
        elif action == REMEMBER_ALL:
            self.remember_all(self._undo)

    def leave_out(self) -> None:
        """Go on without the oldest turns."""
        begin = self._begin()
        if begin is None:
            self._session.noticed.emit(ALONE, NO_ACTION)
        elif self._session.idle():
            self._remember(self._session.current, begin, Memory())

    def summarize(self) -> None:
        """Have the oldest turns summarized, and go on from that."""
        session = self._session
        begin = self._begin(summary_room(session.counting.total))
        if begin is None or begin.parent is None:
            can = self._begin() is not None
            session.noticed.emit(NO_SUMMARY if can else ALONE, LEAVE_OUT if can else NO_ACTION)
            return
        if not session.idle():
            return
        aside = session.current.branch(begin.parent)
        aside.key = session.current.key  # what the engine reads for it is forgotten with the conversation
        answer = aside.ask(SUMMARY_REQUEST, (), thinking=False)
        self._summary = session.current, begin, answer
        session.enqueue_aside(aside, answer)
        self._say(answer)

    @Slot(str)
    def remember_all(self, key: str) -> None:
        """Send again what was left out before a question."""
        question = self._session.current.nodes.get(key)
        if isinstance(question, Question) and question.memory is not None and self._session.idle():
            question.memory = None
            self._kept(self._session.current, question)

    # ---- how it is done --------------------------------------------------------------------------------------------

    def _begin(self, beside: int = 0) -> Question | None:
        """Where the remembered part is to begin, so that there are `beside` tokens more."""
        session = self._session
        use = session.counting.use
        return begin_of_memory(session.current, session.counting.messages, use.draft + beside, use.total)

    def _remember(self, conversation: Conversation, begin: Question, memory: Memory) -> None:
        begin.memory = memory
        self._undo = begin.key
        self._kept(conversation, begin)
        if conversation is not self._session.current:
            return
        turns = turns_before(conversation, begin)
        words = "The oldest turn is" if turns == 1 else f"The oldest {turns} turns are"
        self._session.noticed.emit((SUMMED_UP if memory.summary else LEFT_OUT).format(words), REMEMBER_ALL)
        self._go_on()

    def _kept(self, conversation: Conversation, question: Question) -> None:
        self._session.library.remembered(conversation, question)
        if conversation is self._session.current:
            self._session.path_changed.emit(conversation)
            self._session.measure()

    def _go_on(self) -> None:
        """Do what there was no room for."""
        session, last = self._session, self._session.current.last_answer()
        if last is not None and last.ending == "context":
            session.go_on(last) if last.can_go_on else session.again(last)
        elif session.draft.text == self._unsent:
            session.submit()

    def _say(self, answer: Answer) -> None:
        if answer.stage == "answering":
            how_far = f"{figures.tokens(answer.answer_tokens)} token{'s' * (answer.answer_tokens != 1)} written"
        elif answer.to_read:
            how_far = f"{figures.tokens(answer.read)} of {figures.tokens(answer.to_read)} tokens read"
        else:
            how_far = "waits its turn"
        self._session.noticed.emit(f"The oldest turns are being summarized: {how_far}.", STOP)

    @Slot(object)
    def _on_grew(self, answer: Answer) -> None:
        if (
            self._summary is not None
            and answer is self._summary[2]
            and self._summary[0].key == self._session.current.key
        ):
            self._say(answer)

    @Slot(object, object)
    def _on_ended(self, _aside: Conversation, answer: Answer) -> None:
        if self._summary is None or answer is not self._summary[2]:
            return
        (conversation, begin, _), self._summary = self._summary, None
        current = self._session.current
        conversation = current if current.key == conversation.key else conversation  # it may have been read again
        found = conversation.nodes.get(begin.key)
        written = answer.ending in ("end", "length", "context") and bool(answer.text.strip())
        if written and isinstance(found, Question):
            self._remember(conversation, found, Memory(answer.text.strip()))
        elif conversation is current:
            self.offer(answer.failure or NOTHING_CHANGED, self._session.draft.text == self._unsent)

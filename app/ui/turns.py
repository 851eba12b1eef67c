"""Answers in their turn: which one is being written and how it grows, and which ones wait.

Knows: that what has arrived is kept before anything can paint it, that painting is done at most every 33 ms, when a
text goes round in circles. Does not know: which conversation is shown, what state the engine is in, what it is sent.
"""

import time
from collections import deque
from collections.abc import Collection

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.chat.conversation import Answer, Conversation, Ending
from app.chat.repetition import Repetition
from app.history.store import Growth
from app.protocol import Channel, Delta, Finished, Prefill
from app.ui.library import Library

PAINT_MS = 33
Turn = tuple[Conversation, Answer]


class Turns(QObject):
    """Emits `grew` with an answer that is to be painted, `ended` with a conversation and an answer that is over, and
    `looped`, once for each of its channels, with one that repeats itself."""

    grew = Signal(object)
    ended = Signal(object, object)
    looped = Signal(object, object)

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.running: Turn | None = None
        self._waiting: deque[Turn] = deque()
        self._aside: set[str] = set()
        self._library = library
        self._arrived: list[tuple[Delta, float]] = []
        self._unpainted: Answer | None = None
        self._heard: Channel = "thinking"
        self._repetition: Repetition | None = Repetition()
        self._paint = QTimer(self)
        self._paint.setSingleShot(True)
        self._paint.setInterval(PAINT_MS)
        self._paint.timeout.connect(self._on_paint_due)

    # ---- whose turn it is ------------------------------------------------------------------------------------------

    @property
    def first(self) -> Turn | None:
        """What is to be answered next."""
        return self._waiting[0] if self._waiting else None

    def busy(self) -> set[str]:
        """The keys of the conversations in which something is being answered, or waits to be."""
        running = {self.running[0].key} if self.running is not None else set()
        return running | {conversation.key for conversation, _ in self._waiting}

    def is_running(self, request: str) -> bool:
        """Whether it is this answer that is being written."""
        return self.running is not None and self.running[1].key == request

    def is_kept(self, answer: Answer) -> bool:
        """Whether it belongs to a conversation, and not to what is done beside it."""
        return answer.key not in self._aside

    def put(self, conversation: Conversation, answer: Answer, *, kept: bool = True) -> None:
        """Have an answer wait for its turn. One that is not `kept` is of no conversation that anybody sees."""
        self._waiting.append((conversation, answer))
        if not kept:
            self._aside.add(answer.key)

    def begin(self) -> Turn:
        """It is the first one's turn."""
        conversation, answer = self.running = self._waiting.popleft()
        self._heard, self._repetition = "thinking", Repetition()
        answer.asked(time.monotonic())
        self._paint_soon(answer)
        return conversation, answer

    def take_back(self, key: str) -> list[Turn]:
        """What has waited in a conversation; it waits no longer."""
        taken = [turn for turn in self._waiting if turn[0].key == key]
        self._waiting = deque(turn for turn in self._waiting if turn[0].key != key)
        return taken

    # ---- how it grows and ends -------------------------------------------------------------------------------------

    def hear(self, event: Prefill | Delta | Finished) -> None:
        """What the engine says of the running answer."""
        if self.running is None:
            return
        answer = self.running[1]
        match event:
            case Prefill():
                answer.prefilled(event)
                self._paint_soon(answer)
            case Delta():
                self._arrived.append((event, time.monotonic()))
                self._paint_soon(answer)
            case Finished():
                self.catch_up()
                answer.finished(event, time.monotonic())
                self._conclude()

    def fail(self, sentence: str, ending: Ending = "failed") -> None:
        """The engine could not make the running answer, or no more of it."""
        if self.running is not None:
            self.catch_up()
            self.running[1].failed(sentence, time.monotonic())
            self.running[1].ending = ending
            self._conclude()

    def fail_first(self, sentence: str) -> None:
        """The first answer that waits cannot be made."""
        self.give_up(*self._waiting.popleft(), sentence)

    def interrupt(self) -> None:
        """What is being written ends here."""
        if self.running is not None:
            self.catch_up()
            self.running[1].interrupted(time.monotonic())
            self._conclude()

    def interrupt_waiting(self, keys: Collection[str] | None = None) -> None:
        """What waits will not be written; in these conversations, or in all."""
        for key in {conversation.key for conversation, _ in self._waiting}:
            for conversation, answer in self.take_back(key) if keys is None or key in keys else ():
                self.give_up(conversation, answer)

    def give_up(self, conversation: Conversation, answer: Answer, failure: str = "") -> None:
        """An answer that waited ends as it is, for that reason if there is one."""
        now = time.monotonic()
        answer.failed(failure, now) if failure else answer.interrupted(now)
        if self.is_kept(answer):
            self._library.ended(conversation, answer)
        self.ended.emit(conversation, answer)

    def withdraw(self) -> None:
        """Forget the running answer, of which there is nothing yet."""
        self.running, self._unpainted = None, None

    def _conclude(self) -> None:
        """Keep and paint the end of the running answer at once."""
        if self.running is None:
            return
        conversation, answer = self.running
        if self.is_kept(answer):
            self._library.ended(conversation, answer)
        self.running = None
        self._unpainted = answer
        self._on_paint_due()
        self.ended.emit(conversation, answer)

    def catch_up(self) -> None:
        """Let the running answer grow by what has arrived; it is kept before anything can paint it."""
        arrived, self._arrived = self._arrived, []
        if self.running is None or not arrived:
            return
        conversation, answer = self.running
        growths: list[Growth] = []
        for delta, at in arrived:
            answer.grew(delta, at)
            before = growths.pop().text if growths and growths[-1].channel == delta.channel else ""
            tokens = answer.thinking_tokens if delta.channel == "thinking" else answer.answer_tokens
            growths.append(Growth(delta.channel, before + delta.text, tokens, answer.thought_for(at)))
        if self.is_kept(answer):
            self._library.grew(conversation, answer, growths)
            for delta, _ in arrived:
                self._listen(conversation, answer, delta)

    def _listen(self, conversation: Conversation, answer: Answer, delta: Delta) -> None:
        if delta.channel != self._heard:
            self._heard, self._repetition = delta.channel, Repetition()
        if self._repetition is not None and self._repetition.hear(delta.text):
            self._repetition = None
            self.looped.emit(conversation, answer)

    def _paint_soon(self, answer: Answer) -> None:
        self._unpainted = answer
        if not self._paint.isActive():
            self._paint.start()

    @Slot()
    def _on_paint_due(self) -> None:
        self.catch_up()
        answer, self._unpainted = self._unpainted, None
        self._paint.stop()
        if answer is None:
            return
        began = time.monotonic()
        self.grew.emit(answer)
        # Whatever a text costs to draw, two thirds of the time stay for the person.
        self._paint.setInterval(max(PAINT_MS, round(2000 * (time.monotonic() - began))))

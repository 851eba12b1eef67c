"""The one object that holds what the window shows: the engine's state, the shown conversation, what waits its turn.

Knows: which event changes what, what the engine is told next, and that the library keeps a question before the engine
hears it and a text before a pane shows it. Does not know: widgets, the disk. Its state is derived from events alone
(`app.ui.state`); text reaches the panes at most every 33 ms, however fast the engine is.
"""

import time
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app import paths
from app.chat.conversation import Answer, Choices, Conversation, Node, Question
from app.history.store import Growth
from app.presets import MAX_TOKENS, default_sampling
from app.protocol import (
    AnswerNow,
    Delta,
    EngineEvent,
    Failed,
    Finished,
    Forget,
    Gauges,
    Hello,
    Load,
    Loaded,
    Loading,
    Measured,
    Prefill,
    Sampling,
    Stop,
    Unload,
    Unloaded,
)
from app.settings import Settings
from app.ui.draft import Draft
from app.ui.engine_process import EngineProcess
from app.ui.library import Library
from app.ui.reattaching import Reattaching
from app.ui.state import (
    Answering,
    Dead,
    Died,
    GenerateSent,
    LoadingModel,
    LoadSent,
    LocalEvent,
    NoModel,
    Ready,
    Started,
    Starting,
    State,
    UnloadSent,
    after,
)

PAINT_MS = 33
NO_ACTION, RESTART, CHOOSE_MODEL, AGAIN = "", "restart", "choose_model", "again"


@dataclass(frozen=True, slots=True)
class ContextUse:
    """Tokens of the context window: taken by the conversation, by the draft, and in all (0: unknown)."""

    used: int = 0
    draft: int = 0
    total: int = 0


class Session(QObject):
    """Takes what the person wants and what the engine says; emits what there is to show."""

    state_changed = Signal(object)
    conversations_changed = Signal()
    path_changed = Signal(object)
    answer_changed = Signal(object)
    gauges_changed = Signal(object)
    context_changed = Signal(object)
    draft_replaced = Signal(str)
    noticed = Signal(str, str)

    def __init__(
        self,
        engine: EngineProcess,
        draft: Draft,
        library: Library,
        settings: Settings,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.state: State = Starting()
        self.current = Conversation()
        self.library = library
        self.draft = draft
        self.settings = settings
        self.sampling: Sampling | None = None
        self.context = ContextUse()
        self._engine = engine
        self._waiting: deque[tuple[Conversation, Answer]] = deque()
        self._running: tuple[Conversation, Answer] | None = None
        self._measure = ""
        self._submit_when_decoded = False
        self._unpainted: Answer | None = None
        self._arrived: list[tuple[Delta, float]] = []
        self._to_forget: set[str] = set()
        self._reattaching = Reattaching(draft.decoder, library, self)
        self._reattaching.changed.connect(self._on_reattached)
        library.changed.connect(self.conversations_changed)
        library.noticed.connect(self._on_library_noticed)
        self._paint = QTimer(self)
        self._paint.setSingleShot(True)
        self._paint.setInterval(PAINT_MS)
        self._paint.timeout.connect(self._on_paint_due)
        self._unused = QTimer(self)
        self._unused.setSingleShot(True)
        self._unused.timeout.connect(self.unload)
        engine.received.connect(self._on_engine_event)
        engine.died.connect(self._on_engine_died)
        draft.changed.connect(self._on_draft_changed)
        draft.measure_requested.connect(self.measure)
        draft.refused.connect(self._on_draft_refused)

    # ---- what the person wants -------------------------------------------------------------------------------------

    @Slot()
    def start(self) -> None:
        """Start the engine, or start it again; what is being answered is interrupted."""
        self._interrupt()
        self._engine.start()
        self._advance(Started())

    def load(self, settings: Settings) -> None:
        """Load the model that the settings name; what is being answered is interrupted."""
        self.settings = settings
        if isinstance(self.state, Dead | Starting | LoadingModel):
            self.start()  # a load that is under way is not waited for
            return
        if self._running is not None:
            self._engine.send(Stop(self._running[1].key))
        self._interrupt()
        self._send_load()

    @Slot()
    def unload(self) -> None:
        """Give the model's memory back until the next question."""
        if isinstance(self.state, Ready):
            self._engine.send(Unload())
            self._advance(UnloadSent())
        elif isinstance(self.state, Answering):
            self.noticed.emit("The answer is still being written: stop it first, or wait for its end.", NO_ACTION)

    def watch(self) -> None:
        """The model was used, or may be unloaded after another time: count from now."""
        if isinstance(self.state, Ready) and self.settings.unload_after > 0:
            self._unused.start(self.settings.unload_after * 60_000)
        else:
            self._unused.stop()

    @Slot()
    def submit(self) -> None:
        """Send the draft, or say why not; it is kept in that case."""
        obstacle = self.draft.obstacle()
        last = self.current.last_answer()
        if obstacle:
            self.noticed.emit(obstacle, NO_ACTION)
        elif isinstance(self.state, Dead):
            self.noticed.emit(self.state.reason, RESTART)
        elif isinstance(self.state, NoModel) and not self.state.unloaded:
            self.noticed.emit(self.state.reason or "No model is loaded: choose one to go on.", CHOOSE_MODEL)
        elif last is not None and not last.over:
            self.noticed.emit("The answer is still being written: stop it first, or wait for its end.", NO_ACTION)
        elif self.draft.pending:
            self._submit_when_decoded = True
        else:
            self._submit()

    @Slot()
    def stop(self) -> None:
        """Stop what is being answered in the shown conversation, or take it back if it still waits."""
        if self._running is not None and self._running[0] is self.current:
            self._engine.send(Stop(self._running[1].key))
            return
        mine = [item for item in self._waiting if item[0] is self.current]
        self._waiting = deque(item for item in self._waiting if item[0] is not self.current)
        for conversation, answer in mine:
            if answer.empty:
                self._withdraw(conversation, answer)
            else:  # it was to go on
                answer.interrupted(time.monotonic())
                self.library.ended(conversation, answer)
                self.path_changed.emit(self.current)
                self.conversations_changed.emit()

    @Slot()
    def answer_now(self) -> None:
        """Lead the running answer out of its thinking."""
        if self._running is not None:
            self._engine.send(AnswerNow(self._running[1].key))

    @Slot()
    def new_conversation(self) -> None:
        """Show an empty conversation; one that is still empty is used again."""
        self.show(self.current if not self.current.nodes else Conversation())

    @Slot(str)
    def open(self, key: str) -> None:
        """Show a conversation, if it can be read."""
        conversation = self.current if key == self.current.key else self.library.get(key)
        if conversation is not None:
            self.show(conversation)
        else:
            self.conversations_changed.emit()

    def reveal(self, key: str, message: str) -> None:
        """Show a conversation with the versions that lead to one of its messages."""
        self.open(key)
        if self.current.key == key and message in self.current.nodes:
            before = dict(self.current.chosen)
            self.current.reveal(message)
            chosen = self.current.chosen
            fresh = [self.current.nodes[chosen[parent]] for parent in chosen if chosen[parent] != before.get(parent)]
            if fresh:
                self.library.shown(self.current, fresh)
                self.path_changed.emit(self.current)

    def choose(self, choices: Choices) -> None:
        """Keep what was chosen for the shown conversation."""
        if choices != self.current.choices:
            self.library.chose(self.current, choices)

    def trash(self, key: str) -> None:
        """Put a conversation into the trash; what is being answered in it ends."""
        self._end_all_of({key})
        self.library.trash(key)
        if self.current.key == key:
            self.show(Conversation())

    def erase(self, keys: tuple[str, ...]) -> None:
        """Erase conversations, here and in what the engine remembers; none means everything in the trash."""
        keys = keys or tuple(summary.key for summary in self.library.trashed())
        if isinstance(self.state, Starting | Dead):
            self._to_forget |= set(keys)
        else:
            self._forget(keys)
        if keys:
            self.library.erase(keys)

    def _forget_what_is_gone(self) -> None:
        """Have a fresh engine forget what was erased without it, and what has been in the trash for too long."""
        expired = self.library.expired()
        self._forget(self._to_forget | set(expired))
        self._to_forget.clear()
        if expired:
            self.library.erase(expired)

    def _forget(self, keys: Iterable[str]) -> None:
        cache = str(paths.cache_dir() / "engine")
        for key in keys:
            self._engine.send(Forget(key, cache))

    def close(self) -> None:
        """Keep what has been written so far, as interrupted; for the end of the program."""
        self._interrupt()
        for conversation, answer in self._waiting:
            answer.interrupted(time.monotonic())
            self.library.ended(conversation, answer)
        self._waiting.clear()

    def show(self, conversation: Conversation) -> None:
        """Show this conversation."""
        self.current = conversation
        self.library.hold(conversation)
        self._submit_when_decoded = False  # it was meant for the conversation that was shown
        self._reattaching.check(conversation)
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)
        self._set_context(0, 0)
        self.draft.count_soon()

    def idle(self) -> bool:
        """Whether nothing is being answered in the shown conversation; a sentence is said otherwise."""
        if self.running(self.current):
            self.noticed.emit("The answer is still being written: stop it first, or wait for its end.", NO_ACTION)
            return False
        return True

    def _end_all_of(self, keys: set[str]) -> None:
        if self._running is not None and self._running[0].key in keys:
            self._engine.send(Stop(self._running[1].key))
            self._interrupt()
        for conversation, answer in [item for item in self._waiting if item[0].key in keys]:
            answer.interrupted(time.monotonic())
            self.library.ended(conversation, answer)
        self._waiting = deque(item for item in self._waiting if item[0].key not in keys)

    @Slot()
    def measure(self) -> None:
        """Ask the engine how many tokens the shown conversation and the draft take."""
        if not isinstance(self.state, Ready | Answering):
            return
        self.watch()
        message = self.draft.message()
        if message is None and not self.current.nodes:
            self._set_context(0, 0)
            return
        self._measure = uuid.uuid4().hex
        self._engine.send(self.current.measure(self._measure, message, self.settings.thinking))

    def running(self, conversation: Conversation) -> bool:
        """Whether something is being answered in a conversation, or waits to be."""
        return conversation.key in self.busy()

    def busy(self) -> set[str]:
        """The keys of the conversations in which something is being answered, or waits to be."""
        running = {self._running[0].key} if self._running is not None else set()
        return running | {conversation.key for conversation, _ in self._waiting}

    # ---- what the engine says --------------------------------------------------------------------------------------

    @Slot(object)
    def _on_engine_event(self, event: EngineEvent) -> None:
        match event:
            case Hello():
                self._forget_what_is_gone()
                self._send_load()
            case Loaded():
                self.draft.set_limits(event.model.video)
                self._reattaching.limits = event.model.video
            case Prefill() | Delta() | Finished():
                self._on_progress(event)
            case Measured():
                self._on_measured(event)
            case Gauges():
                self.gauges_changed.emit(event)
            case Failed():
                self._on_failed(event)
            case Loading() | Unloaded():
                pass  # only the state changes
            case _:
                assert_never(event)
        self._advance(event)

    @Slot(str)
    def _on_engine_died(self, sentence: str) -> None:
        self._interrupt()
        self._advance(Died(sentence))
        self.noticed.emit(sentence, RESTART)

    def _on_progress(self, event: Prefill | Delta | Finished) -> None:
        if self._running is None or self._running[1].key != event.request:
            return
        answer = self._running[1]
        match event:
            case Prefill():
                answer.prefilled(event)
                self._paint_soon(answer)
            case Delta():
                self._arrived.append((event, time.monotonic()))
                self._paint_soon(answer)
            case Finished():
                self._take_arrived()
                answer.finished(event, time.monotonic())
                self._conclude(answer)
                self.measure()  # its thinking leaves the context
            case _:
                assert_never(event)

    def _on_measured(self, event: Measured) -> None:
        if event.request == self._measure:
            self.draft.measured(event)
            used = self.context.used if self.running(self.current) else event.conversation_tokens
            self._set_context(used, event.draft_tokens)

    def _on_failed(self, event: Failed) -> None:
        if event.request and event.request == self._measure:
            return  # the same sentence comes when the draft is sent
        if not event.request:
            self.noticed.emit(event.message, CHOOSE_MODEL if isinstance(self.state, LoadingModel) else NO_ACTION)
        elif self._running is not None and self._running[1].key == event.request:
            conversation, answer = self._running
            self._take_arrived()
            if answer.empty and event.kind in ("context", "bad_input"):
                self._running = None
                self._withdraw(conversation, answer)
                self.noticed.emit(event.message, NO_ACTION)
            else:
                answer.failed(event.message, time.monotonic())
                self._conclude(answer)
                self.noticed.emit(event.message, AGAIN if conversation is self.current else NO_ACTION)

    # ---- what follows ----------------------------------------------------------------------------------------------

    def _advance(self, event: EngineEvent | LocalEvent) -> None:
        state = after(self.state, event)
        if state != self.state:
            was, self.state = self.state, state
            if isinstance(state, Ready):
                self._pump()
                if isinstance(was, LoadingModel):
                    self.measure()
            self.watch()
            self.state_changed.emit(self.state)

    def _send_load(self) -> None:
        settings = self.settings
        folder = settings.model_dir()
        cache = str(paths.cache_dir() / "engine")
        name = folder.name if settings.model else "demo model"
        device, backend, context = settings.device, settings.backend, settings.context
        self._engine.send(Load(str(folder), device, backend, context, cache, yarn=settings.yarn))
        self._advance(LoadSent(name, time.monotonic()))

    def _submit(self) -> None:
        self._submit_when_decoded = False
        sources = self.draft.sources()
        if not self.current.nodes:
            self.current.choices = Choices(self.settings.thinking, self.settings.preset)
        answer = self.current.ask(self.draft.text.strip(), self.draft.attached, self.settings.thinking)
        self._measure = ""  # a count that is still to come is of what was just sent
        self.draft.clear()
        self.draft_replaced.emit("")
        self.enqueue(answer, [self.current.question_of(answer), answer], sources)

    def enqueue(self, answer: Answer, nodes: list[Node], sources: dict[str, str] | None = None) -> None:
        """Have an answer made in its turn; the library keeps what is new before the engine hears of it."""
        self._waiting.append((self.current, answer))
        if nodes:
            self.library.asked(self.current, nodes, sources or {})
        self._pump()
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)

    def _pump(self) -> None:
        """Ask for the next answer that waits, if the model is free."""
        if self._waiting and isinstance(self.state, NoModel) and self.state.unloaded:
            self._send_load()
        if not isinstance(self.state, Ready) or not self._waiting:
            return
        if self._reattaching.check(self._waiting[0][0]):
            return  # its pictures are decoded again first
        conversation, answer = self._waiting.popleft()
        self._running = (conversation, answer)
        answer.asked(time.monotonic())
        sampling = self.sampling or default_sampling(thinking=answer.wants_thinking, demo=self.state.model.demo)
        self._engine.send(conversation.generate(answer, sampling, MAX_TOKENS))
        self._advance(GenerateSent(answer.key))
        self._paint_soon(answer)

    def _withdraw(self, conversation: Conversation, answer: Answer) -> None:
        question: Question = conversation.withdraw(answer)
        gone = [node.key for node in (question, answer) if node.key not in conversation.nodes]
        self.library.removed(conversation, gone)
        if question.key not in conversation.nodes:
            self.draft.restore(question.text, question.attached)
            self.draft_replaced.emit(self.draft.text)
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)
        self.measure()

    def _interrupt(self) -> None:
        if self._running is not None:
            self._take_arrived()
            answer = self._running[1]
            answer.interrupted(time.monotonic())
            self._conclude(answer)

    def _conclude(self, answer: Answer) -> None:
        """Keep and paint the end of an answer at once."""
        if self._running is not None:
            self.library.ended(self._running[0], answer)
        self._running = None
        self._unpainted = answer
        self._on_paint_due()
        self.conversations_changed.emit()

    def _take_arrived(self) -> None:
        """Let the running answer grow by what has arrived; it is kept before anything can paint it."""
        arrived, self._arrived = self._arrived, []
        if self._running is None or not arrived:
            return
        conversation, answer = self._running
        growths: list[Growth] = []
        for delta, at in arrived:
            answer.grew(delta, at)
            before = growths.pop().text if growths and growths[-1].channel == delta.channel else ""
            tokens = answer.thinking_tokens if delta.channel == "thinking" else answer.answer_tokens
            growths.append(Growth(delta.channel, before + delta.text, tokens, answer.thought_for(at)))
        self.library.grew(conversation, answer, growths)

    def _paint_soon(self, answer: Answer) -> None:
        self._unpainted = answer
        if not self._paint.isActive():
            self._paint.start()

    @Slot()
    def _on_paint_due(self) -> None:
        self._take_arrived()
        answer, self._unpainted = self._unpainted, None
        self._paint.stop()
        if answer is None or answer.key not in self.current.nodes:
            return
        began = time.monotonic()
        self.answer_changed.emit(answer)
        # Whatever a text costs to draw, two thirds of the time stay for the person.
        self._paint.setInterval(max(PAINT_MS, round(2000 * (time.monotonic() - began))))
        if answer.context_used():
            self._set_context(answer.context_used(), self.context.draft)

    def _set_context(self, used: int, draft: int) -> None:
        total = self.state.model.context if isinstance(self.state, Ready | Answering) else self.context.total
        self.context = ContextUse(used, draft, total)
        self.context_changed.emit(self.context)

    @Slot()
    def _on_draft_changed(self) -> None:
        if self._submit_when_decoded and not self.draft.pending:
            self._submit_when_decoded = False
            self.submit()

    @Slot(str)
    def _on_draft_refused(self, sentence: str) -> None:
        self.noticed.emit(sentence, NO_ACTION)

    @Slot(str)
    def _on_library_noticed(self, sentence: str) -> None:
        self.noticed.emit(sentence, NO_ACTION)

    @Slot(str, str)
    def _on_reattached(self, conversation: str, refusal: str) -> None:
        """Pictures of a conversation were decoded again, or could not be."""
        waiting = self._waiting[0] if self._waiting else None
        if refusal and waiting is not None and waiting[0].key == conversation:
            self._waiting.popleft()
            waiting[1].failed(refusal, time.monotonic())
            self.library.ended(*waiting)
        if refusal:
            self.noticed.emit(refusal, NO_ACTION)
        if self.current.key == conversation:
            self.path_changed.emit(self.current)
        self._pump()
        self.conversations_changed.emit()

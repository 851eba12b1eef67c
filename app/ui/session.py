"""The one object that holds what the window shows: the engine's state, the conversations, what waits for its turn.

Knows: which event changes what, and what the engine is told next. Does not know: widgets. Its state is derived from
events alone (`app.ui.state`); text reaches the panes at most every 33 ms, however fast the engine is.
"""

import time
import uuid
from collections import deque
from dataclasses import dataclass
from typing import assert_never

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app import paths
from app.chat.conversation import Answer, Conversation, Question
from app.presets import MAX_TOKENS, default_sampling
from app.protocol import (
    AnswerNow,
    Delta,
    EngineEvent,
    Failed,
    Finished,
    Gauges,
    Hello,
    Load,
    Loaded,
    Loading,
    Measured,
    Prefill,
    Sampling,
    Stop,
    Unloaded,
)
from app.settings import Settings
from app.ui.draft import Draft
from app.ui.engine_process import EngineProcess
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

    def __init__(self, engine: EngineProcess, draft: Draft, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state: State = Starting()
        self.current = Conversation()
        self.conversations: list[Conversation] = [self.current]
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
        self._paint = QTimer(self)
        self._paint.setSingleShot(True)
        self._paint.setInterval(PAINT_MS)
        self._paint.timeout.connect(self._on_paint_due)
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
    def submit(self) -> None:
        """Send the draft, or say why not; it is kept in that case."""
        obstacle = self.draft.obstacle()
        last = self.current.last_answer()
        if obstacle:
            self.noticed.emit(obstacle, NO_ACTION)
        elif isinstance(self.state, Dead):
            self.noticed.emit(self.state.reason, RESTART)
        elif isinstance(self.state, NoModel):
            self.noticed.emit(self.state.reason or "No model is loaded: choose one to go on.", CHOOSE_MODEL)
        elif last is not None and not last.over:
            self.noticed.emit("The answer is still being written: stop it first, or wait for its end.", NO_ACTION)
        elif self.draft.pending:
            self._submit_when_decoded = True
        else:
            self._submit()

    @Slot()
    def stop(self) -> None:
        """Stop the answer that is shown, or take it back if it still waits."""
        answer = self.current.last_answer()
        if answer is None or answer.over:
            return
        if self._running is not None and self._running[1] is answer:
            self._engine.send(Stop(answer.key))
        else:
            self._waiting = deque(item for item in self._waiting if item[1] is not answer)
            self._withdraw(self.current, answer)

    @Slot()
    def answer_now(self) -> None:
        """Lead the running answer out of its thinking."""
        if self._running is not None:
            self._engine.send(AnswerNow(self._running[1].key))

    @Slot(str)
    def again(self, key: str) -> None:
        """Make another version of an answer of the shown conversation."""
        answer = self.current.nodes.get(key)
        last = self.current.last_answer()
        if isinstance(answer, Answer) and (last is None or last.over):
            self._enqueue(self.current.again(answer, self.settings.thinking))

    @Slot(str, int)
    def show_version(self, key: str, step: int) -> None:
        """Show the version before or after a node."""
        versions = self.current.versions(self.current.nodes[key])
        index = versions.index(key) + step
        if 0 <= index < len(versions):
            self.current.show(versions[index])
            self.path_changed.emit(self.current)
            self.measure()

    @Slot()
    def new_conversation(self) -> None:
        """Show an empty conversation; one that is still empty is used again."""
        empty = next((conversation for conversation in self.conversations if not conversation.nodes), None)
        if empty is None:
            empty = Conversation()
            self.conversations.insert(0, empty)
        self.open(empty.key)

    @Slot(str)
    def open(self, key: str) -> None:
        """Show a conversation."""
        self.current = next(conversation for conversation in self.conversations if conversation.key == key)
        self._submit_when_decoded = False  # it was meant for the conversation that was shown
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)
        self._set_context(0, 0)
        self.measure()

    @Slot()
    def measure(self) -> None:
        """Ask the engine how many tokens the shown conversation and the draft take."""
        if not isinstance(self.state, Ready | Answering):
            return
        message = self.draft.message()
        if message is None and not self.current.nodes:
            self._set_context(0, 0)
            return
        self._measure = uuid.uuid4().hex
        self._engine.send(self.current.measure(self._measure, message, self.settings.thinking))

    def running(self, conversation: Conversation) -> bool:
        """Whether a conversation has an answer that is not over."""
        answer = conversation.last_answer()
        return answer is not None and not answer.over

    # ---- what the engine says --------------------------------------------------------------------------------------

    @Slot(object)
    def _on_engine_event(self, event: EngineEvent) -> None:
        match event:
            case Hello():
                self._send_load()
            case Loaded():
                self.draft.set_limits(event.model.video)
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
                answer.grew(event, time.monotonic())
                self._paint_soon(answer)
            case Finished():
                answer.finished(event, time.monotonic())
                self._conclude(answer)
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
            self.state_changed.emit(self.state)

    def _send_load(self) -> None:
        settings = self.settings
        folder = settings.model_dir()
        cache = str(paths.cache_dir() / "engine")
        name = folder.name if settings.model else "demo model"
        self._engine.send(Load(str(folder), settings.device, settings.backend, settings.context, cache))
        self._advance(LoadSent(name, time.monotonic()))

    def _submit(self) -> None:
        self._submit_when_decoded = False
        answer = self.current.ask(self.draft.text.strip(), self.draft.attached, self.settings.thinking)
        self._measure = ""  # a count that is still to come is of what was just sent
        self.draft.clear()
        self.draft_replaced.emit("")
        self._enqueue(answer)

    def _enqueue(self, answer: Answer) -> None:
        self._waiting.append((self.current, answer))
        self._pump()
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)

    def _pump(self) -> None:
        """Ask for the next answer that waits, if the model is free."""
        if not isinstance(self.state, Ready) or not self._waiting:
            return
        conversation, answer = self._waiting.popleft()
        self._running = (conversation, answer)
        answer.asked(time.monotonic())
        sampling = self.sampling or default_sampling(thinking=answer.wants_thinking, demo=self.state.model.demo)
        self._engine.send(conversation.generate(answer, sampling, MAX_TOKENS))
        self._advance(GenerateSent(answer.key))
        self._paint_soon(answer)

    def _withdraw(self, conversation: Conversation, answer: Answer) -> None:
        question: Question = conversation.withdraw(answer)
        if question.key not in conversation.nodes:
            self.draft.restore(question.text, question.attached)
            self.draft_replaced.emit(self.draft.text)
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)
        self.measure()

    def _interrupt(self) -> None:
        if self._running is not None:
            answer = self._running[1]
            answer.interrupted(time.monotonic())
            self._conclude(answer)

    def _conclude(self, answer: Answer) -> None:
        """Paint the end of an answer at once."""
        self._running = None
        self._unpainted = answer
        self._on_paint_due()
        self.conversations_changed.emit()

    def _paint_soon(self, answer: Answer) -> None:
        self._unpainted = answer
        if not self._paint.isActive():
            self._paint.start()

    @Slot()
    def _on_paint_due(self) -> None:
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

"""The one object that holds what the window shows: the engine's state, the shown conversation, and what belongs to it.

Knows: which event changes what, what the engine is told next, and that the library keeps a question before the engine
hears it. Does not know: widgets, the disk. Its state is derived from events alone (`app.ui.state`); what is being
answered and what waits is held by `app.ui.turns`.
"""

import time
from typing import assert_never

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app import paths
from app.chat import sent
from app.chat.conversation import Answer, Choices, Conversation, Node, Question
from app.chat.memory import summary_room
from app.presets import MAX_TOKENS
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
    Stop,
    Unload,
    Unloaded,
)
from app.settings import Settings
from app.ui import chosen
from app.ui.counting import Counting
from app.ui.draft import Draft
from app.ui.engine_process import EngineProcess
from app.ui.forgetting import Forgetting
from app.ui.library import Library
from app.ui.naming import Naming
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
from app.ui.turns import Turns

NO_ACTION, RESTART, CHOOSE_MODEL, AGAIN, STOP, ANSWER_NOW = "", "restart", "choose_model", "again", "stop", "answer_now"
IN_CIRCLES = "The {} seems to go round in circles."
BUSY = "The answer is still being written: stop it first, or wait for its end."
FULL = "The context is full."


class Session(QObject):
    """Takes what the person wants and what the engine says; emits what there is to show. `filled`: the context of the
    shown conversation is full, with a sentence, and whether what did not fit is the draft again."""

    state_changed = Signal(object)
    conversations_changed = Signal()
    path_changed = Signal(object)
    answer_changed = Signal(object)
    gauges_changed = Signal(object)
    context_changed = Signal(object)
    draft_replaced = Signal(str)
    noticed = Signal(str, str)
    filled = Signal(str, bool)

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
        self.current = Conversation(choices=chosen.for_new(settings))
        self.library = library
        self.draft = draft
        self.settings = settings
        self.counting = Counting(self)
        self.counting.changed.connect(self.context_changed)
        self._engine = engine
        self.turns = Turns(library, self)
        self.turns.grew.connect(self._on_grew)
        self.turns.ended.connect(self._on_ended)
        self.turns.looped.connect(self._on_looped)
        self.naming = Naming(self, engine)
        self._submit_when_decoded = False
        self._forgetting = Forgetting(engine, library)
        self._reattaching = Reattaching(draft.decoder, library, self)
        self._reattaching.changed.connect(self._on_reattached)
        library.changed.connect(self.conversations_changed)
        library.noticed.connect(self._on_library_noticed)
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
        self.turns.interrupt()
        self.naming.lose()
        self._engine.start()
        self._advance(Started())

    def load(self, settings: Settings) -> None:
        """Load the model that the settings name; what is being answered is interrupted."""
        self.settings = settings
        if isinstance(self.state, Dead | Starting | LoadingModel):
            self.start()  # a load that is under way is not waited for
            return
        if self.turns.running is not None:
            self._engine.send(Stop(self.turns.running[1].key))
        self.turns.interrupt()
        self._send_load()

    @Slot()
    def unload(self) -> None:
        """Give the model's memory back until the next question."""
        if isinstance(self.state, Ready):
            self.naming.drop()
            self._engine.send(Unload())
            self._advance(UnloadSent())
        elif isinstance(self.state, Answering):
            self.noticed.emit(BUSY, NO_ACTION)

    def watch(self) -> None:
        """The model was used, or may be unloaded after another time: count from now."""
        if isinstance(self.state, Ready) and self.settings.unload_after > 0:
            self._unused.start(self.settings.unload_after * 60_000)
        else:
            self._unused.stop()

    @Slot()
    def submit(self) -> None:
        """Send the draft, or say why not; it is kept in that case."""
        self.naming.drop()
        obstacle = self.draft.obstacle()
        if obstacle:
            self.noticed.emit(obstacle, NO_ACTION)
        elif isinstance(self.state, Dead):
            self.noticed.emit(self.state.reason, RESTART)
        elif isinstance(self.state, NoModel) and not self.state.unloaded:
            self.noticed.emit(self.state.reason or "No model is loaded: choose one to go on.", CHOOSE_MODEL)
        elif self.running(self.current):
            self.noticed.emit(BUSY, NO_ACTION)
        elif self.draft.pending:
            self._submit_when_decoded = True
        else:
            self._submit()

    @Slot()
    def stop(self) -> None:
        """Stop what is being answered in the shown conversation, or take it back if it still waits."""
        running = self.turns.running
        if running is not None and running[0].key == self.current.key:
            self._engine.send(Stop(running[1].key))
            return
        for conversation, answer in self.turns.take_back(self.current.key):
            if answer.empty and self.turns.is_kept(answer):
                self._withdraw(conversation, answer)
            else:  # it was to go on, or is no part of the conversation
                self.turns.give_up(conversation, answer)
                self.path_changed.emit(self.current)

    @Slot()
    def answer_now(self) -> None:
        """Lead the running answer out of its thinking."""
        running = self.turns.running
        if running is not None and running[0].key == self.current.key:
            self._engine.send(AnswerNow(running[1].key))
            running[1].hurried = True
            self.answer_changed.emit(running[1])

    @Slot()
    def new_conversation(self) -> None:
        """Show an empty conversation; one that is still empty is used again."""
        self.show(self.current if not self.current.nodes else self._fresh())

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
            self.show(self._fresh())

    def erase(self, keys: tuple[str, ...]) -> None:
        """Erase conversations, here and in what the engine remembers; none means everything in the trash."""
        self._forgetting.erase(keys, engine_runs=not isinstance(self.state, Starting | Dead))

    def close(self) -> None:
        """Keep what has been written so far, as interrupted; for the end of the program."""
        self.turns.interrupt()
        self.turns.interrupt_waiting()

    def show(self, conversation: Conversation) -> None:
        """Show this conversation."""
        self.current = conversation
        self.library.hold(conversation)
        self._submit_when_decoded = False  # it was meant for the conversation that was shown
        self._reattaching.check(conversation)
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)
        self.counting.begin()
        self.draft.count_soon()

    def idle(self) -> bool:
        """Whether nothing is being answered in the shown conversation; a sentence is said otherwise."""
        if self.running(self.current):
            self.noticed.emit(BUSY, NO_ACTION)
            return False
        return True

    def _end_all_of(self, keys: set[str]) -> None:
        self.naming.drop()
        running = self.turns.running
        if running is not None and running[0].key in keys:
            self._engine.send(Stop(running[1].key))
            self.turns.interrupt()
        self.turns.interrupt_waiting(keys)

    @Slot()
    def measure(self) -> None:
        """Ask the engine how many tokens the shown conversation and the draft take."""
        if not isinstance(self.state, Ready | Answering):
            return
        self.watch()
        message = self.draft.message()
        if message is None and not self.current.nodes:
            self.counting.show(0, 0)
            return
        self._engine.send(self.counting.ask(self.current, message, thinking=self.thinking))

    @property
    def thinking(self) -> bool:
        """Whether the next answer of the shown conversation is thought over."""
        return chosen.thinks(self.current.choices, self.settings)

    def _fresh(self) -> Conversation:
        return Conversation(choices=chosen.for_new(self.settings))

    def running(self, conversation: Conversation) -> bool:
        """Whether something is being answered in a conversation, or waits to be."""
        return conversation.key in self.busy()

    def busy(self) -> set[str]:
        """The keys of the conversations in which something is being answered, or waits to be."""
        return self.turns.busy()

    # ---- what the engine says --------------------------------------------------------------------------------------

    @Slot(object)
    def _on_engine_event(self, event: EngineEvent) -> None:
        if self.naming.hear(event):
            return
        match event:
            case Hello():
                self._forgetting.catch_up()
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
        self.turns.interrupt()
        self.naming.lose()
        self._advance(Died(sentence))
        self.noticed.emit(sentence, RESTART)

    def _on_progress(self, event: Prefill | Delta | Finished) -> None:
        if self.turns.is_running(event.request):
            self.turns.hear(event)
            if isinstance(event, Finished):
                self.measure()  # its thinking leaves the context

    def _on_measured(self, event: Measured) -> None:
        if self.counting.is_asked(event.request):
            self.draft.measured(event)
            self.counting.hear(event, growing=self.running(self.current))

    def _on_failed(self, event: Failed) -> None:
        if self.counting.is_asked(event.request):
            return  # the same sentence comes when the draft is sent
        if not event.request:
            self.noticed.emit(event.message, CHOOSE_MODEL if isinstance(self.state, LoadingModel) else NO_ACTION)
        elif self.turns.running is not None and self.turns.is_running(event.request):
            conversation, answer = self.turns.running
            self.turns.catch_up()
            if not self.turns.is_kept(answer):
                self.turns.fail(event.message)
            elif answer.empty and event.kind in ("context", "bad_input"):
                self.turns.withdraw()
                drafted = self._withdraw(conversation, answer)
                if event.kind == "context" and conversation is self.current:
                    self.filled.emit(event.message, drafted)
                else:
                    self.noticed.emit(event.message, NO_ACTION)
            elif event.kind == "context":  # it was to go on, and there is no room yet
                self.turns.fail("", "context")
            else:
                self.turns.fail(event.message)
                self.noticed.emit(event.message, AGAIN if conversation is self.current else NO_ACTION)

    @Slot(object)
    def _on_grew(self, answer: Answer) -> None:
        if answer.key in self.current.nodes:
            self.answer_changed.emit(answer)
            if answer.context_used():
                self.counting.show(answer.context_used(), self.counting.use.draft)

    @Slot(object, object)
    def _on_ended(self, conversation: Conversation, answer: Answer) -> None:
        self.conversations_changed.emit()
        if answer.ending == "context" and conversation is self.current:
            self.filled.emit(FULL, False)

    @Slot(object, object)
    def _on_looped(self, conversation: Conversation, answer: Answer) -> None:
        """Nothing is done about it unless the person wants it."""
        if conversation is self.current and not answer.hurried:
            thinks = answer.stage == "thinking"
            self.noticed.emit(IN_CIRCLES.format("thinking" if thinks else "answer"), ANSWER_NOW if thinks else STOP)

    # ---- what follows ----------------------------------------------------------------------------------------------

    def _advance(self, event: EngineEvent | LocalEvent) -> None:
        state = after(self.state, event)
        if state != self.state:
            was, self.state = self.state, state
            if isinstance(state, Ready | Answering):
                self.counting.total = state.model.context
            if isinstance(state, Ready):
                self._pump()
                if isinstance(was, LoadingModel):
                    self.measure()
            self.watch()
            self.state_changed.emit(self.state)

    def _send_load(self) -> None:
        self.naming.drop()
        settings = self.settings
        folder = settings.model_dir()
        cache = str(paths.cache_dir() / "engine")
        name = folder.name if settings.model else "demo model"
        device, backend, context, kv_bits = settings.device, settings.backend, settings.context, settings.kv_bits
        self._engine.send(Load(str(folder), device, backend, context, cache, yarn=settings.yarn, kv_bits=kv_bits))
        self._advance(LoadSent(name, time.monotonic()))

    def _submit(self) -> None:
        self._submit_when_decoded = False
        sources = self.draft.sources()
        answer = self.current.ask(self.draft.text.strip(), self.draft.attached, self.thinking)
        self.counting.draft_sent()
        self.draft.clear()
        self.draft_replaced.emit("")
        self.enqueue(answer, [self.current.question_of(answer), answer], sources)

    def enqueue(self, answer: Answer, nodes: list[Node], sources: dict[str, str] | None = None) -> None:
        """Have an answer made in its turn; the library keeps what is new before the engine hears of it."""
        self.turns.put(self.current, answer)
        if nodes:
            self.library.asked(self.current, nodes, sources or {})
        self._pump()
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)

    def go_on(self, answer: Answer) -> None:
        """Have an answer of the shown conversation that ended too early go on."""
        answer.resume()
        self.library.resumed(self.current, answer)
        self.enqueue(answer, [])

    def again(self, answer: Answer) -> None:
        """Have another version of an answer of the shown conversation made."""
        fresh = self.current.again(answer, self.thinking)
        self.enqueue(fresh, [fresh])

    def enqueue_aside(self, conversation: Conversation, answer: Answer) -> None:
        """Have something short written in its turn that is no part of a conversation, and is not kept."""
        self.turns.put(conversation, answer, kept=False)
        self._pump()
        self.conversations_changed.emit()

    def _pump(self) -> None:
        """Ask for the next answer that waits, if the model is free."""
        if self.turns.first and isinstance(self.state, NoModel) and self.state.unloaded:
            self._send_load()
        if not isinstance(self.state, Ready) or not self.turns.first:
            return
        if self._reattaching.check(self.turns.first[0]):
            return  # its pictures are decoded again first
        self.naming.drop()
        conversation, answer = self.turns.begin()
        if answer.wants_thinking:
            answer.thinking_budget = chosen.thinking_budget(conversation.choices, self.settings)
        most = MAX_TOKENS if self.turns.is_kept(answer) else summary_room(self.state.model.context)
        demo, thinking = self.state.model.demo, answer.wants_thinking
        sampling = chosen.sampling_of(conversation.choices, self.settings, thinking=thinking, demo=demo)
        self._engine.send(sent.generate(conversation, answer, sampling, most))
        self._advance(GenerateSent(answer.key))

    def _withdraw(self, conversation: Conversation, answer: Answer) -> bool:
        """Take an answer out of which there is nothing; whether its question became the draft again."""
        question: Question = conversation.withdraw(answer)
        gone = [node.key for node in (question, answer) if node.key not in conversation.nodes]
        self.library.removed(conversation, gone)
        drafted = question.key not in conversation.nodes
        if drafted:
            self.draft.restore(question.text, question.attached)
            self.draft_replaced.emit(self.draft.text)
        self.conversations_changed.emit()
        self.path_changed.emit(self.current)
        self.measure()
        return drafted

    @Slot()
    def _on_draft_changed(self) -> None:
        if self.draft.text or self.draft.items:
            self.naming.drop()  # a question is on its way
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
        waiting = self.turns.first
        if refusal and waiting is not None and waiting[0].key == conversation:
            self.turns.fail_first(refusal)
        if refusal:
            self.noticed.emit(refusal, NO_ACTION)
        if self.current.key == conversation:
            self.path_changed.emit(self.current)
        self._pump()
        self.conversations_changed.emit()

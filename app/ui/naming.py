"""Conversations named by the model itself, while nothing else is wanted of it.

Knows: when there is time for a title, and that whatever the person does comes first: a title that is under way is
dropped at once, and asked for again after the next answer. Does not know: widgets, what a title looks like. The session
stays ready all the while, because the request is none of its own.
"""

import uuid
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Slot

from app.chat.conversation import Answer, Conversation
from app.chat.titles import title_in, title_request, wants_title
from app.presets import default_sampling
from app.protocol import Delta, EngineEvent, Failed, Finished, Prefill, Stop
from app.ui.engine_process import EngineProcess
from app.ui.state import Ready

if TYPE_CHECKING:
    from app.ui.session import Session

IDLE_MS = 2_000
"""How long nothing was wanted before a title is."""


class Naming(QObject):
    """Works for the session, which tells it when it has to give way."""

    def __init__(self, session: "Session", engine: EngineProcess) -> None:
        super().__init__(session)
        self._session, self._engine = session, engine
        self._due = self._request = self._key = self._reply = ""
        self._tried: set[str] = set()
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_MS)
        self._idle.timeout.connect(self._on_idle)
        session.turns.ended.connect(self._on_ended)

    @property
    def running(self) -> bool:
        """Whether a title is being made."""
        return bool(self._request)

    def drop(self) -> None:
        """Something else is wanted: the title that is being made is not."""
        self._idle.stop()
        if self._request:
            self._engine.send(Stop(self._request))
            self._tried.discard(self._key)
        self._request = ""

    def lose(self) -> None:
        """The engine that was making a title is no more."""
        self._request = ""

    def hear(self, event: EngineEvent) -> bool:
        """Take what the engine says of a title; whether it was about one."""
        ours = isinstance(event, Prefill | Delta | Finished | Failed) and event.request == self._request
        if not self._request or not ours:
            return False
        if isinstance(event, Delta) and event.channel == "answer":
            self._reply += event.text
        elif isinstance(event, Finished | Failed):
            self._request = ""
            if isinstance(event, Finished) and event.reason in ("end", "length"):
                self._name(self._key, title_in(self._reply))
        return True

    def _name(self, key: str, title: str) -> None:
        library = self._session.library
        listed = any(summary.key == key for summary in library.summaries)  # it may be gone by now
        conversation = library.get(key) if title and listed else None
        if conversation is not None and not conversation.name:
            library.rename(key, title)

    @Slot(object, object)
    def _on_ended(self, conversation: Conversation, answer: Answer) -> None:
        if answer.key in conversation.nodes and answer.ending == "end" and self._session.turns.is_kept(answer):
            self._due = conversation.key
            self._idle.start()

    @Slot()
    def _on_idle(self) -> None:
        session, key = self._session, self._due
        state, draft = session.state, session.draft
        listed = any(summary.key == key for summary in session.library.summaries)
        if not session.settings.titles or not listed or key in self._tried or self._request:
            return
        if not isinstance(state, Ready) or state.model.demo or session.turns.first or draft.text or draft.items:
            return  # the demo model knows no titles
        conversation = session.current if session.current.key == key else session.library.get(key)
        if conversation is None or not wants_title(conversation):
            return
        self._tried.add(key)
        self._request, self._key, self._reply = uuid.uuid4().hex, key, ""
        sampling = default_sampling(thinking=False, demo=False)
        self._engine.send(title_request(self._request, conversation, sampling))

"""How full the context is: what the engine counts of the shown conversation and of the draft, and what is written.

Knows: which count was asked for last. Does not know: when one is worth asking for, how it is shown.
"""

import uuid
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from app.chat import sent
from app.chat.conversation import Conversation
from app.protocol import ChatMessage, Measure, Measured


@dataclass(frozen=True, slots=True)
class ContextUse:
    """Tokens of the context window: taken by the conversation, by the draft, and in all (0: unknown)."""

    used: int = 0
    draft: int = 0
    total: int = 0

    @property
    def has_room(self) -> bool:
        """Whether an answer that had filled it could go on; while nothing is known, that is for the engine to say."""
        return not self.total or self.used + self.draft < self.total - self.total // 16


class Counting(QObject):
    """`use` is what is known at the moment, `messages` the tokens of each message that is sent, none if unknown.
    `total` is the loaded model's context. Emits `changed` with `use`."""

    changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.use = ContextUse()
        self.messages: tuple[int, ...] = ()
        self.total = 0
        self._request = ""

    def ask(self, conversation: Conversation, draft: ChatMessage | None, *, thinking: bool) -> Measure:
        """The command that counts both."""
        self._request = uuid.uuid4().hex
        return sent.measure(conversation, self._request, draft, thinking=thinking)

    def is_asked(self, request: str) -> bool:
        """Whether this is the count that was asked for last."""
        return bool(request) and request == self._request

    def draft_sent(self) -> None:
        """The draft was sent: a count that is still to come is of what it was."""
        self._request = ""

    def hear(self, event: Measured, *, growing: bool) -> None:
        """What was counted; while an answer is `growing`, that tells more of what the conversation takes."""
        self.messages = event.message_tokens
        self.show(self.use.used if growing else event.conversation_tokens, event.draft_tokens)

    def begin(self) -> None:
        """Nothing is known: another conversation is shown."""
        self.messages = ()
        self.show(0, 0)

    def show(self, used: int, draft: int) -> None:
        """So many tokens are taken."""
        self.use = ContextUse(used, draft, self.total)
        self.changed.emit(self.use)

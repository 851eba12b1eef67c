"""What the person changes about what was said: another version, going on, a branch, a turn less, and back again.

Knows the tree of the shown conversation, and that nothing in it changes while it is being answered. Does not know
widgets, nor how an answer is made: the session is given what waits for its turn.
"""

from PySide6.QtCore import QObject, Slot

from app.chat.conversation import Answer, Conversation, Question, Shape
from app.ui.session import FULL, NO_ACTION, Session


class Revision(QObject):
    """Works on the conversation that the session shows."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._deleted: tuple[Conversation, Shape, set[str]] | None = None

    @property
    def _shown(self) -> Conversation:
        return self._session.current

    @Slot(str)
    def again(self, key: str) -> None:
        """Make another version of an answer."""
        answer = self._shown.nodes.get(key)
        if isinstance(answer, Answer) and self._session.idle():
            self._session.again(answer)

    @Slot()
    def last_again(self) -> None:
        """Make another version of the last answer."""
        answer = self._shown.last_answer()
        if answer is not None:
            self.again(answer.key)

    @Slot(str)
    def go_on(self, key: str) -> None:
        """Go on with the last answer, which ended too early."""
        answer = self._shown.last_answer()
        if answer is None or answer.key != key or not answer.can_go_on:
            return
        if answer.ending == "context" and not self._session.counting.use.has_room:
            self._session.filled.emit(FULL, False)
        else:
            self._session.go_on(answer)

    @Slot()
    def go_on_with_last(self) -> None:
        """Go on with the last answer, if it ended too early."""
        answer = self._shown.last_answer()
        if answer is not None:
            self.go_on(answer.key)

    @Slot(str, str)
    def edit(self, key: str, text: str) -> None:
        """Make another version of a message: a question is answered anew, an answer stands as it was written."""
        session, node = self._session, self._shown.nodes.get(key)
        if node is None or not text.strip() or text == node.text or not session.idle():
            return
        if isinstance(node, Question):
            answer = self._shown.edit_question(node, text.strip(), session.thinking)
            session.enqueue(answer, [self._shown.question_of(answer), answer])
        else:
            session.library.asked(self._shown, [self._shown.edit_answer(node, text)], {})
            self._reshown()

    @Slot(str, int)
    def show_version(self, key: str, step: int) -> None:
        """Show the version before or after a message."""
        versions = self._shown.versions(self._shown.nodes[key])
        index = versions.index(key) + step
        if 0 <= index < len(versions):
            self._shown.show(versions[index])
            self._session.library.shown(self._shown, [self._shown.nodes[versions[index]]])
            self._reshown()

    @Slot(str)
    def branch(self, key: str) -> None:
        """Show a new conversation that begins with everything up to a message."""
        if key in self._shown.nodes and self._session.idle():
            fresh = self._shown.branch(key)
            self._session.library.asked(fresh, fresh.nodes.values(), {})
            self._session.show(fresh)

    def delete_turn(self, key: str) -> bool:
        """Take a question out, with its answers; whether it was."""
        answer = self._shown.nodes.get(key)
        if not isinstance(answer, Answer) or not self._session.idle():
            return False
        before = self._shown.shape()
        self._session.library.removed(self._shown, self._shown.remove_turn(answer))
        self._deleted = self._shown, before, set(self._shown.nodes)
        self._reshown()
        return True

    def undo_delete(self) -> None:
        """Bring back the turn that was taken out last, unless the conversation has grown since."""
        if self._deleted is None or not self._session.idle():
            return
        conversation, shape, left = self._deleted
        self._deleted = None
        if conversation.nodes.keys() != left:
            sentence = "The conversation has changed since, so this cannot be undone any more."
            self._session.noticed.emit(sentence, NO_ACTION)
            return
        conversation.reshape(shape)
        self._session.library.rewritten(conversation)
        self._session.show(conversation)

    def _reshown(self) -> None:
        self._session.path_changed.emit(self._shown)
        self._session.measure()

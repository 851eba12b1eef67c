"""Whose thinking is shown, beside the conversation or as a line above it, folded or not.

Knows the two forms and that the person's folding is remembered. Does not know how thinking is drawn (`thinking_pane`).
"""

from PySide6.QtCore import QObject, Slot

from app.chat.conversation import Answer
from app.ui.preferences import Preferences
from app.ui.session import Session
from app.ui.shell import Shell


class Thoughts(QObject):
    """Shows the thinking of the answer that was asked for, or of the newest."""

    def __init__(self, session: Session, shell: Shell, preferences: Preferences) -> None:
        super().__init__(shell)
        self._session, self._shell, self._preferences = session, shell, preferences
        self._subject = ""
        shell.transcript.thinking_requested.connect(self._on_thinking_requested)
        shell.pane.fold_requested.connect(self._on_fold_requested)
        shell.thinking_line.unfold_requested.connect(self._on_unfold_requested)
        shell.thinking_line.fold_chosen.connect(self._on_fold_chosen)
        shell.pane_dragged.connect(self._on_pane_dragged)
        for form in (shell.pane, shell.thinking_line):
            form.answer_now_requested.connect(session.answer_now)

    @Slot()
    def show(self) -> None:
        """Show it as it is at the moment."""
        self._shell.show_thinking(self._answer(), self._preferences.settings)

    def show_newest(self) -> None:
        """Show that of the newest answer from now on."""
        self._subject = ""
        self.show()

    def _answer(self) -> Answer | None:
        conversation = self._session.current
        asked = conversation.nodes.get(self._subject)
        answer = asked if isinstance(asked, Answer) else conversation.last_answer()
        coming = answer is not None and answer.wants_thinking and answer.stage in ("reading", "thinking")
        if answer is None or not (answer.thinking or coming):
            return None
        return answer

    @Slot(str)
    def _on_thinking_requested(self, key: str) -> None:
        self._subject = key
        if self._shell.beside and self._preferences.settings.pane_folded:
            self._preferences.change(pane_folded=False)
        self.show()
        if not self._shell.beside:
            self._shell.thinking_line.unfold()

    @Slot()
    def _on_fold_requested(self) -> None:
        self._preferences.change(pane_folded=True)
        self.show()

    @Slot(bool)
    def _on_fold_chosen(self, folded: bool) -> None:
        self._preferences.change(pane_folded=folded)

    @Slot()
    def _on_unfold_requested(self) -> None:
        self._preferences.change(pane_folded=False)
        self.show()

    @Slot(int)
    def _on_pane_dragged(self, width: int) -> None:
        self._preferences.keep_in_mind(pane_width=width)

"""What the commands of the table do, and the list of their keys. Knows the window and its parts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from app.chat.conversation import Answer, Question
from app.settings import KEYS, Settings, declared
from app.ui.answer import AnswerView
from app.ui.conversation_rows import FOLDER, KEY
from app.ui.keys import Keys, shown
from app.ui.keys_dialog import KeysDialog
from app.ui.user_message import UserMessage

if TYPE_CHECKING:
    from app.ui.main_window import MainWindow

FONT_SIZES = next(each.kind for name, each in declared() if name == "font_size")
NO_ANSWER = "There is no answer to copy yet."
NO_CODE = "There is no code in the last answer."


class Deeds(QObject):
    """Does what a key wants done, for the conversation that is shown."""

    def __init__(self, window: "MainWindow") -> None:
        super().__init__(window)
        self._window = window
        self._keys = Keys(window, window.transcript, window.composer.edit, self._table(), self._blocked)
        self.bind()

    @Slot()
    def bind(self) -> None:
        """Bind the keys that were chosen, and say them where their commands are."""
        window = self._window
        chosen = window.settings.keys
        self._keys.bind(chosen)
        menu = window.header.menu
        for action, words, name in (
            (menu.settings, "Settings…", "settings"),
            (menu.keys, "Keys…", "keys"),
            (menu.quit, "Quit", "quit"),
        ):
            keys = shown(name, chosen).split(" or ")[0]
            action.setText(f"{words}\t{keys}" if keys else words)  # told, not bound: it is bound already

    @Slot()
    def open_keys(self) -> None:
        """Show the list of keys."""
        dialog = KeysDialog(self._window.settings.keys, self._window)
        dialog.change_requested.connect(self._on_change_requested)
        dialog.open()

    def _table(self) -> dict[str, Callable[[], object]]:
        window = self._window
        return {
            "new": window.begin_anew,
            "search": window.shelf.open_search,
            "find": window.shell.find_bar.open_bar,
            "next": self.next,
            "previous": self.previous,
            "rename": self.rename,
            "file": self.file,
            "again": window.revision.last_again,
            "continue": window.revision.go_on_with_last,
            "stop": self.stop,
            "older": self.older,
            "newer": self.newer,
            "copy": self.copy,
            "copy_code": self.copy_code,
            "edit_last": self.edit_last,
            "write": self.write,
            "attach": window.ask_for_files,
            "model": window.models.open,
            "sidebar": window.toggle_sidebar,
            "larger": self.larger,
            "smaller": self.smaller,
            "usual_size": self.usual_size,
            "settings": window.preferences.open_settings,
            "keys": self.open_keys,
            "quit": window.quit_asked.emit,
        }

    def _blocked(self) -> bool:
        """While one searches, keys are the search's."""
        return self._window.shelf.panel.isVisible()

    # ---- conversations ---------------------------------------------------------------------------------------------

    def next(self) -> None:
        """Show the conversation below in the list."""
        self._step(1)

    def previous(self) -> None:
        """Show the conversation above in the list."""
        self._step(-1)

    def _step(self, step: int) -> None:
        listed = self._window.sidebar.list
        model, at = listed.model(), listed.currentIndex().row()
        if at < 0 and step < 0:
            at = 0
        for _ in range(model.rowCount()):
            at = (at + step) % model.rowCount()
            key = model.index(at, 0).data(KEY)
            if key:  # and no heading
                self._window.session.open(key)
                return

    def rename(self) -> None:
        """Write another name for the conversation, or for the folder that is chosen, in the list."""
        window = self._window
        listed = window.sidebar.list
        if not (listed.currentIndex().data(KEY) or listed.currentIndex().data(FOLDER)):
            return
        self._go_to_list()
        listed.scrollTo(listed.currentIndex())
        listed.edit(listed.currentIndex())

    def file(self) -> None:
        """Ask which folder the conversation is to lie in."""
        window = self._window
        if any(summary.key == window.session.current.key for summary in window.session.library.summaries):
            self._go_to_list()
            window.sidebar.list.offer_folders(window.session.current.key)

    def _go_to_list(self) -> None:
        window = self._window
        if not window.sidebar.isVisible():
            window.toggle_sidebar()
        window.sidebar.list.setFocus()

    # ---- messages --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Close what is open above the conversation; else stop the answer; else leave the page about models; else hide
        what was said."""
        window = self._window
        if window.shelf.panel.isVisible():
            window.shelf.panel.close_panel()
        elif window.shell.drawer.is_open:
            window.shell.drawer.close()
        elif window.session.running(window.session.current):
            window.session.stop()
        elif window.shell.models_shown:
            window.models.leave()
        else:
            window.notice.hide()

    def older(self) -> None:
        """Show the version before of the message that has the keyboard, or of the last answer."""
        self._version(-1)

    def newer(self) -> None:
        """Show the next version of the message that has the keyboard, or of the last answer."""
        self._version(1)

    def _version(self, step: int) -> None:
        window, focused = self._window, QApplication.focusWidget()
        path = window.session.current.path()
        for node in path:
            view = window.transcript.view_of(node.key)
            if view is not None and focused is not None and view.isAncestorOf(focused):
                break
        else:
            if not path:
                return
            node = path[-1]
        window.revision.show_version(node.key, step)
        window.transcript.area.setFocus()

    def copy(self) -> None:
        """Copy the last answer as Markdown."""
        answer = self._last_answer()
        if answer is None:
            self._window.notice.say(NO_ANSWER, quiet=True)
        else:
            QGuiApplication.clipboard().setText(answer.text)
            self._window.notice.say("The answer is copied.", quiet=True)

    def copy_code(self) -> None:
        """Copy the last code of the last answer."""
        answer = self._last_answer()
        view = self._window.transcript.view_of(answer.key) if answer is not None else None
        code = view.text.last_code() if isinstance(view, AnswerView) else ""
        if not code:
            self._window.notice.say(NO_CODE, quiet=True)
        else:
            QGuiApplication.clipboard().setText(code)
            self._window.notice.say("The code is copied.", quiet=True)

    def _last_answer(self) -> Answer | None:
        path = self._window.session.current.path()
        return next((node for node in reversed(path) if isinstance(node, Answer) and node.text), None)

    # ---- writing ---------------------------------------------------------------------------------------------------

    def edit_last(self) -> None:
        """Write the last message anew."""
        window = self._window
        path = window.session.current.path()
        last = next((node for node in reversed(path) if isinstance(node, Question)), None)
        if last is None:
            return
        window.transcript.reveal(last.key)
        view = window.transcript.view_of(last.key)
        if isinstance(view, UserMessage):
            view.edit.click()

    def write(self) -> None:
        """Have the keyboard write in the message field."""
        self._window.shell.drawer.close()
        self._window.composer.edit.setFocus()

    # ---- the size of text ------------------------------------------------------------------------------------------

    def larger(self) -> None:
        """Larger text."""
        self._resize(self._window.settings.font_size + 1)

    def smaller(self) -> None:
        """Smaller text."""
        self._resize(self._window.settings.font_size - 1)

    def usual_size(self) -> None:
        """Text of the usual size."""
        self._resize(Settings().font_size)

    def _resize(self, size: int) -> None:
        least, most = getattr(FONT_SIZES, "least", size), getattr(FONT_SIZES, "most", size)
        self._window.preferences.change(font_size=min(most, max(least, size)))

    @Slot()
    def _on_change_requested(self) -> None:
        self._window.preferences.open_settings(KEYS)

"""The window program: look, window, tray, event loop. Knows how the parts are put together, and nothing else."""

import signal
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from PySide6.QtCore import QObject, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication

from app import APP_NAME, settings
from app.chat.conversation import Answer, Conversation
from app.programs import Program, program
from app.ui import theme as look
from app.ui.decoder_process import DecoderProcess
from app.ui.draft import Draft
from app.ui.dressing import Dressing
from app.ui.engine_process import SILENCE_MS, EngineProcess
from app.ui.icons import icon
from app.ui.library import Library
from app.ui.main_window import MainWindow
from app.ui.one_instance import OneInstance
from app.ui.session import Session
from app.ui.state import Ready
from app.ui.tray import Tray

OF_THE_LOOK = frozenset({"theme", "font", "font_size", "reduced_motion"})
UNTOLD = ("stopped", "interrupted")
"""Endings that the person knows of."""


class Face(QObject):
    """The window with the processes behind it, what all of it is drawn in, and its mark in the tray."""

    def __init__(
        self,
        app: QApplication,
        engine: Program,
        decoder: Program,
        silence_ms: int = SILENCE_MS,
        *,
        alone: bool = True,
    ) -> None:
        """`alone`: no other window of this profile is open."""
        super().__init__(app)
        self._app = app
        kept, remark = settings.read()
        self._dressing = Dressing(app, kept)
        self.engine = EngineProcess(engine, self, silence_ms)
        self.decoder = DecoderProcess(decoder, self)
        self.library = Library(program("history"), self)
        self.session = Session(self.engine, Draft(self.decoder, self), self.library, kept, self)
        self.window = MainWindow(self.session, self._dressing.theme)
        self.window.models.list.reader.engine = engine
        self.tray = Tray(app.windowIcon(), self.window)
        self.tray.opened.connect(self.come_forward)
        self.tray.quit_requested.connect(self.quit)
        self._follow_tray()
        self.window.quit_asked.connect(self.quit)
        self.window.preferences.changed.connect(self._on_settings_changed)
        self.session.turns.ended.connect(self._on_ended)
        app.styleHints().colorSchemeChanged.connect(self._on_scheme_changed)
        app.commitDataRequest.connect(self._on_session_ending)
        app.aboutToQuit.connect(self.close)
        self.library.start(alone=alone)
        if remark:
            self.window.notice.say(remark)

    @property
    def ready(self) -> bool:
        """Whether a model waits for a question."""
        return isinstance(self.session.state, Ready)

    def show(self) -> None:
        """Show the window, and start the engine once it is painted."""
        if self.session.settings.window_maximized:
            self.window.showMaximized()
        else:
            self.window.show()
        QTimer.singleShot(0, self.session, self.session.start)
        QTimer.singleShot(0, self.window.models, self.window.models.begin)

    @Slot(list)
    def attach(self, files: Sequence[str]) -> None:
        """Attach files that Parley was started with, as if they had been dropped."""
        if files:
            self.session.draft.add_files(files)

    @Slot()
    def come_forward(self) -> None:
        """Show the window above all others: the person started Parley once more."""
        self.window.setWindowState(self.window.windowState() & ~Qt.WindowState.WindowMinimized)
        self.window.show()
        self.window.raise_()
        self.window.activateWindow()

    def report(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Say that something went wrong in the window itself; the trace goes to stderr. Python calls it for what no
        slot caught, and the window goes on."""
        sys.__excepthook__(kind, error, trace)
        self.window.notice.say(
            f"Something went wrong in the window ({kind.__name__}). Your conversation is kept; if it happens again, "
            "restart Parley."
        )

    @Slot()
    def close(self) -> None:
        """Keep what was written so far, and end the processes behind the window."""
        self.session.close()
        self.library.close()
        self.window.models.close()
        self.engine.close()
        self.decoder.close()

    @Slot()
    def quit(self) -> None:
        """End the program, also where closing the window would leave it in the tray."""
        self.window.stays = False
        if self.window.close():
            self._app.quit()
        else:
            self._follow_tray()  # it was asked whether to quit, and the answer is still to come

    @Slot()
    def _on_session_ending(self) -> None:
        self.window.stays = False  # a window that only hid would hold up the end of the desktop's session

    def _follow_tray(self) -> None:
        stays = self.session.settings.on_close == "tray" and self.tray.available
        self.tray.stand(stands=stays)
        self.window.stays = stays
        self._app.setQuitOnLastWindowClosed(not stays)

    @Slot(frozenset)
    def _on_settings_changed(self, names: frozenset[str]) -> None:
        if names & OF_THE_LOOK:
            self.window.transcript.undress()
            self._dressing.follow(self.session.settings)
            self.window.apply_theme(self._dressing.theme)
        if "on_close" in names:
            self._follow_tray()

    @Slot()
    def _on_scheme_changed(self) -> None:
        self._on_settings_changed(OF_THE_LOOK)

    @Slot(object, object)
    def _on_ended(self, conversation: Conversation, answer: Answer) -> None:
        """Say that a long answer is done to whoever does not look."""
        after = self.session.settings.notify_after
        took = time.monotonic() - answer.asked_at if answer.asked_at else 0.0
        kept = self.session.turns.is_kept(answer) and answer.key in conversation.nodes
        if kept and after and took >= after and answer.ending not in UNTOLD:
            self.tray.tell(conversation.title, "The answer is done.")


def prepare(app: QApplication) -> None:
    """What every window of Parley needs: the base style, the fonts, the names and the icon."""
    app.setApplicationName(APP_NAME.lower())
    app.setApplicationDisplayName(APP_NAME)
    app.setDesktopFileName(APP_NAME.lower())
    app.setStyle("Fusion")
    app.setWindowIcon(icon("parley", "", 64))
    look.load_fonts()
    app.setFont(look.text_font())


def run(files: Sequence[str] = ()) -> int:
    """Show the window, with `files` attached to its draft, until it is closed; the program's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C in the terminal ends the event loop too
    QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(sys.argv[:1])
    prepare(app)
    instance = OneInstance(app)
    alone = instance.claim()
    if not alone and instance.ask_the_other_forward(files):
        return 0
    face = Face(app, program("engine"), program("decoder"), alone=alone)
    instance.asked_forward.connect(face.come_forward)
    instance.handed.connect(face.attach)
    sys.excepthook = face.report
    face.show()
    face.attach(files)
    return app.exec()

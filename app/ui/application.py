"""The window program: fonts, theme, window, event loop. Knows how the parts are put together, and nothing else."""

import signal
import sys
from types import TracebackType

from PySide6.QtCore import QObject, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication

from app import APP_NAME, settings
from app.programs import Program, program
from app.ui import theme as look
from app.ui.decoder_process import DecoderProcess
from app.ui.draft import Draft
from app.ui.engine_process import SILENCE_MS, EngineProcess
from app.ui.icons import icon
from app.ui.library import Library
from app.ui.main_window import MainWindow
from app.ui.one_instance import OneInstance
from app.ui.session import Session
from app.ui.state import Ready


class Face(QObject):
    """The window with the processes behind it, and the theme that all of it is drawn in."""

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
        kept = settings.load()
        self._theme = look.chosen(kept.theme, app.styleHints().colorScheme())
        self._dress()
        self.engine = EngineProcess(engine, self, silence_ms)
        self.decoder = DecoderProcess(decoder, self)
        self.library = Library(program("history"), self)
        self.session = Session(self.engine, Draft(self.decoder, self), self.library, kept, self)
        self.window = MainWindow(self.session, self._theme)
        self.window.header.menu.setting_chosen.connect(self._on_scheme_or_choice_changed)
        app.styleHints().colorSchemeChanged.connect(self._on_scheme_or_choice_changed)
        app.aboutToQuit.connect(self.close)
        self.library.start(alone=alone)

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
        self.engine.close()
        self.decoder.close()

    def _dress(self) -> None:
        self._app.setPalette(look.palette(self._theme))
        self._app.setStyleSheet(look.stylesheet(self._theme))

    @Slot()
    def _on_scheme_or_choice_changed(self) -> None:
        chosen = look.chosen(self.session.settings.theme, self._app.styleHints().colorScheme())
        if chosen is not self._theme:
            self._theme = chosen
            self._dress()
            self.window.apply_theme(chosen)


def prepare(app: QApplication) -> None:
    """What every window of Parley needs: the base style, the fonts, the names and the icon."""
    app.setApplicationName(APP_NAME.lower())
    app.setApplicationDisplayName(APP_NAME)
    app.setDesktopFileName(APP_NAME.lower())
    app.setStyle("Fusion")
    app.setWindowIcon(icon("parley", "", 64))
    look.load_fonts()
    app.setFont(look.text_font())


def run() -> int:
    """Show the window until it is closed; the program's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C in the terminal ends the event loop too
    QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(sys.argv[:1])
    prepare(app)
    instance = OneInstance(app)
    alone = instance.claim()
    if not alone and instance.ask_the_other_forward():
        return 0
    face = Face(app, program("engine"), program("decoder"), alone=alone)
    instance.asked_forward.connect(face.come_forward)
    sys.excepthook = face.report
    face.show()
    return app.exec()

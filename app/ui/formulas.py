"""The formulas that are shown: their outlines, from the program that draws them, and their pictures.

Knows: what was asked for, what came, how long to wait. Does not know where a formula stands. There is one for the
application, like its fonts, because what a formula looks like depends on nothing but its LaTeX.
"""

import re
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QObject, QRectF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from app import paths
from app.programs import program
from app.protocol import DrawFormula, FormulaDrawn, FormulaRefused
from app.ui.line_process import LineProcess

PATIENCE_MS, START_MS = 3_000, 30_000
"""For one formula; then the program is started anew and the formula stays what the model wrote. For the program to
start: it is asked for a first formula that it can draw."""
TOGETHER_MS = 60
"""Formulas that come within it are shown at once."""
MOST, MOST_PICTURES = 2_000, 400
LARGEST_PIXELS = 4_000
LONGEST = 2_000
"""Characters of LaTeX that are still drawn."""
EM = 100.0

_OUTLINE = re.compile(r"[MLHVQCTSZz0-9eE., +-]*")


@dataclass(frozen=True, slots=True)
class Outline:
    """An area in units of a hundredth of the text's size; `top` is above the line that letters stand on if negative."""

    path: str
    left: float
    top: float
    width: float
    height: float


class Formulas(QObject):
    """Gives outlines that are known and has the others drawn; `drawn` says that some have become known."""

    drawn = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: OrderedDict[tuple[str, bool], Outline | None] = OrderedDict()
        self._wanted: OrderedDict[tuple[str, bool], None] = OrderedDict()
        self._pictures: OrderedDict[tuple[Outline, float, str, float], QImage] = OrderedDict()
        self._request = ""
        self._starts = False
        self._process = LineProcess(program("formulas"), paths.log_dir() / "formulas.log", self)
        self._process.received.connect(self._on_received)
        self._process.ended.connect(self._on_ended)
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.timeout.connect(self._on_late)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(TOGETHER_MS)
        self._soon.timeout.connect(self.drawn)

    def outline(self, latex: str, *, display: bool) -> Outline | None:
        """What to draw, or None: it is not known yet, or it cannot be drawn."""
        key = latex, display
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        if len(latex) <= LONGEST and "\ufffc" not in latex:
            self._wanted[key] = None
            self._ask()
        else:
            self._know(key, None)
        return None

    def waits_for(self, latex: str, *, display: bool) -> bool:
        """Whether it may still become known."""
        return (latex, display) in self._wanted

    def picture(self, outline: Outline, size: float, colour: str, ratio: float) -> QImage:
        """A formula in pixels: `size` is that of the text, `ratio` the screen's pixels for one."""
        key = outline, size, colour, ratio
        if key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        scale = size / EM * ratio
        width, height = (max(1, min(LARGEST_PIXELS, round(side * scale))) for side in (outline.width, outline.height))
        image = QImage(width, height, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{outline.left} {outline.top} {outline.width} '
            f'{outline.height}"><path fill="{QColor(colour).name()}" d="{outline.path}"/></svg>'
        )
        painter = QPainter(image)
        QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, width, height))
        painter.end()
        self._pictures[key] = image
        while len(self._pictures) > MOST_PICTURES:
            self._pictures.popitem(last=False)
        return image

    @Slot()
    def close(self) -> None:
        """End the program that draws."""
        self._late.stop()
        self._wanted.clear()
        self._request, self._starts = "", False
        self._process.close()

    def _ask(self) -> None:
        """Have the next one drawn; one at a time, so that it is known which one takes too long."""
        if self._request or not self._wanted:
            return
        latex, display = next(iter(self._wanted))
        if not self._process.running:
            self._process.start()
            self._starts, latex, display = True, "x", False
        self._request = uuid.uuid4().hex
        self._process.send(DrawFormula(self._request, latex, display))
        self._late.start(START_MS if self._starts else PATIENCE_MS)

    def _know(self, key: tuple[str, bool], outline: Outline | None) -> None:
        self._known[key] = outline
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def _settle(self, outline: Outline | None) -> None:
        self._late.stop()
        self._request = ""
        if self._wanted:
            self._know(self._wanted.popitem(last=False)[0], outline)
            if outline is not None and not self._soon.isActive():
                self._soon.start()
        self._ask()

    @Slot(object)
    def _on_received(self, reply: object) -> None:
        if isinstance(reply, FormulaDrawn | FormulaRefused) and reply.request == self._request:
            if self._starts:
                self._starts, self._request = False, ""
                self._ask()
                return
            fits = isinstance(reply, FormulaDrawn) and _OUTLINE.fullmatch(reply.outline) is not None
            if isinstance(reply, FormulaDrawn) and fits and min(reply.width, reply.height) > 0:
                self._settle(Outline(reply.outline, reply.left, reply.top, reply.width, reply.height))
            else:
                self._settle(None)

    @Slot(str)
    def _on_ended(self, _reason: str) -> None:
        self._give_up()

    @Slot()
    def _on_late(self) -> None:
        self._process.stop()
        self._give_up()

    def _give_up(self) -> None:
        """The program ended or takes too long, because of what it was asked for, or because it cannot be started."""
        if self._starts:
            self._starts = False
            for key in self._wanted:
                self._know(key, None)
            self._wanted.clear()
        self._settle(None)


def formulas() -> Formulas:
    """Those of the application."""
    app = QApplication.instance()
    found = app.findChild(Formulas) if app is not None else None
    if isinstance(found, Formulas):
        return found
    made = Formulas(app)
    if app is not None:
        app.aboutToQuit.connect(made.close)
    return made

"""A formula within a text: one character that is drawn as a picture and stands on the line like its neighbours.

Knows: how Qt is told a height and a depth, and where the LaTeX is that was written. Does not know how a formula is
drawn (`formulas`).
"""

from functools import cache
from math import ceil

from PySide6.QtCore import QObject, QRect, QRectF, QSizeF
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPyTextObject, QTextCharFormat, QTextDocument, QTextFormat

from app.ui import theme as look
from app.ui.formulas import EM, Outline, formulas

OBJECT = "\ufffc"
FORMULA = QTextFormat.ObjectTypes.UserObject.value + 1
LATEX = QTextFormat.Property.UserProperty.value + 1
_DISPLAY, _SIZE, _DEPTH = LATEX + 1, LATEX + 2, LATEX + 3
LARGER = 1.16
"""The letters of the formulas' font are smaller than those of the text."""


class FormulaObject(QPyTextObject):
    """Draws the formulas of one document."""

    def intrinsicSize(self, document: QTextDocument, _position: int, style: QTextFormat) -> QSizeF:  # noqa: N802
        """Room for it; never wider than the text."""
        outline = _outline(style)
        if outline is None:
            return QSizeF(0, 0)
        scale = _scale(document, style, outline)
        above = ceil(-outline.top * scale)
        return QSizeF(outline.width * scale + 2, above + style.intProperty(_DEPTH))

    def drawObject(  # noqa: N802
        self, painter: QPainter, rect: QRectF | QRect, document: QTextDocument, _position: int, style: QTextFormat
    ) -> None:
        """Draw it in the colour of the text."""
        outline = _outline(style)
        if outline is None:
            return
        scale = _scale(document, style, outline)
        ratio = painter.device().devicePixelRatio() if painter.device() is not None else 1.0
        colour = style.toCharFormat().foreground().color().name()
        picture = formulas().picture(outline, scale * EM, colour, ratio)
        place = QRectF(rect)
        line = place.bottom() - style.intProperty(_DEPTH)
        area = QRectF(place.left() + 1, line + outline.top * scale, outline.width * scale, outline.height * scale)
        painter.drawImage(area, picture)


def prepare_for_formulas(document: QTextDocument, owner: QObject) -> None:
    """Let a document show formulas; `owner` lives as long as it does."""
    document.documentLayout().registerHandler(FORMULA, FormulaObject(owner))


def formula_format(
    latex: str, outline: Outline, size: float, base: QTextCharFormat, *, display: bool
) -> QTextCharFormat:
    """The format of the one character that stands for a formula. Qt puts as much of an object below the line as the
    letters of its font hang below it: so it is given a font whose letters hang as deep as the formula."""
    size *= LARGER
    depth, font_size = _hanging(max(0.0, (outline.top + outline.height) * size / EM))
    style = QTextCharFormat(base)
    style.setObjectType(FORMULA)
    style.setProperty(LATEX, latex)
    style.setProperty(_DISPLAY, display)
    style.setProperty(_SIZE, size)
    style.setProperty(_DEPTH, depth)
    style.setFont(_font(font_size))
    style.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignBaseline)
    return style


def _outline(style: QTextFormat) -> Outline | None:
    return formulas().outline(style.stringProperty(LATEX), display=style.boolProperty(_DISPLAY))


def _scale(document: QTextDocument, style: QTextFormat, outline: Outline) -> float:
    scale = style.doubleProperty(_SIZE) / EM
    room = document.textWidth() - 4
    return min(scale, room / outline.width) if room > 40 else scale


def _font(size: int) -> QFont:
    font = QFont(look.TEXT_FAMILY)
    font.setPixelSize(size)
    return font


@cache
def _hangs(size: int) -> int:
    return QFontMetrics(_font(size)).descent()


def _hanging(depth: float) -> tuple[int, int]:
    """The least depth of a font's letters, in pixels, that is not below `depth`, and the font's size."""
    size = 1
    while _hangs(size) < depth and size < 2_000:
        size += 1
    return _hangs(size), size

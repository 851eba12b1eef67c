"""One formula: LaTeX in, one outline out. Knows ziamath; no file but its font, no colour, no screen.

Of what ziamath draws only paths and rectangles are taken, as numbers, so nothing that a text smuggles into the drawing
reaches the window.
"""

import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import ziamath
from ziafont.font import Font
from ziamath.config import config
from ziamath.tex import tex2mml
from ziamath.zmath import Math

from app.protocol import DrawFormula, FormulaDrawn

EM = 100.0
"""Units of an outline that the size of its text is."""
LARGEST = 60 * EM
"""Units in height and width; what is larger is shown as its source."""

_FOR_PRINT = re.compile(r"\\(?:label|tag\*?)\s*\{[^{}]*\}|\\(?:notag|nonumber)\b")
_UNKNOWN = re.compile(r">\s*\\[A-Za-z]")
_TURNED = re.compile(r"transform|<!")
_NUMBERS = re.compile(r"[MLHVQCTSZz0-9eE., +-]*")


class BadFormulaError(ValueError):
    """It cannot be drawn: it is to be shown as its source."""


def drawn(command: DrawFormula) -> FormulaDrawn:
    """The outline of a formula. Raises `BadFormulaError`, and whatever the library raises for LaTeX that is none."""
    latex = _FOR_PRINT.sub("", command.latex).strip()
    if not all(_has_shape(character) for character in latex):
        raise BadFormulaError
    mathml = tex2mml(latex, inline=not command.display)
    if _UNKNOWN.search(mathml):
        raise BadFormulaError
    config.svg2 = False  # paths in their places, instead of references
    config.precision = 1
    svg = Math(mathml, size=EM).svg()
    if _TURNED.search(svg):
        raise BadFormulaError
    root = ElementTree.fromstring(svg)  # noqa: S314  (it was just written here, and has no document type)
    left, top, width, height = (float(number) for number in root.attrib["viewBox"].split())
    outline = " ".join(_outline(element) for element in root.iter())
    if not outline.strip() or not (0 < width <= LARGEST and 0 < height <= LARGEST) or not _NUMBERS.fullmatch(outline):
        raise BadFormulaError
    return FormulaDrawn(command.request, outline, left, top, width, height)


def _outline(element: ElementTree.Element) -> str:
    """An element as a path that is filled."""
    tag, has = element.tag.rpartition("}")[2], element.attrib
    stroke = float(has.get("stroke-width", 0)) if has.get("stroke", "none") != "none" else 0.0
    match tag:
        case "svg" | "g":
            return ""
        case "path" if not stroke:
            return has["d"]
        case "path":
            return _line(has["d"], stroke)
        case "rect":
            x, y, width, height = (float(has.get(name, 0)) for name in ("x", "y", "width", "height"))
            if not stroke:
                return _rectangle(x, y, width, height)
            half = stroke / 2
            inner = (x + half, y + half, width - stroke, height - stroke)
            return _rectangle(x - half, y - half, width + stroke, height + stroke) + _rectangle(*inner, turned=True)
        case _:
            raise BadFormulaError


def _rectangle(x: float, y: float, width: float, height: float, *, turned: bool = False) -> str:
    """`turned`: the other way round, so that it is a hole."""
    across, down = f"L {x + width:.1f} {y:.1f}", f"L {x:.1f} {y + height:.1f}"
    first, last = (down, across) if turned else (across, down)
    return f"M {x:.1f} {y:.1f} {first} L {x + width:.1f} {y + height:.1f} {last} Z "


def _line(path: str, stroke: float) -> str:
    """A straight line as the area that its stroke covers."""
    numbers = re.fullmatch(r"\s*M\s*(\S+)\s+(\S+)\s+L\s*(\S+)\s+(\S+)\s*", path)
    if numbers is None:
        raise BadFormulaError
    x, y, to_x, to_y = map(float, numbers.groups())
    length = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5 or 1.0
    across, down = -(to_y - y) / length * stroke / 2, (to_x - x) / length * stroke / 2
    corners = (
        (x + across, y + down),
        (to_x + across, to_y + down),
        (to_x - across, to_y - down),
        (x - across, y - down),
    )
    return "M " + " L ".join(f"{a:.1f} {b:.1f}" for a, b in corners) + " Z "


@cache
def _font() -> Font:
    return Font(Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf")


@cache
def _has_shape(character: str) -> bool:
    return character.isspace() or _font().glyphindex(character) != 0

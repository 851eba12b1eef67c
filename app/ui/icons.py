"""The icons, drawn from `resources/icons` in the colour that is asked for. Knows files and colours, no widget."""

from functools import cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app import paths

SCALES = (1, 1.5, 2, 3)


@cache
def _source(name: str) -> str:
    return (paths.resources_dir() / "icons" / f"{name}.svg").read_text(encoding="utf-8")


@cache
def icon(name: str, colour: str, size: int = 18) -> QIcon:
    """The icon `name` in a colour, sharp at every usual scaling of the screen."""
    drawn = QIcon()
    for scale in SCALES:
        drawn.addPixmap(pixmap(name, colour, size, scale))
    return drawn


def pixmap(name: str, colour: str, size: int, scale: float) -> QPixmap:
    """The icon as a picture of `size` × `size` at a scale of the screen."""
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour).encode()))
    canvas = QPixmap(round(size * scale), round(size * scale))
    canvas.setDevicePixelRatio(scale)
    canvas.fill(Qt.GlobalColor.transparent)
    painter = QPainter(canvas)
    renderer.render(painter, QRectF(0, 0, size, size))
    painter.end()
    return canvas

"""Draws parley.ico from resources/icons/parley.svg, in the sizes that Windows asks for. Needs PySide6 and Pillow.

    python packaging/windows/icon.py

The file is kept in the repository, so that a build needs no display; run this after the drawing has changed.
"""

import os
from pathlib import Path

from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

HERE = Path(__file__).resolve().parent
DRAWING = HERE.parents[1] / "resources" / "icons" / "parley.svg"
SIZES = (16, 20, 24, 32, 40, 48, 64, 128, 256)


def drawn(renderer: QSvgRenderer, size: int) -> Image.Image:
    """The drawing, `size` pixels square, drawn at that size and not scaled down to it."""
    canvas = QImage(size, size, QImage.Format.Format_RGBA8888)
    canvas.fill(Qt.GlobalColor.transparent)
    painter = QPainter(canvas)
    renderer.render(painter)
    painter.end()
    return Image.frombytes("RGBA", (size, size), bytes(canvas.constBits()), "raw", "RGBA", canvas.bytesPerLine())


def main() -> None:
    """Writes the icon."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QGuiApplication([])
    renderer = QSvgRenderer(str(DRAWING))
    pictures = [drawn(renderer, size) for size in SIZES]
    sizes = [(size, size) for size in SIZES]
    pictures[-1].save(HERE / "parley.ico", append_images=pictures[:-1], sizes=sizes)
    del application


if __name__ == "__main__":
    main()

"""Small pictures of what is attached, from the plain pixels that the decoder wrote.

Knows: how to read them without trusting them: only below our own cache folder, only of the size that was announced.
Does not know: any picture format.
"""

from pathlib import Path

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath
from PySide6.QtWidgets import QSizePolicy, QWidget

from app import paths
from app.protocol import Thumbnail
from app.ui import theme as look
from app.ui.icons import pixmap as icon_pixmap
from app.ui.theme import Theme

LARGEST_EDGE = 1024
FRAME = QSize(62, 38)
GAP = 5
MOST_FRAMES = 5


def image_of(preview: Thumbnail) -> QImage | None:
    """The preview as an image, None if its file is not what was announced."""
    width, height = preview.width, preview.height
    if not (0 < width <= LARGEST_EDGE and 0 < height <= LARGEST_EDGE):
        return None
    try:
        file = Path(preview.pixels).resolve(strict=True)
        if not file.is_relative_to(paths.cache_dir().resolve()) or file.stat().st_size != width * height * 3:
            return None
        pixels = file.read_bytes()
    except OSError:
        return None
    return QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


class PreviewStrip(QWidget):
    """One rounded preview, or several beside each other with the second of the clip that each shows."""

    def __init__(
        self,
        previews: tuple[Thumbnail, ...],
        kind: str,
        theme: Theme,
        frame: QSize = FRAME,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._timed = kind == "video"
        self._kind = kind
        self._theme = theme
        self._frame = frame
        shown = _spread(previews, MOST_FRAMES) if self._timed else previews[:1]
        self._frames = [(image_of(preview), preview.second) for preview in shown] or [(None, 0.0)]
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Frames of the video" if self._timed else "The picture")

    def apply_theme(self, theme: Theme) -> None:
        """Draw in other colours."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """All frames in a row."""
        count = len(self._frames)
        return QSize(count * self._frame.width() + (count - 1) * GAP, self._frame.height())

    def paintEvent(self, _event: object) -> None:  # noqa: N802
        """Draw the frames, cut to their places, and their times."""
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        for at, (image, second) in enumerate(self._frames):
            place = QRectF(at * (self._frame.width() + GAP), 0, self._frame.width(), self._frame.height())
            shape = QPainterPath()
            shape.addRoundedRect(place, 5, 5)
            painter.setClipPath(shape)
            if image is None:
                painter.fillRect(place, QColor(self._theme.hover))
                mark = icon_pixmap("film" if self._timed else "image", self._theme.muted, 18, self.devicePixelRatioF())
                painter.drawPixmap(place.center().toPoint() - QPoint(9, 9), mark)
                continue
            painter.drawImage(place, image, QRectF(_cover(image, self._frame)))
            if self._timed and len(self._frames) > 1:
                self._draw_second(painter, place, second)
        painter.end()

    def _draw_second(self, painter: QPainter, place: QRectF, second: float) -> None:
        painter.setFont(look.figure_font(10))
        words = f"{second:.1f}"
        width = painter.fontMetrics().horizontalAdvance(words) + 8
        plate = QRectF(place.right() - width - 2, place.bottom() - 16, width, 14)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 120))
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(QColor("#ffffff"))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, words)


def _spread(previews: tuple[Thumbnail, ...], most: int) -> tuple[Thumbnail, ...]:
    """At most `most` of them, evenly over the whole clip."""
    if len(previews) <= most:
        return previews
    return tuple(previews[round(at * (len(previews) - 1) / (most - 1))] for at in range(most))


def _cover(image: QImage, frame: QSize) -> QRect:
    """The part of an image that fills a frame without distortion."""
    size = frame.scaled(image.size(), Qt.AspectRatioMode.KeepAspectRatio)
    return QRect(
        (image.width() - size.width()) // 2, (image.height() - size.height()) // 2, size.width(), size.height()
    )

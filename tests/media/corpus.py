"""Pictures and videos drawn for tests: shapes that a model can name, and clips whose every frame says its number.

Reusable by all tests; knows Pillow, OpenCV and NumPy and nothing of the application.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Frame = npt.NDArray[np.uint8]
Colour = str | tuple[int, int, int]
CORNERS: tuple[tuple[int, int, int], ...] = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
_UNITY = 65536
_MATRICES = {
    90: (0, _UNITY, 0, -_UNITY, 0, 0, 0, 0, 1 << 30),
    180: (-_UNITY, 0, 0, 0, -_UNITY, 0, 0, 0, 1 << 30),
    270: (0, -_UNITY, 0, _UNITY, 0, 0, 0, 0, 1 << 30),
}


def shape(
    kind: Literal["circle", "square"] = "circle", colour: Colour = "red", size: tuple[int, int] = (256, 256)
) -> Image.Image:
    """One filled shape in the middle of a white picture."""
    picture = Image.new("RGB", size, "white")
    width, height = size
    radius = min(size) // 4
    box = (width // 2 - radius, height // 2 - radius, width // 2 + radius, height // 2 + radius)
    pen = ImageDraw.Draw(picture)
    (pen.ellipse if kind == "circle" else pen.rectangle)(box, fill=colour)
    return picture


def corners(width: int = 48, height: int = 32) -> Image.Image:
    """Four quarters in `CORNERS` colours: top left, top right, bottom left, bottom right."""
    picture = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(picture)
    for number, colour in enumerate(CORNERS):
        left, top = (number % 2) * width // 2, (number // 2) * height // 2
        pen.rectangle((left, top, left + width // 2 - 1, top + height // 2 - 1), fill=colour)
    return picture


def moving_square(
    direction: Literal["left", "right", "up", "down"] = "left", frames: int = 40, size: tuple[int, int] = (192, 192)
) -> list[Frame]:
    """A blue square that crosses a white picture in RGB frames."""
    width, height = size
    side = min(size) // 4
    drawn = []
    for number in range(frames):
        way = number / max(frames - 1, 1)
        across = 1 - way if direction in ("left", "up") else way
        x = round((width - side) * across) if direction in ("left", "right") else (width - side) // 2
        y = round((height - side) * across) if direction in ("up", "down") else (height - side) // 2
        frame = np.full((height, width, 3), 255, np.uint8)
        frame[y : y + side, x : x + side] = (0, 0, 255)
        drawn.append(frame)
    return drawn


def numbered(count: int, size: tuple[int, int] = (64, 48)) -> list[Frame]:
    """Grey RGB frames whose level says their number: frame n has the level 2n."""
    return [np.full((size[1], size[0], 3), 2 * number, np.uint8) for number in range(count)]


def number_of(frame: Frame) -> int:
    """The number that a frame of `numbered` says, also after lossy compression."""
    return round(float(frame.mean()) / 2)


def save_clip(path: Path, frames: Iterable[Frame], fps: float = 30.0, codec: str = "mp4v") -> Path:
    """RGB frames as a video of constant rate; the suffix names the container (mp4v, MJPG, VP80, VP90, FFV1)."""
    writer: cv2.VideoWriter | None = None
    for frame in frames:
        if writer is None:
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, _fourcc(codec), fps, size)
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    if writer is None or not writer.isOpened():
        raise ValueError(f"{path.name} cannot be written with {codec}")
    writer.release()
    return path


def save_timed_clip(path: Path, frames: Sequence[Frame], ticks: Sequence[int], fps: float = 30.0) -> Path:
    """RGB frames, each stored as a JPEG of its own size and shown from its tick (ticks of 1/fps seconds) on."""
    size = (frames[0].shape[1], frames[0].shape[0])
    options = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, _fourcc("MJPG"), fps, size, options)
    for frame, tick in zip(frames, ticks, strict=True):
        writer.set(cv2.VIDEOWRITER_PROP_PTS, tick)
        writer.set(cv2.VIDEOWRITER_PROP_KEY_FLAG, 1)
        packet = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        writer.write(packet.reshape(1, -1))
    writer.release()
    return path


def turned(clip: bytes, degrees: Literal[90, 180, 270]) -> bytes:
    """An MP4 or MOV with its display matrix set, so that players turn it clockwise by so many degrees."""
    at = clip.index(b"tkhd") + 4
    at += 4 + (20 if clip[at] == 0 else 32) + 16
    return clip[:at] + struct.pack(">9i", *_MATRICES[degrees]) + clip[at + 36 :]


def sound_only(clip: bytes) -> bytes:
    """An MP4 or MOV whose only track claims to be sound."""
    return clip.replace(b"vide", b"soun")


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises so many pixels."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _fourcc(codec: str) -> int:
    return cv2.VideoWriter.fourcc(codec[0], codec[1], codec[2], codec[3])

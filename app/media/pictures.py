"""Pictures: one file in an accepted format to plain RGB at its full size. Knows Pillow, nothing of videos or processes.

The picture is turned the way its EXIF says, transparency lies on white, and every mode becomes 8-bit RGB. Colour
profiles are not applied: the model's own processor does not apply them either. Of an animation the first frame counts.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from app.media.formats import PictureFormat
from app.media.limits import MAX_ASPECT, MAX_PICTURE_PIXELS
from app.media.refusal import UnusableFileError, quoted

_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers raise on damaged content, as found by fuzzing and in its documentation.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, ArithmeticError, AttributeError)


def read_picture(source: Path, kind: PictureFormat) -> Image.Image:
    """The picture in `source` as RGB, upright. Raises `UnusableFileError` for what is damaged or beyond the limits."""
    Image.MAX_IMAGE_PIXELS = None  # our own limit below refuses with a sentence, where Pillow's would warn
    try:
        with _silenced(), source.open("rb") as file, Image.open(file, formats=(kind,)) as picture:
            _check_size(picture.size, source.name)
            picture.load()
            _check_size(picture.size, source.name)
            return _flattened(_upright(picture))
    except _DAMAGE as error:
        raise UnusableFileError(
            f"{quoted(source.name)} is damaged or incomplete and cannot be shown whole: copy or export it again."
        ) from error


def write_rgb(picture: Image.Image, file: BinaryIO) -> None:
    """Append an RGB picture to `file`, row after row, in bands so that no second copy of it is held."""
    rows = max(1, 2**24 // (picture.width * 3))
    for top in range(0, picture.height, rows):
        file.write(picture.crop((0, top, picture.width, min(top + rows, picture.height))).tobytes())


def preview_of(picture: Image.Image, edge: int) -> Image.Image:
    """A copy whose longer side is at most `edge` pixels."""
    small = picture.copy() if max(picture.size) <= edge else picture.reduce(max(1, max(picture.size) // (edge * 2)))
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    return small


@contextmanager
def _silenced() -> Iterator[None]:
    """Pillow warns about odd metadata, which says nothing about the picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PICTURE_PIXELS:
        raise UnusableFileError(
            f"{quoted(name)} has {width:,} × {height:,} pixels, more than the {MAX_PICTURE_PIXELS // 10**6} megapixels "
            "that Parley reads: save a smaller copy or crop it."
        )
    if max(size) > MAX_ASPECT * min(size):
        raise UnusableFileError(
            f"{quoted(name)} is {width:,} × {height:,} pixels, more than {MAX_ASPECT} times as long as wide, which the "
            "model cannot see: crop it."
        )


def _upright(picture: Image.Image) -> Image.Image:
    try:
        orientation = picture.getexif().get(_EXIF_ORIENTATION)
    except _DAMAGE:
        orientation = None  # a picture with broken metadata is still a whole picture
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _flattened(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        picture = _eight_bits(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The upper eight of a grey picture's sixteen bits; Pillow's own conversion would cut every bright value to 255."""
    if picture.mode == "I":
        picture = picture.convert("I;16")
    upper = picture.tobytes("raw", "I;16B")[::2]
    return Image.frombytes("L", picture.size, upper)

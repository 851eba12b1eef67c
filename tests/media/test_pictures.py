"""Pictures of every accepted kind, turned, transparent, deep, damaged and too large."""

import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.media.formats import picture_format
from app.media.pictures import preview_of, read_picture, write_rgb
from app.media.refusal import UnusableFileError
from tests.media import corpus


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def read(folder: Path, content: bytes) -> Image.Image:
    path = folder / "picture"
    path.write_bytes(content)
    kind = picture_format(content[:64])
    assert kind is not None
    return read_picture(path, kind)


def quarters(picture: Image.Image) -> tuple[tuple[int, int, int], ...]:
    """The colours in the middle of the four quarters, each channel rounded to 0 or 255."""
    width, height = picture.size
    small = picture.convert("RGB")
    points = [(x * width // 4, y * height // 4) for y in (1, 3) for x in (1, 3)]
    pixels = [small.getpixel(point) for point in points]
    return tuple((pixel[0] // 128 * 255, pixel[1] // 128 * 255, pixel[2] // 128 * 255) for pixel in pixels)  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("GIF", {}),
        ("BMP", {}),
    ],
)
def test_every_format(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    picture = read(tmp_path, saved(corpus.corners(), kind, **options))
    assert (picture.mode, picture.size) == ("RGB", (48, 32))
    assert quarters(picture) == corpus.CORNERS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "order", "size"),
    [
        (1, (0, 1, 2, 3), (48, 32)),
        (2, (1, 0, 3, 2), (48, 32)),
        (3, (3, 2, 1, 0), (48, 32)),
        (4, (2, 3, 0, 1), (48, 32)),
        (5, (0, 2, 1, 3), (32, 48)),
        (6, (2, 0, 3, 1), (32, 48)),
        (7, (3, 1, 2, 0), (32, 48)),
        (8, (1, 3, 0, 2), (32, 48)),
    ],
)
def test_exif_orientation(
    tmp_path: Path, kind: str, orientation: int, order: tuple[int, ...], size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(tmp_path, saved(corpus.corners(), kind, exif=exif.tobytes(), quality=95))
    assert picture.size == size
    assert quarters(picture) == tuple(corpus.CORNERS[number] for number in order)


def test_broken_exif_is_ignored(tmp_path: Path) -> None:
    picture = read(tmp_path, saved(corpus.corners(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff", quality=95))
    assert quarters(picture) == corpus.CORNERS


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_lies_on_white(tmp_path: Path, kind: str) -> None:
    picture = corpus.corners().convert("RGBA")
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 24, 16))
    alpha.paste(128, (24, 0, 48, 16))
    picture.putalpha(alpha)
    flat = read(tmp_path, saved(picture, kind, lossless=True))
    assert flat.getpixel((5, 5)) == (255, 255, 255)
    assert flat.getpixel((40, 5)) == (127, 255, 127)
    assert flat.getpixel((5, 30)) == (0, 0, 255)


def test_transparent_palette_and_grey(tmp_path: Path) -> None:
    palette = corpus.shape("circle", "red", (64, 64)).quantize(4)
    inside = palette.getpixel((32, 32))
    for kind in ("PNG", "GIF"):
        flat = read(tmp_path, saved(palette, kind, transparency=inside))
        assert flat.getpixel((32, 32)) == (255, 255, 255)
    grey = Image.new("LA", (8, 8), (0, 0))
    assert read(tmp_path, saved(grey, "PNG")).getpixel((4, 4)) == (255, 255, 255)


def test_sixteen_bits_keep_their_brightness(tmp_path: Path) -> None:
    ramp = b"".join((number * 257).to_bytes(2, "little") for number in range(256))
    deep = Image.frombytes("I;16", (256, 1), ramp).resize((256, 4))
    picture = read(tmp_path, saved(deep, "PNG"))
    assert [picture.getpixel((x, 2)) for x in (0, 1, 128, 255)] == [(x, x, x) for x in (0, 1, 128, 255)]


@pytest.mark.parametrize(("mode", "kind"), [("1", "PNG"), ("L", "JPEG"), ("P", "PNG"), ("1", "BMP"), ("L", "BMP")])
def test_shallow_modes(tmp_path: Path, mode: str, kind: str) -> None:
    white = Image.new("RGB", (10, 10), "white").convert(mode)
    assert read(tmp_path, saved(white, kind)).getpixel((5, 5)) == (255, 255, 255)


def test_cmyk(tmp_path: Path) -> None:
    picture = read(tmp_path, saved(corpus.corners().convert("CMYK"), "JPEG", quality=95))
    assert quarters(picture) == corpus.CORNERS


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("lime", "red", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert read(tmp_path, content).getpixel((10, 10)) == (0, 255, 0)


def test_several_pictures_in_one_jpeg_give_the_first(tmp_path: Path) -> None:
    content = saved(corpus.corners(), "MPO", save_all=True, append_images=[Image.new("RGB", (48, 32))], quality=95)
    assert quarters(read(tmp_path, content)) == corpus.CORNERS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_cut_picture_is_refused_or_whole(tmp_path: Path, kind: str) -> None:
    noise = Image.frombytes("RGB", (40, 40), random.Random(4).randbytes(4800))  # noqa: S311
    content = saved(noise, kind)
    whole = read(tmp_path, content).tobytes()
    refused: list[str] = []
    cuts = [round(len(content) * part / 20) for part in range(2, 20)]
    for cut in cuts:
        try:
            assert read(tmp_path, content[:cut]).tobytes() == whole
        except UnusableFileError as refusal:
            refused.append(str(refusal))
    assert len(refused) >= len(cuts) - 1
    assert all("damaged" in sentence for sentence in refused)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]),
    place=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=12),
    replace=st.booleans(),
)
def test_damaged_bytes_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, kind: str, place: float, noise: bytes, replace: bool
) -> None:
    content = saved(corpus.shape(size=(32, 32)), kind)
    at = 16 + int(place * (len(content) - 16))
    damaged = content[:at] + noise + (content[at + len(noise) :] if replace else content[at:])
    try:
        picture = read(tmp_path_factory.getbasetemp(), damaged)
    except UnusableFileError:
        return
    assert picture.mode == "RGB"


@pytest.mark.parametrize(
    ("width", "height", "word"),
    [(60_000, 60_000, "megapixels"), (2**31 - 1, 1, "megapixels"), (1, 201, "times as long")],
)
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, width: int, height: int, word: str) -> None:
    with pytest.raises(UnusableFileError, match=word):
        read(tmp_path, corpus.png_that_claims(width, height))


def test_pixels_are_written_row_after_row(tmp_path: Path) -> None:
    picture = Image.frombytes("RGB", (3000, 2500), random.Random(1).randbytes(3000 * 2500 * 3))  # noqa: S311
    with (tmp_path / "pixels").open("wb") as file:
        write_rgb(picture, file)
    assert (tmp_path / "pixels").read_bytes() == picture.tobytes()


@pytest.mark.parametrize("size", [(4000, 3000), (160, 90), (3, 400), (1, 1)])
def test_preview_is_small_and_keeps_its_shape(size: tuple[int, int]) -> None:
    preview = preview_of(Image.new("RGB", size, "red"), 160)
    assert max(preview.size) == min(160, max(size))
    assert preview.width / preview.height == pytest.approx(size[0] / size[1], rel=0.5)

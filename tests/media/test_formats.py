"""What counts as which format, by first bytes alone."""

import pytest

from app.media.formats import picture_format, unknown_format, video_format
from app.media.refusal import quoted


@pytest.mark.parametrize(
    ("head", "picture", "video"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG", None),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG", None),
        (b"GIF89a\1\0\1\0", "GIF", None),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WEBP", None),
        (b"BM\x10\0\0\0\0\0\0\0\x36", "BMP", None),
        (b"\0\0\0\x1cftypisom", None, "QuickTime"),
        (b"\0\0\0\x14ftypqt  ", None, "QuickTime"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", None, "QuickTime"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\xf2\x81\4B\xf3\x81\x08B\x82\x84webm", None, "Matroska"),
        (b"\x1a\x45\xdf\xa3\xa3B\x82\x88matroska", None, "Matroska"),
        (b"\x1a\x45\xdf\xa3\xa3B\x82\x88anything", None, None),
        (b"RIFF\x10\0\0\0AVI LIST", None, None),
        (b"#EXTM3U\n#EXTINF:10,\nother.mp4", None, None),
        (b"ffconcat version 1.0", None, None),
        (b"%!PS-Adobe-3.0 EPSF-3.0", None, None),
        (b"II*\0\x08\0\0\0", None, None),
        (b"BM is how this text begins", None, None),
        (b"\0\0\0\x18ftypheic\0\0\0\0", None, None),
        (b"", None, None),
    ],
)
def test_formats(head: bytes, picture: str | None, video: str | None) -> None:
    assert (picture_format(head), video_format(head)) == (picture, video)


def test_an_unknown_format_names_those_that_are_known() -> None:
    sentence = str(unknown_format("notes.png", b"Dear diary"))
    assert "“notes.png”" in sentence
    assert all(word in sentence for word in ("PNG", "JPEG", "WebP", "GIF", "MP4", "MOV", "WebM", "MKV", "convert"))


def test_a_phones_heic_has_its_own_way_out() -> None:
    assert "export it as JPEG" in str(unknown_format("IMG_1.HEIC", b"\0\0\0\x18ftypheic"))


def test_names_stay_on_one_line_and_short() -> None:
    assert quoted("a\nb\x1b[31m.png") == "“a b [31m.png”"
    assert len(quoted("x" * 300 + ".png")) <= 62
    assert quoted("x" * 300 + ".png").endswith(".png”")

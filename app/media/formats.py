"""Which formats Parley reads, told by a file's first bytes and never by its name. Knows no decoding library.

Only what is listed here ever reaches Pillow or OpenCV, so playlists, image sequences, PostScript and the other formats
that could make a decoder open further files or run something are refused before a decoder sees them.
"""

from typing import Literal

from app.media.refusal import UnusableFileError, quoted

HEAD_BYTES = 64

PictureFormat = Literal["PNG", "JPEG", "WEBP", "GIF", "BMP"]
VideoFormat = Literal["QuickTime", "Matroska"]

_ACCEPTED = "a PNG, JPEG, WebP, GIF or BMP picture or an MP4, MOV, WebM or MKV video"
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_QUICKTIME_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def picture_format(head: bytes) -> PictureFormat | None:
    """The picture format that begins with `head` (`HEAD_BYTES` of the file), under Pillow's name for it."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    return None


def video_format(head: bytes) -> VideoFormat | None:
    """The family of containers that begins with `head`: MP4 and MOV are one, MKV and WebM the other."""
    if head[4:8] in _QUICKTIME_ATOMS and not _is_heif(head):
        return "QuickTime"
    if head.startswith(b"\x1a\x45\xdf\xa3") and (b"matroska" in head or b"webm" in head):
        return "Matroska"
    return None


def unknown_format(name: str, head: bytes) -> UnusableFileError:
    """The refusal of a file that is none of the accepted formats, with the way out that fits it."""
    if _is_heif(head):
        return UnusableFileError(
            f"{quoted(name)} is a HEIC or AVIF picture, which Parley does not read: export it as JPEG or PNG."
        )
    return UnusableFileError(f"{quoted(name)} is not {_ACCEPTED}: convert it to one of these and attach that.")


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS

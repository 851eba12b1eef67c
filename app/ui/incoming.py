"""What a drop or a paste brings: files by path, or a picture as bytes. Knows MIME data; decodes nothing.

A picture that another program offers is taken as that program's own bytes (image/png and so on) and goes through the
decoder like any file. Only where none are offered, as with a screenshot on some desktops, is the desktop's QImage asked
for: those are pixels that this desktop session already decoded, and Qt writes them as PNG for the decoder.
"""

from dataclasses import dataclass

from PySide6.QtCore import QBuffer, QIODevice, QMimeData
from PySide6.QtGui import QImage

PICTURES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif"}
QT_IMAGE = "application/x-qt-image"


@dataclass(frozen=True, slots=True)
class Incoming:
    """Paths of files, or one picture's bytes and the suffix of its format; `sentence` says what cannot be taken."""

    files: tuple[str, ...] = ()
    picture: bytes = b""
    suffix: str = ""
    sentence: str = ""


def acceptable(mime: QMimeData) -> bool:
    """Whether there is something in it that Parley attaches."""
    return mime.hasUrls() or mime.hasImage() or any(mime.hasFormat(kind) for kind in PICTURES)


def brings_files(mime: QMimeData) -> bool:
    """Whether it names files of this computer, and not merely an address or a picture of the text beside it."""
    return any(url.isLocalFile() for url in mime.urls())


def taken(mime: QMimeData) -> Incoming:
    """What can be attached of it."""
    files = tuple(url.toLocalFile() for url in mime.urls() if url.isLocalFile())
    if files:
        return Incoming(files=files)
    for kind, suffix in PICTURES.items():
        content = bytes(mime.data(kind).data()) if mime.hasFormat(kind) else b""
        if content:
            return Incoming(picture=content, suffix=suffix)
    if mime.hasFormat(QT_IMAGE):
        return _written(mime.imageData())
    if mime.hasUrls():
        return Incoming(sentence="Parley downloads nothing by itself: save the file first, then drop it here.")
    return Incoming(sentence="There is no picture or video in what was dropped.")


def _written(image: object) -> Incoming:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not isinstance(image, QImage) or image.isNull() or not image.save(buffer, "PNG"):  # type: ignore[call-overload]
        return Incoming(sentence="The picture on the clipboard cannot be read: save it as a file and drop that.")
    return Incoming(picture=bytes(buffer.data().data()), suffix=".png")


def announcement(mime: QMimeData) -> tuple[str, str]:
    """What dropping it will do: a title and a hint."""
    names = [url.fileName() for url in mime.urls() if url.isLocalFile()]
    if len(names) == 1:
        return f"Attach {names[0]}", "It goes with your next message and stays on this computer."
    if names:
        return f"Attach {len(names)} files", "They go with your next message and stay on this computer."
    if acceptable(mime):
        return "Attach this picture", "It goes with your next message and stays on this computer."
    return "Insert this text", "It is put where you write."

"""Where decoded pixels lie: files of plain RGB in one folder, written whole or not at all, and found again.

Knows files and the protocol's `Decoded`, nothing of formats. Every file is first written under a name that no reader
looks for, with the writing process's id in it, and renamed when complete. Beside the pixels of a source lies the line
that was answered for it; it is written last, so that where it is, the files it names are complete.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from app.media.limits import GIB
from app.media.refusal import UnusableFileError
from app.protocol import Decode, Decoded, ProtocolError, decode, encode


@contextmanager
def writing(target: Path) -> Iterator[BinaryIO]:
    """A new file that becomes `target` when the block ends well, and vanishes when it does not."""
    part = target.with_name(f".{target.name}-{os.getpid()}.part")
    try:
        with part.open("wb+") as file:
            yield file
        _publish(part, target)
    finally:
        part.unlink(missing_ok=True)


def _publish(part: Path, target: Path) -> None:
    try:
        part.replace(target)
    except PermissionError:
        # Windows does not replace a file that the engine has open; equal names mean equal content, so it may stay.
        if not target.is_file() or target.stat().st_size != part.stat().st_size:
            raise


def remove_parts(folder: Path, process: int) -> None:
    """Remove what a process that was killed left half written."""
    for part in folder.glob(f".*-{process}.part"):
        part.unlink(missing_ok=True)


def check_space(folder: Path, size: int) -> None:
    """Raise `UnusableFileError` unless `size` more bytes fit on the disk of `folder`."""
    if shutil.disk_usage(folder).free < size:
        raise UnusableFileError(
            f"There is not enough free space on the disk for the decoded file, which needs {size / GIB:.1f} GiB in "
            f"{folder}: free some and attach it again."
        )


def recall(answer: Path, job: Decode) -> Decoded | None:
    """What was answered before for the same content, if it and every file it names are still there."""
    try:
        known = decode(answer.read_bytes())
    except (OSError, ProtocolError):
        return None
    if not isinstance(known, Decoded):
        return None
    media = known.media
    expected = {media.pixels: media.frames * media.height * media.width * 3}
    expected |= {preview.pixels: preview.height * preview.width * 3 for preview in known.previews}
    folder = answer.parent
    for path, size in expected.items():
        file = Path(path)
        if file.parent != folder or not file.is_file() or file.stat().st_size != size:
            return None
    return replace(known, request=job.request, media=replace(media, name=Path(job.path).name))


def remember(answer: Path, decoded: Decoded) -> None:
    """Keep what was answered, for `recall`."""
    with writing(answer) as file:
        file.write(encode(decoded))

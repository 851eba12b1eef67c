"""One job of the decoder, in a process of its own: a `Decode` line in, a `Decoded` or `Refused` line out, the end.

Knows what a job consists of: look at the file, find what is already decoded, or decode and keep it. Pictures never
import OpenCV, which takes longer to load than most pictures to decode.
"""

import hashlib
import os
import stat
import sys
import threading
import traceback
from pathlib import Path
from typing import BinaryIO

from app.media.formats import HEAD_BYTES, PictureFormat, picture_format, unknown_format, video_format
from app.media.limits import confine, confine_to_picture
from app.media.refusal import UnusableFileError, quoted
from app.media.store import check_space, recall, remember, remove_parts, writing
from app.protocol import Decode, Decoded, Media, Refused, Thumbnail, decode, encode

_CHUNK = 2**20
_MOST_PREVIEWS = 8


def run_job(answers: BinaryIO) -> None:
    """Answer the one `Decode` on stdin. Ends this process at once when stdin closes, for then nobody waits."""
    confine()
    job = decode(sys.stdin.buffer.readline())
    if not isinstance(job, Decode):
        raise SystemExit(f"the decoder does not know what to do with {type(job).__name__}")
    threading.Thread(target=_end_with_stdin, args=(Path(job.into),), daemon=True).start()
    answers.write(encode(_answered(job)))
    answers.flush()


def _end_with_stdin(folder: Path) -> None:
    try:
        while os.read(0, _CHUNK):
            pass
        remove_parts(folder, os.getpid())
    finally:
        os._exit(0)


def _answered(job: Decode) -> Decoded | Refused:
    name = quoted(Path(job.path).name)
    try:
        return decode_file(job)
    except UnusableFileError as refusal:
        return Refused(job.request, str(refusal))
    except MemoryError:
        return Refused(job.request, f"{name} needs more memory than the decoder may use: save a smaller copy of it.")
    except Exception:  # noqa: BLE001  (the one place that turns a defect of ours or of a library into a sentence)
        traceback.print_exc()
        return Refused(job.request, f"{name} could not be decoded: save it in another format or copy it again.")


def decode_file(job: Decode) -> Decoded:
    """The file of `job` as plain pixels. Raises `UnusableFileError` with the sentence for the person."""
    source = Path(job.path)
    head, version = _looked_at(source)
    picture = picture_format(head)
    if picture is None and video_format(head) is None:
        raise unknown_format(source.name, head)
    digest = _digest(source)
    folder = Path(job.into).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        limits = job.video
        stem = digest if picture else f"{digest}-{limits.fps:g}-{limits.min_frames}-{limits.max_frames}"
        answer = folder / f"{stem}-{job.preview_edge}.json"
        decoded = recall(answer, job)
        if decoded is None:
            pixels = folder / f"{stem}.rgb"
            decoded = _picture(job, picture, digest, pixels) if picture else _video(job, digest, pixels)
            if _looked_at(source)[1] != version:
                raise UnusableFileError(f"{quoted(source.name)} changed while it was read: attach it again.")
            remember(answer, decoded)
    except OSError as error:
        raise UnusableFileError(
            f"The decoded file could not be kept in {folder} ({error.strerror}): make that folder writable and "
            "attach it again."
        ) from error
    return decoded


def _looked_at(source: Path) -> tuple[bytes, tuple[int, int]]:
    """The file's first bytes, and what changes when the file does: its size and time."""
    name = quoted(source.name)
    try:
        state = source.stat()
        if stat.S_ISDIR(state.st_mode):
            raise UnusableFileError(f"{name} is a folder: attach the files inside it.")
        if not stat.S_ISREG(state.st_mode):
            raise UnusableFileError(f"{name} is not a file that can be read: save it as a file first.")
        if state.st_size == 0:
            raise UnusableFileError(f"{name} is empty: copy or export it again.")
        with source.open("rb") as file:
            return file.read(HEAD_BYTES), (state.st_size, state.st_mtime_ns)
    except FileNotFoundError as error:
        raise UnusableFileError(f"{name} is not there: it may have been moved or renamed; attach it again.") from error
    except PermissionError as error:
        raise UnusableFileError(
            f"{name} may not be read: change its permissions or copy it to your own folder."
        ) from error
    except (OSError, ValueError) as error:
        raise UnusableFileError(
            f"{name} could not be read from its disk: copy it to another folder and attach that."
        ) from error


def _digest(source: Path) -> str:
    sha256 = hashlib.sha256()
    try:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
    except OSError as error:
        raise UnusableFileError(
            f"{quoted(source.name)} could not be read to its end: copy it to another folder and attach that."
        ) from error
    return sha256.hexdigest()


def _picture(job: Decode, kind: PictureFormat, digest: str, pixels: Path) -> Decoded:
    confine_to_picture()
    from app.media.pictures import preview_of, read_picture, write_rgb  # noqa: PLC0415  (see the module's docstring)

    picture = read_picture(Path(job.path), kind)
    check_space(pixels.parent, picture.width * picture.height * 3)
    with writing(pixels) as file:
        write_rgb(picture, file)
    preview = preview_of(picture, job.preview_edge)
    thumbnail = Thumbnail(str(_preview_file(pixels, job, 0)), *preview.size)
    with writing(Path(thumbnail.pixels)) as file:
        write_rgb(preview, file)
    media = Media("image", Path(job.path).name, digest, str(pixels), *picture.size)
    return Decoded(job.request, media, (thumbnail,))


def _video(job: Decode, digest: str, pixels: Path) -> Decoded:
    from app.media.videos import read_previews, write_frames  # noqa: PLC0415  (see the module's docstring)

    thumbnails: list[Thumbnail] = []
    with writing(pixels) as file:
        video = write_frames(Path(job.path), job.video, file)
        for second, frame in read_previews(file, video, job.preview_edge, _MOST_PREVIEWS):
            target = _preview_file(pixels, job, len(thumbnails))
            with writing(target) as preview:
                preview.write(frame.tobytes())
            thumbnails.append(Thumbnail(str(target), frame.shape[1], frame.shape[0], second))
    source = video.source
    media = Media(
        kind="video",
        name=Path(job.path).name,
        digest=digest,
        pixels=str(pixels),
        width=video.width,
        height=video.height,
        frames=len(video.indices),
        frame_indices=video.indices,
        source_frames=source.frames,
        source_fps=source.fps,
        duration=source.frames / source.fps,
    )
    return Decoded(job.request, media, tuple(thumbnails))


def _preview_file(pixels: Path, job: Decode, number: int) -> Path:
    return pixels.with_name(f"{pixels.stem}-{job.preview_edge}-{number}.rgb")

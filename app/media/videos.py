"""Videos: one file to the frames that the model sees, as plain RGB. Knows OpenCV, nothing of pictures or processes.

OpenCV alone does it, without PyAV. Measured on H.264, HEVC, VP8, VP9 and MPEG-4 in MP4, MOV, MKV and WebM against the
ffmpeg program: the same frames to the pixel, turned by the container's rotation, edit lists obeyed, their times equal
to a microsecond, and decoding straight through counts them truly, where a live WebM's declared count is nonsense.
Seeking by number is what it cannot do (12 of 13 frames wrong in that WebM), so nothing here seeks: a clip is read from
first frame to last, and a second time only if the container's claims would have led to other frames. Nor can it do AV1
(its FFmpeg has no decoder for it), which is refused; pixels that are not square or mirrored are taken as stored.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from app.media.limits import DECODER_THREADS, MAX_ASPECT, MAX_PIXEL_FILE, MAX_VIDEO_PIXELS
from app.media.refusal import UnusableFileError, quoted
from app.media.sampling import Clip, evenly_spaced, frames_on_screen, measured_clip, sampled_indices
from app.media.store import check_space
from app.protocol import VideoLimits

Frame = npt.NDArray[np.uint8]

_MOST_DECLARED_FRAMES = 10**8

# OpenCV's own threads would add little; on a machine with many cores their stacks would fill the limit of memory.
cv2.setNumThreads(1)


@dataclass(frozen=True, slots=True)
class SampledVideo:
    """What was written: frames of `height` × `width` × 3 bytes, their `indices` in the source, and the source."""

    width: int
    height: int
    indices: tuple[int, ...]
    source: Clip

    @property
    def frame_bytes(self) -> int:
        """Bytes of one written frame."""
        return self.width * self.height * 3


def write_frames(source: Path, limits: VideoLimits, file: BinaryIO) -> SampledVideo:
    """Write the frames that the model sees to `file` as RGB, one after the other, never more than one in memory.

    At the source's own size, unless all of them together would exceed `MAX_PIXEL_FILE`: then each is scaled down to
    fit, and width and height say so. Raises `UnusableFileError` for what holds no frame or is beyond the limits.
    """
    numbers = _declared_choice(source, limits)
    for _ in range(2):
        file.seek(0)
        file.truncate()
        clip, size = _copy_frames(source, numbers, file)
        if not clip.frames:
            raise _no_video(source.name)
        indices = sampled_indices(clip.frames, clip.fps, limits)
        shown = frames_on_screen(clip, indices)
        if shown == numbers:
            return SampledVideo(*size, indices, clip)
        numbers = shown
    raise UnusableFileError(
        f"{quoted(source.name)} is damaged and reads differently each time: copy or export it again."
    )


def read_previews(file: BinaryIO, video: SampledVideo, edge: int, most: int) -> Iterator[tuple[float, Frame]]:
    """Up to `most` of the written frames, evenly spaced: the second of each, and it scaled to at most `edge` pixels."""
    for position in evenly_spaced(len(video.indices), most):
        file.seek(position * video.frame_bytes)
        frame = np.frombuffer(file.read(video.frame_bytes), np.uint8).reshape(video.height, video.width, 3)
        yield video.indices[position] / video.source.fps, _scaled(frame, edge / max(video.width, video.height))


def _declared_choice(source: Path, limits: VideoLimits) -> tuple[int, ...]:
    """The frames to take if the container tells the truth about their number and rate; empty if it tells neither."""
    with _opened(source) as capture:
        frames, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    if not (0 < frames < _MOST_DECLARED_FRAMES and 0 < fps < math.inf):
        return ()
    return sampled_indices(int(frames), fps, limits)


def _copy_frames(source: Path, numbers: tuple[int, ...], file: BinaryIO) -> tuple[Clip, tuple[int, int]]:
    """Read the whole clip and write its frames of these ascending `numbers`. Returns the clip, and width and height."""
    wanted, times = Counter(numbers), list[float]()
    size = (0, 0)
    with _opened(source) as capture:
        declared_fps = capture.get(cv2.CAP_PROP_FPS)
        while capture.grab():
            repeats = wanted[len(times)]
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            if not repeats:
                continue
            read, raw = capture.retrieve()
            frame = np.asarray(raw, np.uint8)
            if not read:
                raise _no_video(source.name)
            if size == (0, 0):
                size = _written_size(frame, len(numbers), source.name)
                check_space(Path(file.name).parent, size[0] * size[1] * 3 * len(numbers))
            pixels = _rgb_bytes(frame, size)
            for _ in range(repeats):
                file.write(pixels)
    return measured_clip(times, declared_fps), size


@contextmanager
def _opened(source: Path) -> Iterator[cv2.VideoCapture]:
    parameters = [cv2.CAP_PROP_N_THREADS, DECODER_THREADS]
    capture = cv2.VideoCapture(str(source.resolve()), cv2.CAP_FFMPEG, parameters)
    try:
        if not capture.isOpened():
            raise _no_video(source.name)
        width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        _check_size(int(width), int(height), source.name)
        yield capture
    finally:
        capture.release()


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_VIDEO_PIXELS:
        raise UnusableFileError(
            f"{quoted(name)} has frames of {width:,} × {height:,} pixels, more than the "
            f"{MAX_VIDEO_PIXELS // 10**6} megapixels that Parley reads: export it smaller."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UnusableFileError(
            f"{quoted(name)} has frames of {width:,} × {height:,} pixels, more than {MAX_ASPECT} times as long as "
            "wide, which the model cannot see: crop it."
        )


def _written_size(frame: Frame, frames: int, name: str) -> tuple[int, int]:
    """Width and height at which so many frames of this one's size fit into `MAX_PIXEL_FILE`."""
    height, width = frame.shape[:2]
    _check_size(width, height, name)
    total = width * height * 3 * frames
    if total <= MAX_PIXEL_FILE:
        return width, height
    scale = math.sqrt(MAX_PIXEL_FILE / total)
    return max(1, int(width * scale)), max(1, int(height * scale))


def _rgb_bytes(frame: Frame, size: tuple[int, int]) -> bytes:
    height, width = frame.shape[:2]
    if (width, height) != size:  # too much for the file, or a stream that changes its size midway
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).tobytes()


def _scaled(frame: Frame, factor: float) -> Frame:
    if factor >= 1:
        return frame
    size = (max(1, round(frame.shape[1] * factor)), max(1, round(frame.shape[0] * factor)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _no_video(name: str) -> UnusableFileError:
    return UnusableFileError(
        f"{quoted(name)} has no frame that Parley can read: it may hold only sound, be damaged or incomplete, or use "
        "AV1 or another codec that Parley does not know; export it as MP4 with H.264."
    )

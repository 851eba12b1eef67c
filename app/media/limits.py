"""What one job of the decoder may take: memory, processor time, wall-clock time, pixels, bytes on disk.

Knows the operating system's limits and nothing of pictures. On POSIX systems the kernel enforces memory and processor
time (macOS ignores the limit of memory); elsewhere the wall-clock limit, which the parent enforces, is what remains.
"""

import os
import sys

if sys.platform != "win32":
    import resource

GIB = 2**30

MAX_PICTURE_PIXELS = 100_000_000
"""Pixels of one picture. At this size decoding, turning and flattening together stay below 2 GiB."""
MAX_VIDEO_PIXELS = 8192 * 8192
"""Pixels of one video frame."""
MAX_ASPECT = 200
"""The model's processors refuse what is more than this many times longer than wide."""
MAX_PIXEL_FILE = 2 * GIB
"""Bytes of a video's frames. At 768 frames this leaves 932,000 pixels a frame, more than the 611,000 that the largest
published budget of the model's processor (469,762,048 pixels a clip) lets it see, so shrinking to it loses nothing."""

WALL_SECONDS = 600.0
PICTURE_CPU_SECONDS = 60
DECODER_THREADS = min(os.cpu_count() or 1, 8)
_MEMORY = 4 * GIB


def confine() -> None:
    """Limit this process's memory and processor time, for good. Files it writes are the person's alone."""
    os.umask(0o077)
    if sys.platform != "win32":
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_AS, _MEMORY)
        _lower(resource.RLIMIT_CPU, int(WALL_SECONDS) * DECODER_THREADS)


def confine_to_picture() -> None:
    """Limit the processor time further: no picture within the limits takes as long as a film may."""
    if sys.platform != "win32":
        _lower(resource.RLIMIT_CPU, PICTURE_CPU_SECONDS)


if sys.platform != "win32":

    def _lower(kind: int, limit: int) -> None:
        _, hard = resource.getrlimit(kind)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):
            # macOS refuses some limits of memory; the wall clock still ends the job.
            print(f"this system does not let the decoder limit resource {kind}", file=sys.stderr)  # noqa: T201


def environment() -> dict[str, str]:
    """The environment of a job: this process's, and what OpenCV and its libraries read from theirs.

    FFmpeg may open plain files only, and only the containers of `app.media.formats`, so that no playlist opens others.
    Long stretches of sound between two frames, or frames that refer to what was cut away, do not end a clip. Threads
    share their arenas of memory, which would otherwise fill the limit of address space with empty reservations.
    """
    return os.environ | {
        "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file|format_whitelist;mov,mp4,matroska,webm",
        "OPENCV_FFMPEG_READ_ATTEMPTS": "100000",
        "OPENCV_FFMPEG_DECODE_ATTEMPTS": "1000",
        "OPENCV_LOG_LEVEL": "ERROR",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }

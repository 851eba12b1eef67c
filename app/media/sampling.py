"""Which frames of a clip the model sees, and when each is on screen. Knows numbers only: no files, no OpenCV.

The choice is that of the model's own processor (`Qwen3VLVideoProcessor.sample_frames` in transformers; a test compares
the two), from the true number of frames and the true rate. The engine computes the time of a frame as index / rate, so
a clip of variable rate is treated as one of constant, average rate: an index then means a moment, and the frame taken
is the one on screen at that moment. For a clip of constant rate that is the frame of that number.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.protocol import VideoLimits

_FALLBACK_FPS = 24.0  # what the model's processor assumes when nothing is known
_HIGHEST_FPS = 1000.0
_MILLISECOND = 0.001  # Matroska keeps times in whole milliseconds


@dataclass(frozen=True, slots=True)
class Clip:
    """A source as it is: seconds of every frame from the first on, frames a second, and whether they come evenly."""

    times: tuple[float, ...]
    fps: float
    steady: bool

    @property
    def frames(self) -> int:
        """How many frames the source really has."""
        return len(self.times)


def measured_clip(times: list[float], declared_fps: float) -> Clip:
    """The clip whose frames came at `times` (seconds). The container's rate counts if it predicts the last frame's time
    to within half a frame; otherwise the average does, as for a variable rate or a made-up declaration."""
    start = times[0] if times else 0.0
    relative = tuple(time - start for time in times)
    steps, span = len(times) - 1, relative[-1] if times else 0.0
    plausible = 0 < declared_fps <= _HIGHEST_FPS
    if plausible and (span <= 0 or abs(steps / declared_fps - span) <= 0.5 / declared_fps + 2 * _MILLISECOND):
        return Clip(relative, declared_fps, steady=True)
    if steps > 0 and span > 0:
        return Clip(relative, min(steps / span, _HIGHEST_FPS), steady=False)
    return Clip(relative, _FALLBACK_FPS, steady=True)


def sampled_indices(frames: int, fps: float, limits: VideoLimits) -> tuple[int, ...]:
    """The frames to take of a source of so many `frames` at `fps`, in order.

    At `limits.fps` a second, at least and at most so many as `limits` say and never more than there are, evenly spaced
    from the first to the last. A single frame is taken twice, since the model takes frames in pairs and its processor
    refuses fewer than two.
    """
    if frames == 1:
        return (0, 0)
    wanted = int(frames / fps * limits.fps)
    wanted = min(max(wanted, limits.min_frames), limits.max_frames, frames)
    return tuple(int(index) for index in np.linspace(0, frames - 1, wanted).round())


def frames_on_screen(clip: Clip, indices: tuple[int, ...]) -> tuple[int, ...]:
    """The number of the source's frame on screen at each index's moment: of a steady clip that very number."""
    if clip.steady:
        return indices
    moments: npt.NDArray[np.float64] = np.asarray(indices, dtype=np.float64) / clip.fps + _MILLISECOND
    shown = np.searchsorted(np.asarray(clip.times), moments, side="right") - 1
    return tuple(int(number) for number in shown)


def evenly_spaced(count: int, most: int) -> tuple[int, ...]:
    """Up to `most` of the numbers 0…count-1, the first and the last among them."""
    return tuple(int(number) for number in np.linspace(0, count - 1, min(count, most)).round())

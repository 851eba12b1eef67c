"""The choice of frames against the model's own processor, and clips whose rate is not what they claim."""

import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.media.sampling import evenly_spaced, frames_on_screen, measured_clip, sampled_indices
from app.protocol import VideoLimits

Choice = Callable[[int, float, VideoLimits], tuple[int, ...]]


@pytest.fixture(scope="module")
def processors_choice() -> Choice:
    """The choice of the model's own processor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that transformers imports
        from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
        from transformers.video_utils import VideoMetadata

    processor = Qwen3VLVideoProcessor()

    def choose(frames: int, fps: float, limits: VideoLimits) -> tuple[int, ...]:
        processor.min_frames, processor.max_frames = limits.min_frames, limits.max_frames
        metadata = VideoMetadata(total_num_frames=frames, fps=fps)
        return tuple(int(index) for index in processor.sample_frames(metadata, fps=limits.fps))

    return choose


@settings(max_examples=200, deadline=None)
@given(
    frames=st.integers(2, 200_000),
    fps=st.sampled_from([1.0, 12.5, 23.976, 24.0, 25.0, 29.97, 30.0, 59.94, 120.0, 15.8823529]),
    limits=st.builds(VideoLimits, st.sampled_from([0.5, 1.0, 2.0, 4.0, 30.0]), st.integers(1, 8), st.integers(8, 768)),
)
def test_chooses_what_the_models_processor_chooses(
    processors_choice: Choice, frames: int, fps: float, limits: VideoLimits
) -> None:
    assert sampled_indices(frames, fps, limits) == processors_choice(frames, fps, limits)


def test_a_single_frame_is_taken_twice() -> None:
    assert sampled_indices(1, 30.0, VideoLimits()) == (0, 0)


def test_a_constant_rate_is_believed_in_spite_of_whole_milliseconds() -> None:
    clip = measured_clip([round(number * 1000 / 29.97) / 1000 for number in range(300)], 29.97)
    assert clip.fps == 29.97
    assert frames_on_screen(clip, tuple(range(300))) == tuple(range(300))


@pytest.mark.parametrize("declared", [1000.0, 25.0, 0.0, float("nan"), float("inf"), -1.0])
def test_a_wrong_rate_is_measured(declared: float) -> None:
    clip = measured_clip([5 + number / 30 for number in range(91)], declared)
    assert clip.fps == pytest.approx(30.0)
    assert clip.times[0] == 0.0


def test_frames_of_a_variable_rate_are_those_on_screen_at_the_moment() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 4.0, 8.0]
    clip = measured_clip(times, 10.0)
    assert clip.fps == pytest.approx(5 / 8)
    shown = frames_on_screen(clip, tuple(range(6)))
    for index, number in enumerate(shown):
        moment = index / clip.fps
        assert times[number] <= moment
        assert number == 5 or times[number + 1] > moment
    assert shown == (0, 3, 3, 4, 4, 5)


def test_without_times_only_the_order_counts() -> None:
    clip = measured_clip([0.0] * 10, 30.0)
    assert clip.fps == 30.0
    assert frames_on_screen(clip, (0, 4, 9)) == (0, 4, 9)


def test_nothing_at_all() -> None:
    assert frames_on_screen(measured_clip([], 30.0), ()) == ()


def test_evenly_spaced_keeps_both_ends() -> None:
    assert evenly_spaced(3, 8) == (0, 1, 2)
    assert evenly_spaced(100, 8) == (0, 14, 28, 42, 57, 71, 85, 99)

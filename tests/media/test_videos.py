"""Videos in every accepted container: the right frames, upright, at their times, or a sentence."""

from pathlib import Path

import numpy as np
import pytest

from app.media import videos
from app.media.refusal import UnusableFileError
from app.media.videos import SampledVideo, read_previews, write_frames
from app.protocol import VideoLimits
from tests.media import corpus


def frames_of(path: Path, limits: VideoLimits | None = None) -> tuple[SampledVideo, list[corpus.Frame]]:
    pixels = path.with_suffix(".rgb")
    with pixels.open("wb+") as file:
        video = write_frames(path, limits or VideoLimits(), file)
    shape = (len(video.indices), video.height, video.width, 3)
    return video, list(np.fromfile(pixels, np.uint8).reshape(shape))


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "mp4v"), ("mov", "mp4v"), ("mov", "MJPG"), ("mkv", "FFV1"), ("webm", "VP80"), ("webm", "VP90")],
)
def test_every_container(tmp_path: Path, suffix: str, codec: str) -> None:
    path = corpus.save_clip(tmp_path / f"clip.{suffix}", corpus.numbered(100), 25, codec)
    video, frames = frames_of(path)
    assert video.indices == (0, 14, 28, 42, 57, 71, 85, 99)
    assert (video.width, video.height, video.source.frames, video.source.fps) == (64, 48, 100, 25.0)
    assert [corpus.number_of(frame) for frame in frames] == pytest.approx(video.indices, abs=2)


def test_colours_are_rgb(tmp_path: Path) -> None:
    path = corpus.save_clip(tmp_path / "clip.mp4", corpus.moving_square("left"))
    _, frames = frames_of(path)
    assert frames[0][96, 180] == pytest.approx((0, 0, 255), abs=12)
    assert frames[-1][96, 10] == pytest.approx((0, 0, 255), abs=12)
    assert frames[0][96, 10] == pytest.approx((255, 255, 255), abs=12)


@pytest.mark.parametrize(
    ("degrees", "order", "size"),
    [(90, (2, 0, 3, 1), (32, 48)), (180, (3, 2, 1, 0), (48, 32)), (270, (1, 3, 0, 2), (32, 48))],
)
def test_rotation(tmp_path: Path, degrees: int, order: tuple[int, ...], size: tuple[int, int]) -> None:
    still = np.asarray(corpus.corners(48, 32))
    path = corpus.save_clip(tmp_path / "clip.mp4", [still] * 8)
    path.write_bytes(corpus.turned(path.read_bytes(), degrees))  # type: ignore[arg-type]
    video, frames = frames_of(path)
    assert (video.width, video.height) == size
    for number, (y, x) in zip(order, [(1, 1), (1, 3), (3, 1), (3, 3)], strict=True):
        colour = frames[0][y * size[1] // 4, x * size[0] // 4]
        assert tuple(int(channel) // 128 * 255 for channel in colour) == corpus.CORNERS[number]


@pytest.mark.parametrize("suffix", ["mkv", "mov", "mp4"])
def test_a_variable_rate_shows_what_is_on_screen(tmp_path: Path, suffix: str) -> None:
    ticks = [*range(30), 60, 90, 120, 150, 180, 210]  # a lively second, then one frame a second
    path = corpus.save_timed_clip(tmp_path / f"clip.{suffix}", corpus.numbered(len(ticks)), ticks)
    video, frames = frames_of(path)
    assert video.source.frames == 36
    assert video.source.fps == pytest.approx(35 / 7, rel=0.01)
    moments = [30 * index / video.source.fps for index in video.indices]
    assert moments[-1] == pytest.approx(210, abs=0.5)
    for moment, frame in zip(moments, frames, strict=True):
        number = corpus.number_of(frame)
        assert ticks[number] <= moment + 0.1
        assert moment < (ticks[number + 1] if number < 35 else 211)


def test_a_gap_before_the_first_frame_is_not_counted(tmp_path: Path) -> None:
    path = corpus.save_timed_clip(tmp_path / "clip.mkv", corpus.numbered(30), range(90, 120))
    video, frames = frames_of(path)
    assert (video.source.fps, video.source.times[0]) == (30.0, 0.0)
    assert [corpus.number_of(frame) for frame in frames] == list(video.indices)


def test_odd_sizes(tmp_path: Path) -> None:
    path = corpus.save_timed_clip(tmp_path / "clip.mkv", corpus.numbered(8, (37, 21)), range(8))
    video, frames = frames_of(path)
    assert (video.width, video.height) == (37, 21)
    assert [corpus.number_of(frame) for frame in frames] == list(video.indices)


def test_a_size_that_changes_midway_keeps_the_first(tmp_path: Path) -> None:
    drawn = [*corpus.numbered(4, (64, 48)), *corpus.numbered(4, (32, 24))]
    path = corpus.save_timed_clip(tmp_path / "clip.mkv", drawn, range(8))
    video, frames = frames_of(path, VideoLimits(fps=30))
    assert (video.width, video.height) == (64, 48)
    assert [corpus.number_of(frame) for frame in frames] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_one_frame_is_given_twice(tmp_path: Path) -> None:
    path = corpus.save_clip(tmp_path / "clip.mp4", corpus.numbered(1))
    video, frames = frames_of(path)
    assert (video.indices, video.source.frames) == ((0, 0), 1)
    assert np.array_equal(frames[0], frames[1])


def test_a_wrong_declaration_leads_to_a_second_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = corpus.save_clip(tmp_path / "clip.mkv", corpus.numbered(90), 30, "FFV1")
    right = frames_of(path)
    for claim in ((), (0, 1, 2, 3, 4, 5, 6), (0, 50, 500)):
        monkeypatch.setattr(videos, "_declared_choice", lambda source, limits, claim=claim: claim)
        video, frames = frames_of(path)
        assert video == right[0]
        assert np.array_equal(frames, right[1])


def test_what_would_fill_the_disk_is_scaled_by_area(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = corpus.save_clip(tmp_path / "clip.mp4", corpus.moving_square("left", 20))
    monkeypatch.setattr(videos, "MAX_PIXEL_FILE", 100_000)
    video, frames = frames_of(path)
    assert 80_000 < path.with_suffix(".rgb").stat().st_size <= 100_000
    assert video.width / video.height == pytest.approx(1.0, rel=0.05)
    assert frames[0][video.height // 2, -5] == pytest.approx((0, 0, 255), abs=12)


def test_limits_choose_the_frames(tmp_path: Path) -> None:
    path = corpus.save_clip(tmp_path / "clip.mp4", corpus.numbered(60), 30)
    assert frames_of(path, VideoLimits(max_frames=3, min_frames=2))[0].indices == (0, 30, 59)
    assert len(frames_of(path, VideoLimits(fps=10))[0].indices) == 20


def test_previews_are_spread_over_what_the_model_sees(tmp_path: Path) -> None:
    path = corpus.save_clip(tmp_path / "clip.mkv", corpus.numbered(120, (320, 160)), 10, "FFV1")
    with path.with_suffix(".rgb").open("wb+") as file:
        video = write_frames(path, VideoLimits(), file)
        previews = list(read_previews(file, video, 80, 8))
    assert len(previews) == 8
    assert all(frame.shape == (40, 80, 3) for _, frame in previews)
    assert [second * 10 for second, _ in previews] == pytest.approx([corpus.number_of(f) for _, f in previews])
    assert previews[-1][0] == pytest.approx(11.9)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_no_frames_is_refused(tmp_path: Path, suffix: str) -> None:
    path = corpus.save_clip(tmp_path / f"clip.{suffix}", corpus.numbered(30), 30, "mp4v" if suffix == "mp4" else "VP80")
    content = path.read_bytes()
    path.write_bytes(content[:200])
    with pytest.raises(UnusableFileError, match="no frame"):
        frames_of(path)


def test_sound_only_is_refused(tmp_path: Path) -> None:
    path = corpus.save_clip(tmp_path / "clip.mp4", corpus.numbered(8))
    path.write_bytes(corpus.sound_only(path.read_bytes()))
    with pytest.raises(UnusableFileError, match="only sound"):
        frames_of(path)


def test_long_and_thin_is_refused(tmp_path: Path) -> None:
    path = corpus.save_timed_clip(tmp_path / "clip.mkv", corpus.numbered(4, (804, 4)), range(4))
    with pytest.raises(UnusableFileError, match="times as long"):
        frames_of(path)


def test_a_damaged_clip_gives_frames_or_a_sentence(tmp_path: Path) -> None:
    path = corpus.save_clip(tmp_path / "clip.mkv", corpus.moving_square(frames=12), 12, "VP80")
    content = path.read_bytes()
    for at in range(60, len(content), max(1, len(content) // 24)):
        path.write_bytes(content[:at] + bytes(255 - byte for byte in content[at : at + 6]) + content[at + 6 :])
        try:
            video, frames = frames_of(path)
        except UnusableFileError:
            continue
        assert len(frames) == len(video.indices) >= 2

"""Pixels and tower against transformers' processors and tower: equal bits of pixels, equal embeddings."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine import vision
from app.engine.config import read_config
from app.engine.errors import CheckpointError, MediaError
from app.engine.load import LoadedModel
from app.engine.pixels import patches, plan, read_processors
from app.engine.vision import Vision
from app.protocol import Media
from tests.checkpoints import Made, config_json, write_json, write_small_files
from tests.engine.prompts import array, clip, picture

Shape = tuple[int, int, int]

PICTURES = [(64, 64), (333, 517), (20, 30), (1, 1), (900, 700), (32, 3000), (640, 360)]
CLIPS = [(5, 200, 100), (4, 64, 64), (17, 320, 240), (2, 20, 25), (12, 640, 480), (64, 160, 90)]


@pytest.fixture
def eyes(parley: LoadedModel) -> Vision:
    assert parley.vision is not None
    return parley.vision


@pytest.mark.parametrize("size", PICTURES)
def test_pictures(eyes: Vision, reference: Any, made: Made, tmp_path: Path, size: tuple[int, int]) -> None:
    from tests.foreign import Qwen2VLImageProcessor

    media = picture(tmp_path, *size)
    prepared = eyes.prepare(media)
    wanted = Qwen2VLImageProcessor.from_pretrained(made.folder)(
        images=[array(media)[0]], input_data_format="channels_last", return_tensors="pt"
    )
    assert list(prepared.grid_thw) == wanted["image_grid_thw"][0].tolist()
    assert prepared.size_seen == (prepared.grid_thw[2] * 16, prepared.grid_thw[1] * 16)
    assert torch.equal(torch.cat(list(patches(prepared, eyes.processors, eyes.config))), wanted["pixel_values"])
    with torch.no_grad():
        seen = reference.model.visual(wanted["pixel_values"], wanted["image_grid_thw"]).pooler_output
    assert prepared.chunks == ((None, len(seen)),)
    assert (eyes.encode(prepared) - seen).abs().max() < 1e-5


@pytest.mark.parametrize("case", list(product(CLIPS, (True, False))))
def test_clips(eyes: Vision, reference: Any, made: Made, tmp_path: Path, case: tuple[Shape, bool]) -> None:
    from tests.foreign import Qwen3VLVideoProcessor, VideoMetadata

    shape, capped = case
    media = clip(tmp_path, *shape)
    processors = eyes.processors if capped else replace(eyes.processors, frame_cap=0)
    prepared = plan(media, processors, eyes.config)
    metadata = VideoMetadata(media.source_frames, media.source_fps, frames_indices=list(media.frame_indices))
    wanted = Qwen3VLVideoProcessor.from_pretrained(made.folder)(
        videos=[array(media)],
        do_sample_frames=False,
        cap_pixels_per_frame=capped,
        video_metadata=[metadata],
        return_tensors="pt",
    )
    assert list(prepared.grid_thw) == wanted["video_grid_thw"][0].tolist()
    mine = torch.cat(list(patches(prepared, processors, eyes.config)))
    assert torch.equal(mine, wanted["pixel_values_videos"])
    with torch.no_grad():
        seen = reference.model.visual(wanted["pixel_values_videos"], wanted["video_grid_thw"]).pooler_output
    assert prepared.tokens == len(seen)
    assert (eyes.encode(prepared) - seen).abs().max() < 1e-5


@pytest.mark.parametrize("indices", [(0, 12, 24, 36), (0, 13, 25, 38, 50), (7,)])
def test_timestamps_are_those_of_the_processor(eyes: Vision, tmp_path: Path, indices: tuple[int, ...]) -> None:
    media = replace(clip(tmp_path, len(indices), 64, 64), frame_indices=indices)
    padded = indices + indices[-1:] * (len(indices) % 2)
    wanted = [f"<{(a + b) / 2 / 23.976:.1f} seconds>" for a, b in zip(padded[::2], padded[1::2], strict=True)]
    assert [text for text, _ in eyes.measure(media).chunks] == wanted


def test_a_clip_of_one_frame_shows_it_twice(eyes: Vision, tmp_path: Path) -> None:
    once = clip(tmp_path, 1, 96, 64)
    twice = clip(tmp_path, 2, 96, 64)
    Path(twice.pixels).write_bytes(Path(once.pixels).read_bytes() * 2)
    assert torch.equal(eyes.encode(eyes.prepare(once)), eyes.encode(eyes.prepare(twice)))


def test_measuring_needs_no_pixels(eyes: Vision, tmp_path: Path) -> None:
    media = clip(tmp_path, 7, 128, 64)
    prepared = eyes.prepare(media)
    Path(media.pixels).unlink()
    assert eyes.measure(media) == prepared
    with pytest.raises(MediaError, match="gone"):
        eyes.prepare(media)
    with pytest.raises(MediaError, match="gone"):
        eyes.encode(prepared)


def test_a_clip_in_groups_is_the_clip(eyes: Vision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = eyes.prepare(clip(tmp_path, 9, 96, 64))
    whole = eyes.encode(prepared)
    monkeypatch.setattr(vision, "FEWEST_PATCHES", 60)
    ticks: list[int] = []
    assert torch.allclose(eyes.encode(prepared, lambda: ticks.append(1)), whole, atol=1e-5)
    assert len(ticks) == 5 + 3 * eyes.config.depth


def test_heads_in_groups_are_all_heads(eyes: Vision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = eyes.prepare(picture(tmp_path, 333, 517))
    whole = eyes.encode(prepared)
    monkeypatch.setattr(vision, "FEWEST_PATCHES", 60)
    monkeypatch.setattr(vision, "HEAD_GROUPS", 2)
    assert len(eyes._head_groups(100)) == 2
    torch.testing.assert_close(eyes.encode(prepared), whole, atol=1e-5, rtol=1e-5)


def test_a_large_picture_on_a_cpu_is_seen_in_pieces(
    eyes: Vision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = eyes.prepare(picture(tmp_path, 333, 517))
    whole, quiet, often = eyes.encode(prepared), list[int](), list[int]()
    eyes.encode(prepared, lambda: quiet.append(1))
    monkeypatch.setattr(vision, "_CPU_PRODUCTS", 2**22)
    pieces = eyes.encode(prepared, lambda: often.append(1))
    assert len(often) > len(quiet) + 10 * eyes.config.depth
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 65}, "incomplete"),
        ({"width": 64 * 250, "height": 64}, "narrow"),
        ({"width": 0, "height": 0}, "no pixels"),
        ({"kind": "video", "frame_indices": (1, 2, 3)}, "incompletely"),
    ],
)
def test_what_cannot_be_seen_is_said(eyes: Vision, tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    media: Media = replace(picture(tmp_path, 64, 64), **wrong)
    if "kind" not in wrong and message != "incomplete":
        with pytest.raises(MediaError, match=message):
            eyes.measure(media)
    else:
        with pytest.raises(MediaError, match=message):
            eyes.prepare(media)


def test_limits_come_from_the_checkpoint(tmp_path: Path) -> None:
    write_small_files(tmp_path, config_json())
    tower = read_config(tmp_path).vision
    assert tower is not None
    plain = json.loads((tmp_path / "video_preprocessor_config.json").read_text())
    write_json(tmp_path / "video_preprocessor_config.json", plain | {"fps": 1, "max_frames": 32, "min_frames": 2})
    assert read_processors(tmp_path, tower).limits.max_frames == 32
    del plain["cap_pixels_per_frame"]
    write_json(tmp_path / "video_preprocessor_config.json", plain)
    assert read_processors(tmp_path, tower).frame_cap == 768 * 32 * 32
    write_json(tmp_path / "video_preprocessor_config.json", plain | {"min_pixels": 64, "max_pixels": 128})
    assert (read_processors(tmp_path, tower).video.least, read_processors(tmp_path, tower).video.most) == (64, 128)
    write_json(tmp_path / "video_preprocessor_config.json", plain | {"cap_pixels_per_frame": False})
    assert read_processors(tmp_path, tower).frame_cap == 0


@pytest.mark.parametrize(
    "change",
    [
        {"patch_size": 14},
        {"do_normalize": False},
        {"image_std": [0, 0, 0]},
        {"image_mean": None},
        {"resample": 1},
        {"size": {"a": 1}},
        {"min_pixels": "9"},
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write_small_files(tmp_path, config_json())
    tower = read_config(tmp_path).vision
    assert tower is not None
    plain = json.loads((tmp_path / "preprocessor_config.json").read_text())
    write_json(tmp_path / "preprocessor_config.json", plain | change)
    with pytest.raises(CheckpointError, match="preprocessor_config"):
        read_processors(tmp_path, tower)

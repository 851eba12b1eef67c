"""From decoded media to the patches that the vision tower reads, exactly as the model's own processors make them.

Knows: the settings in `preprocessor_config.json` and `video_preprocessor_config.json`, the resizing rules, timestamps,
the decoder's plain pixel files. Does not know: the tower, prompts. The rules are those of transformers'
`Qwen2VLImageProcessor` and `Qwen3VLVideoProcessor` (Apache 2.0), and the tests hold both to equal bits; doing them here
saves the engine eight seconds of imports. Pixels are read a frame pair at a time, never a whole clip.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.config import Section, VisionConfig, read_json
from app.engine.errors import MediaError
from app.protocol import Media, MediaKind, VideoLimits

_RESAMPLING = {2: "bilinear", 3: "bicubic"}
_ASPECT_LIMIT = 200
_SOURCE_FPS = 24.0  # what the processor assumes when a clip does not say


@dataclass(frozen=True, slots=True)
class Settings:
    """One processor's settings: bounds of the pixel count after resizing, colours, how to resample."""

    least: int
    most: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float
    mode: str


@dataclass(frozen=True, slots=True)
class Processors:
    """Both processors. `frame_cap` is the most pixels of one video frame, 0 for no such bound."""

    image: Settings
    video: Settings
    frame_cap: int
    limits: VideoLimits


@dataclass(frozen=True, slots=True)
class PreparedMedia:
    """How one picture or clip enters the prompt. `chunks`: for a picture one (None, tokens); for a clip one for every
    frame pair, (timestamp text, tokens). `grid_thw` counts patches before merging; `size_seen` is (width, height) in
    pixels after resizing. The pixels stay in `media`'s file until they are encoded."""

    kind: MediaKind
    media: Media
    chunks: tuple[tuple[str | None, int], ...]
    grid_thw: tuple[int, int, int]
    size_seen: tuple[int, int]

    @property
    def tokens(self) -> int:
        """Vision tokens of all chunks, timestamps not counted."""
        return sum(tokens for _, tokens in self.chunks)


def read_processors(folder: Path, vision: VisionConfig) -> Processors:
    """The settings in a model folder. Raises `CheckpointError`."""
    combined = read_json(folder / "processor_config.json") if (folder / "processor_config.json").exists() else {}
    image = combined.get("image_processor") or read_json(folder / "preprocessor_config.json")
    video = combined.get("video_processor")
    if video is None and (folder / "video_preprocessor_config.json").exists():
        video = read_json(folder / "video_preprocessor_config.json")
    image_section = Section(image, f"preprocessor_config.json of {folder.name}")
    section = Section(video or image, f"video_preprocessor_config.json of {folder.name}")
    capped = section.plain.get("cap_pixels_per_frame")
    factor = vision.patch * vision.merge
    return Processors(
        image=_settings(image_section, vision),
        video=_settings(section, vision),
        # Unless the model says otherwise, as the reference implementation does: short clips stay cheap.
        frame_cap=0 if capped is False else section.integer("max_video_tokens", 1, 2**20, 768) * factor**2,
        limits=VideoLimits(
            fps=section.number("fps", 0.01, 1000.0, 2.0),
            min_frames=section.integer("min_frames", 1, 2**16, 4),
            max_frames=section.integer("max_frames", 1, 2**16, 768),
        ),
    )


def _settings(section: Section, vision: VisionConfig) -> Settings:
    for name, wanted in (
        ("patch_size", vision.patch),
        ("merge_size", vision.merge),
        ("temporal_patch_size", vision.temporal_patch),
    ):
        section.expect(name, wanted)
    for name in ("do_resize", "do_rescale", "do_normalize"):
        section.expect(name, True)
    resample = section.integer("resample", 0, 5, 3)
    if resample not in _RESAMPLING:
        raise section.refuse("resample")
    return Settings(
        least=_bound(section, "min_pixels", "shortest_edge"),
        most=_bound(section, "max_pixels", "longest_edge"),
        mean=_colours(section, "image_mean"),
        std=_colours(section, "image_std"),
        scale=section.number("rescale_factor", 1e-6, 1.0, 1 / 255),
        mode=_RESAMPLING[resample],
    )


def _bound(section: Section, older: str, newer: str) -> int:
    """A bound of the pixel count, by its older name at the top or its newer one in "size"."""
    if section.plain.get(older) is not None:
        return section.integer(older, 1, 2**40)
    return section.section("size").integer(newer, 1, 2**40)


def _colours(section: Section, name: str) -> tuple[float, float, float]:
    values = section.plain.get(name)
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise section.refuse(name)
    if name == "image_std" and not all(v > 0 for v in values):
        raise section.refuse(name)
    return float(values[0]), float(values[1]), float(values[2])


def plan(media: Media, processors: Processors, vision: VisionConfig) -> PreparedMedia:
    """How a picture or clip will enter the prompt, from its size and times alone. Raises `MediaError`."""
    if max(media.width, media.height) > _ASPECT_LIMIT * max(1, min(media.width, media.height)):
        raise MediaError(f"{media.name} is too long and narrow for the model; crop it and attach it again.")
    if media.width < 1 or media.height < 1 or media.frames < 1:
        raise MediaError(f"{media.name} has no pixels; attach another file.")
    factor = vision.patch * vision.merge
    if media.kind == "image":
        least, most = processors.image.least, processors.image.most
        height, width = fitting_size(1, media.height, media.width, factor=factor, together=1, least=least, most=most)
        frames = 1
    else:
        frames = max(media.frames, vision.temporal_patch)  # a clip of one frame shows it twice
        most = processors.video.most
        if processors.frame_cap:
            floor = int(processors.video.least * 1.05)
            most = frames * max(min(processors.frame_cap, most // frames), floor)
        height, width = _enlarged(media.height, media.width, factor)
        height, width = fitting_size(
            frames,
            height,
            width,
            factor=factor,
            together=vision.temporal_patch,
            least=processors.video.least,
            most=most,
        )
    grid = (-(-frames // vision.temporal_patch), height // vision.patch, width // vision.patch)
    tokens = grid[1] * grid[2] // vision.merge**2
    times = timestamps(media, vision.temporal_patch) if media.kind == "video" else (None,)
    return PreparedMedia(media.kind, media, tuple((time, tokens) for time in times), grid, (width, height))


def fitting_size(
    frames: int, height: int, width: int, *, factor: int, together: int, least: int, most: int
) -> tuple[int, int]:
    """Height and width, multiples of `factor`, for which all frames have `least` to `most` pixels in all, keeping the
    aspect ratio as well as possible."""
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    counted = round(frames / together) * together
    if counted * rows * columns > most:
        shrink = math.sqrt(frames * height * width / most)
        rows = max(factor, math.floor(height / shrink / factor) * factor)
        columns = max(factor, math.floor(width / shrink / factor) * factor)
    elif counted * rows * columns < least:
        grow = math.sqrt(least / (frames * height * width))
        rows = math.ceil(height * grow / factor) * factor
        columns = math.ceil(width * grow / factor) * factor
    return rows, columns


def _enlarged(height: int, width: int, factor: int) -> tuple[int, int]:
    """A frame that is smaller than one token is first thought of as just large enough."""
    if height >= factor and width >= factor:
        return height, width
    grow = max(factor / height, factor / width)
    return int(height * grow), int(width * grow)


def timestamps(media: Media, together: int) -> tuple[str, ...]:
    """What is written before every frame pair: the mean of its first and last frame's seconds."""
    indices = list(media.frame_indices)
    if len(indices) != media.frames:
        raise MediaError(f"{media.name} was decoded incompletely; attach it again.")
    indices += indices[-1:] * (-len(indices) % together)
    fps = media.source_fps if media.source_fps > 0 else _SOURCE_FPS
    seconds = [index / fps for index in indices]
    pairs = range(0, len(seconds), together)
    return tuple(f"<{(seconds[i] + seconds[i + together - 1]) / 2:.1f} seconds>" for i in pairs)


def check_pixels(media: Media) -> None:
    """Raise `MediaError` unless the file of plain pixels is there and has exactly the size it should have."""
    try:
        size = Path(media.pixels).stat().st_size
    except OSError as error:
        raise MediaError(f"The decoded pixels of {media.name} are gone; attach it again.") from error
    if size != media.frames * media.height * media.width * 3:
        raise MediaError(f"The decoded pixels of {media.name} are incomplete; attach it again.")


def patches(prepared: PreparedMedia, processors: Processors, vision: VisionConfig) -> Iterator[Tensor]:
    """The patches of each frame pair in turn: fp32 [h · w, channels · frames · patch · patch], merged ones together."""
    media = prepared.media
    settings = processors.image if prepared.kind == "image" else processors.video
    check_pixels(media)
    with Path(media.pixels).open("rb") as file:
        for pair in range(prepared.grid_thw[0]):
            first = pair * vision.temporal_patch
            indices = [min(first + i, media.frames - 1) for i in range(vision.temporal_patch)]
            frames = [_frame(file, media, index, settings, prepared.size_seen) for index in dict.fromkeys(indices)]
            frames += frames[-1:] * (vision.temporal_patch - len(frames))
            yield _patchify(torch.stack(frames), vision)


def _frame(file: Any, media: Media, index: int, settings: Settings, size: tuple[int, int]) -> Tensor:
    """One frame, resized and normalized: fp32 [3, height, width]."""
    nbytes = media.height * media.width * 3
    file.seek(index * nbytes)
    raw = bytearray(file.read(nbytes))
    if len(raw) != nbytes:
        raise MediaError(f"The decoded pixels of {media.name} are incomplete; attach it again.")
    frame = torch.from_numpy(np.frombuffer(raw, np.uint8).reshape(media.height, media.width, 3))
    frame = frame.permute(2, 0, 1).contiguous()
    width, height = size
    if (media.height, media.width) != (height, width):
        frame = fn.interpolate(
            frame.unsqueeze(0), (height, width), mode=settings.mode, align_corners=False, antialias=True
        ).squeeze(0)
    mean = torch.tensor(settings.mean) * (1.0 / settings.scale)
    std = torch.tensor(settings.std) * (1.0 / settings.scale)
    return frame.float().sub_(mean.view(3, 1, 1)).div_(std.view(3, 1, 1))


def _patchify(frames: Tensor, vision: VisionConfig) -> Tensor:
    """[frames, 3, height, width] → [h · w, 3 · frames · patch · patch]; the patches of one token follow each other."""
    count, channels, height, width = frames.shape
    patch, merge = vision.patch, vision.merge
    rows, columns = height // (patch * merge), width // (patch * merge)
    grid = frames.view(count, channels, rows, merge, patch, columns, merge, patch)
    return grid.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(rows * columns * merge**2, -1)

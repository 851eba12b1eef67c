"""Prompts with pictures and clips for parity tests, as token ids for both engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.engine.load import LoadedModel
from app.engine.pixels import PreparedMedia
from app.engine.rope import VisionSpan, prompt_positions
from app.protocol import Media, MediaKind

TOLERANCE = 2e-5  # fp32, two orders of summation; logits have a deviation near 1


def picture(folder: Path, width: int, height: int, seed: int = 0) -> Media:
    """A picture of noise in the decoder's form."""
    return _media("image", folder / f"picture-{seed}-{width}x{height}", (1, height, width), seed)


def clip(folder: Path, frames: int, width: int, height: int, seed: int = 0) -> Media:
    """A clip of noise: every 12th frame of a source with 23.976 frames a second."""
    return _media("video", folder / f"clip-{seed}-{frames}x{width}x{height}", (frames, height, width), seed)


def _media(kind: MediaKind, path: Path, shape: tuple[int, int, int], seed: int) -> Media:
    frames, height, width = shape
    noise = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    path.write_bytes(noise.tobytes())
    if kind == "image":
        return Media(kind, path.name, "digest", str(path), width, height)
    indices = tuple(range(0, frames * 12, 12))
    return Media(kind, path.name, "digest", str(path), width, height, frames, indices, frames * 12 + 3, 23.976, 2.5)


def array(media: Media) -> np.ndarray[Any, Any]:
    """The pixels of a file in the decoder's form, [frames, height, width, 3]."""
    raw = np.frombuffer(bytearray(Path(media.pixels).read_bytes()), np.uint8)
    return raw.reshape(media.frames, media.height, media.width, 3)


@dataclass
class Prompt:
    """A prompt: ids, and where the vision tokens of which chunk stand."""

    ids: list[int]
    spans: list[VisionSpan]
    places: list[tuple[int, int]]
    media: list[PreparedMedia]


def build(model: LoadedModel, parts: Sequence[list[int] | Media]) -> Prompt:
    """Token ids of text parts (given as ids) and media, timestamps included, as the processor would write them."""
    config, prompt = model.config, Prompt([], [], [], [])
    for part in parts:
        if isinstance(part, list):
            prompt.ids += part
            continue
        assert model.vision is not None
        prepared = model.vision.prepare(part)
        prompt.media.append(prepared)
        pad = config.image_id if prepared.kind == "image" else config.video_id
        for timestamp, tokens in prepared.chunks:
            prompt.ids += [] if timestamp is None else list(timestamp.encode())
            prompt.ids.append(config.vision_start_id)
            prompt.spans.append(VisionSpan(len(prompt.ids), prepared.grid_thw[1], prepared.grid_thw[2]))
            prompt.places.append((len(prompt.ids), tokens))
            prompt.ids += [pad] * tokens + [config.vision_end_id]
    return prompt


def embeddings(model: LoadedModel, prompt: Prompt) -> tuple[Tensor, Tensor, int]:
    """What the model is fed: embeddings [T, hidden], positions [3, T], and the rope delta."""
    embedded = model.embed(torch.tensor(prompt.ids))
    if prompt.media:
        assert model.vision is not None
        seen = torch.cat([model.vision.encode(prepared) for prepared in prompt.media])
        for start, tokens in prompt.places:
            embedded[start : start + tokens], seen = seen[:tokens], seen[tokens:]
        assert len(seen) == 0
    positions, delta = prompt_positions(len(prompt.ids), prompt.spans, 2)
    return embedded, positions, delta


def reference_logits(reference: Any, model: LoadedModel, folder: Path, prompt: Prompt, more: list[int]) -> Tensor:
    """transformers' logits [vocab] after the prompt and the tokens `more`, computed anew with its own processors."""
    from tests.foreign import Qwen2VLImageProcessor, Qwen3VLVideoProcessor, VideoMetadata

    ids = torch.tensor([prompt.ids + more])
    kinds = (ids == model.config.image_id).int() + 2 * (ids == model.config.video_id).int()
    extra: dict[str, Any] = {}
    pictures = [array(prepared.media)[0] for prepared in prompt.media if prepared.kind == "image"]
    clips = [prepared.media for prepared in prompt.media if prepared.kind == "video"]
    if pictures:
        extra |= Qwen2VLImageProcessor.from_pretrained(folder)(images=pictures, return_tensors="pt")
    if clips:
        extra |= Qwen3VLVideoProcessor.from_pretrained(folder)(
            videos=[array(media) for media in clips],
            do_sample_frames=False,
            video_metadata=[
                VideoMetadata(media.source_frames, media.source_fps, frames_indices=list(media.frame_indices))
                for media in clips
            ],
            return_tensors="pt",
        )
        extra.pop("video_metadata", None)
    if extra:
        extra["mm_token_type_ids"] = kinds
    reference.model.rope_deltas = None
    with torch.no_grad():
        logits: Tensor = reference(input_ids=ids, use_cache=False, **extra).logits[0, -1]
    return logits

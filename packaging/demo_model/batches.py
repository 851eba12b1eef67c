"""Training batches, made by worker processes: conversations as padded ids, with sketches of their pictures.

All pictures of a batch have one size and all videos one timing, so that they are drawn, resized and seen together.
Batches come in few fixed shapes, so that a GPU can record the work on each shape once and repeat it. Positions come
from transformers' own `get_rope_index`.
"""

import functools
import math
import multiprocessing
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5Model
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize as smart_resize_video

from demo_model import conversations, model, pictures, videos, vocabulary
from demo_model.drawing import Sketch, sketch
from demo_model.kernels import CHUNK
from demo_model.prompts import IGNORED, Encoded, Encoder, Placeholder

FACTOR = 32
KINDS = ("picture", "video", "text")
PICTURE_GRIDS = (
    (16, 16),
    (14, 20),
    (20, 14),
    (12, 22),
    (22, 12),
    (16, 18),
    (18, 16),
    (14, 22),
    (22, 14),
    (10, 28),
    (28, 10),
)
LONG_GRIDS = ((10, 10), (8, 10), (6, 12))
SHORT_GRIDS = (*LONG_GRIDS, (10, 8), (8, 12), (6, 6))
VIDEO_GRIDS = {2: SHORT_GRIDS, 3: SHORT_GRIDS, 4: LONG_GRIDS, 6: LONG_GRIDS, 10: LONG_GRIDS}
TEXT_LENGTHS = {256: 130, 1024: 250, 3072: 1200}
PICKS = 64
Ids = npt.NDArray[np.int64]


@dataclass(slots=True)
class Batch:
    """[B, T] ids and [3, B, T] positions; where the model speaks (`picks`) and what it says (`targets`).

    `finals` tells which picks belong to the last answers, `further` where the MTP layer says the same targets. The
    picks of a shape have one length: what is missing has the target `IGNORED`. `media` are the flat positions of
    picture or video tokens; `grid` is (frame pairs of one video, patch rows, patch columns).
    """

    kind: str
    ids: Ids
    positions: Ids
    picks: Ids
    targets: Ids
    finals: npt.NDArray[np.bool_]
    further: Ids
    media: Ids
    tasks: list[str]
    sketch: Sketch | None
    grid: tuple[int, int, int]

    @property
    def shape(self) -> tuple[object, ...]:
        """What two batches must share to be worked on in the same way."""
        return self.kind, self.ids.shape, self.picks.shape, self.media.shape, self.grid


@dataclass(slots=True)
class Recipe:
    """One example on its way into a batch."""

    encoded: Encoded
    scenes: list[pictures.Scene]


def image_grid(frame: pictures.Frame) -> tuple[int, int, int]:
    """(1, rows, columns) of patches that the image processor makes of a picture of this size."""
    size = model.IMAGE_PROCESSOR["size"]
    height, width = smart_resize(frame.height, frame.width, FACTOR, size["shortest_edge"], size["longest_edge"])
    return 1, height // 16, width // 16


def video_grid(frame: pictures.Frame, frames: int) -> tuple[int, int, int]:
    """(pairs, rows, columns) of patches that the video processor makes of so many sampled frames."""
    size = model.VIDEO_PROCESSOR["size"]
    share = max(
        min(model.FRAME_TOKENS * FACTOR * FACTOR, size["longest_edge"] // frames), int(size["shortest_edge"] * 1.05)
    )
    height, width = smart_resize_video(
        frames, frame.height, frame.width, 2, FACTOR, size["shortest_edge"], share * frames
    )
    return math.ceil(frames / 2), height // 16, width // 16


def any_frame(rng: random.Random, low: int, high: int) -> pictures.Frame:
    """A size: the shorter side mostly small, the longer up to three times that and at most 1,000."""
    side = round(math.exp(rng.uniform(math.log(low), math.log(high))))
    ratio = rng.choice((1.0, 1.0, 4 / 3, 3 / 2, 16 / 9, rng.uniform(1, 1.6), rng.uniform(1, 3)))
    longer = min(max(round(side * ratio), side), 1000)
    return pictures.Frame(side, longer) if rng.random() < 0.65 else pictures.Frame(longer, side)


def picture_recipes(
    rng: random.Random, encoder: Encoder, tokens: int
) -> tuple[list[Recipe], tuple[int, int, int], int]:
    """Conversations about pictures of one size, their grid, and the length that holds each of them."""
    while True:
        frame = any_frame(rng, 64, 1000 if rng.random() < 0.1 else 420)
        grid = image_grid(frame)
        if grid[1:] in PICTURE_GRIDS:
            break
    many, length = (2, 384) if grid[1:] in PICTURE_GRIDS[:3] and rng.random() < 0.08 else (1, 256)
    holder = Placeholder(grid[1] * grid[2] // 4)
    recipes: list[Recipe] = []
    while len(recipes) < tokens // length:
        talk = pictures.conversation(rng, frame, many)
        scenes = [scene for scene in talk.media if isinstance(scene, pictures.Scene)]
        encoded = encoder.encode(talk, [holder] * len(scenes))
        if len(encoded.ids) <= length:
            recipes.append(Recipe(encoded, scenes))
    return recipes, grid, length


def video_recipes(rng: random.Random, encoder: Encoder, tokens: int) -> tuple[list[Recipe], tuple[int, int, int], int]:
    """Conversations about videos of one size and timing, their grid, and the length that holds each of them."""
    pairs = rng.choice(tuple(VIDEO_GRIDS))
    while True:
        frame, timing = any_frame(rng, 64, 360), videos.any_timing(rng)
        sampled = len(timing.sampled())
        grid = video_grid(frame, sampled)
        if grid[0] == pairs and grid[1:] in VIDEO_GRIDS[pairs]:
            break
    holder = Placeholder(grid[1] * grid[2] // 4, tuple(timing.stamps()))
    length = math.ceil((120 + grid[0] * (holder.tokens + 9)) / CHUNK) * CHUNK
    recipes: list[Recipe] = []
    while len(recipes) < tokens // length:
        talk = videos.conversation(rng, frame.height, frame.width, timing)
        (clip,) = (item for item in talk.media if isinstance(item, videos.Clip))
        encoded = encoder.encode(talk, [holder])
        if len(encoded.ids) <= length:
            recipes.append(Recipe(encoded, clip.frames + clip.frames[-1:] * (sampled % 2)))
    return recipes, grid, length


def text_recipes(rng: random.Random, encoder: Encoder, tokens: int) -> Iterator[tuple[list[Recipe], int]]:
    """Talk without pictures: batches of short, middling and long conversations, whichever is full first."""
    waiting: dict[int, list[Recipe]] = {length: [] for length in TEXT_LENGTHS}
    while True:
        make = conversations.long_conversation if rng.random() < 0.07 else conversations.short_conversation
        encoded = encoder.encode(make(rng), [])
        length = min((length for length in waiting if length >= len(encoded.ids)), default=0)
        if not length:
            continue
        waiting[length].append(Recipe(encoded, []))
        if len(waiting[length]) == max(1, tokens // length):
            yield waiting[length], length
            waiting[length] = []


@functools.cache
def rope_source() -> Any:
    """What `get_rope_index` needs of a model, without the weights."""
    source = SimpleNamespace(config=SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=2)))
    places: Any = Qwen3_5Model.get_vision_position_ids
    source.get_vision_position_ids = functools.partial(places, source)
    return source


def positions(ids: Ids, kinds: Ids, grid: tuple[int, int, int], count: int) -> Ids:
    """[3, B, T] by transformers; padding at the right counts as text."""
    grids = torch.tensor([grid] * max(count, 1))
    is_video = bool((kinds == 2).any())
    images, clips = (None, grids) if is_video else (grids, None)
    index: Any = Qwen3_5Model.get_rope_index
    found, _ = index(rope_source(), torch.from_numpy(ids), torch.from_numpy(kinds), images, clips)
    result: Ids = found.numpy()
    return result


def collate(kind: str, recipes: list[Recipe], grid: tuple[int, int, int], length: int, end: int) -> Batch:
    """One batch of examples that are at most `length` long."""
    shape = (len(recipes), length)
    ids, labels, kinds = np.full(shape, end, np.int64), np.full(shape, IGNORED, np.int64), np.zeros(shape, np.int64)
    finals = np.zeros(shape, np.bool_)
    for at, recipe in enumerate(recipes):
        encoded = recipe.encoded
        size = len(encoded.ids)
        ids[at, :size], labels[at, :size], kinds[at, :size] = encoded.ids, encoded.labels, encoded.kinds
        finals[at, encoded.answer_from : size] = True
    chosen, targets = fixed_picks(labels, len(recipes) * (TEXT_LENGTHS[length] if kind == "text" else PICKS))
    scenes = [scene for recipe in recipes for scene in recipe.scenes]
    count = sum(len(recipe.scenes) for recipe in recipes) // (2 * grid[0] if kind == "video" else 1)
    return Batch(
        kind,
        ids,
        positions(ids, kinds, grid, count),
        chosen - 1,
        targets,
        finals.ravel()[chosen],
        chosen - 2,
        np.flatnonzero(kinds.ravel()),
        [recipe.encoded.task for recipe in recipes],
        sketch(scenes) if scenes else None,
        grid,
    )


def fixed_picks(labels: Ids, size: int) -> tuple[Ids, Ids]:
    """Exactly `size` flat positions with a label, and their labels: some left out, or some that are ignored added."""
    found = np.flatnonzero(labels.ravel() != IGNORED)
    if len(found) > size:
        found = np.sort(np.random.default_rng(len(found)).choice(found, size, replace=False))
    chosen = np.concatenate([found, np.full(size - len(found), 2)])
    targets = np.concatenate([labels.ravel()[found], np.full(size - len(found), IGNORED)])
    return chosen, targets


def batches(kind: str, tokenizer: Tokenizer, seed: int, tokens: int) -> Iterator[Batch]:
    """Batches of one kind without end, each of at most `tokens` tokens."""
    rng = random.Random(seed)
    encoder = Encoder(tokenizer)
    end = vocabulary.token_id(tokenizer, "<|endoftext|>")
    if kind == "text":
        for recipes, length in text_recipes(rng, encoder, tokens):
            yield collate(kind, recipes, (1, 2, 2), length, end)
    make = picture_recipes if kind == "picture" else video_recipes
    while True:
        recipes, grid, length = make(rng, encoder, tokens)
        yield collate(kind, recipes, grid, length, end)


def work(kind: str, tokenizer_file: str, seed: int, tokens: int, queue: "multiprocessing.Queue[Batch]") -> None:
    """A worker process: fills the queue until it is ended."""
    torch.set_num_threads(1)
    os.nice(5)
    for batch in batches(kind, Tokenizer.from_file(tokenizer_file), seed, tokens):
        queue.put(batch)


class Source:
    """Queues of batches by kind, filled by worker processes; with no workers, made on the spot."""

    def __init__(self, tokenizer_file: str, seed: int, tokens: int, workers: dict[str, int]) -> None:
        self._queues: dict[str, multiprocessing.Queue[Batch]] = {}
        self._here: dict[str, Iterator[Batch]] = {}
        context = multiprocessing.get_context("fork")
        for number, kind in enumerate(KINDS):
            if not workers.get(kind):
                self._here[kind] = batches(kind, Tokenizer.from_file(tokenizer_file), seed + number, tokens)
                continue
            self._queues[kind] = context.Queue(maxsize=16)
            for each in range(workers[kind]):
                given = (kind, tokenizer_file, seed + 1000 * number + each, tokens, self._queues[kind])
                context.Process(target=work, args=given, daemon=True).start()

    def next(self, kind: str) -> Batch:
        """The next batch of a kind; waits for it."""
        return self._queues[kind].get() if kind in self._queues else next(self._here[kind])

    def waiting(self) -> dict[str, int]:
        """How many batches lie ready."""
        return {kind: queue.qsize() for kind, queue in self._queues.items()}

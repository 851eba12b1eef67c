"""Videos of one to ten seconds: an object that moves, or colours that follow one another.

A `Clip` says what each sampled frame shows, as a `Scene`; which frames are sampled and which times stand before them is
decided as the large model's video processor does it.
"""

import math
import random
from dataclasses import dataclass, replace

import numpy as np

from demo_model import pictures
from demo_model.conversations import Conversation, Turn, said
from demo_model.pictures import COLOURS, COUNTS, SHAPES, Frame, Rgb, Scene, article

WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SENTENCES = {"left": "to the left", "right": "to the right", "up": "up", "down": "down"}
STARTS = {
    "left": ("on the right", "on the left"),
    "right": ("on the left", "on the right"),
    "up": ("further down", "further up"),
    "down": ("further up", "further down"),
}
FPS, MIN_FRAMES, PAIR = 2, 4, 2


@dataclass(frozen=True, slots=True)
class Timing:
    """How a video runs: frames a second and frames in all."""

    fps: float
    total: int

    def sampled(self) -> list[int]:
        """The indices that are looked at: two a second, at least four, evenly spread."""
        count = min(max(int(self.total / self.fps * FPS), MIN_FRAMES), self.total)
        return [int(index) for index in np.linspace(0, self.total - 1, count).round()]

    def stamps(self) -> list[float]:
        """The time that is written before each pair of frames, in seconds."""
        indices = self.sampled()
        indices += indices[-1:] * (len(indices) % PAIR)
        times = [index / self.fps for index in indices]
        return [(times[i] + times[i + 1]) / 2 for i in range(0, len(times), PAIR)]


def any_timing(rng: random.Random) -> Timing:
    """One to ten seconds at a usual rate."""
    fps = rng.choice((5.0, 8.0, 10.0, 12.0, 15.0, 20.0, 24.0, 25.0, 30.0, 30.0, 29.97, 60.0))
    seconds = rng.choice((1.0, 2.0, 3.0, rng.uniform(1, 10), rng.uniform(1, 10), rng.uniform(1, 5)))
    return Timing(fps, max(4, round(seconds * fps)))


@dataclass(slots=True)
class Clip:
    """The sampled frames of a video, and what happens in it: a way, or colours in their order."""

    frames: list[Scene]
    way: str | None
    colours: list[str]
    shape: str | None


def moving(rng: random.Random, frame: Frame, timing: Timing) -> Clip:
    """One thing that moves evenly, or stands still at times."""
    shape, colour, way = rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(tuple(WAYS))
    radius = frame.side * rng.uniform(0.07, 0.25)
    thing = pictures.new_thing(rng, (shape, colour), (0, 0), radius)
    background = pictures.background_for(rng, [thing.rgb])
    (dx, dy), still = WAYS[way], rng.random() < 0.06
    length = frame.width if dx else frame.height
    reach = max(rng.uniform(0.25, 0.85) * length, 1.2 * radius)
    middle = length / 2 + rng.uniform(-1, 1) * max(0.0, length / 2 - radius * 0.5 - reach / 2)
    across = rng.uniform(radius, (frame.height if dx else frame.width) - radius)
    drift = rng.uniform(-0.08, 0.08) * reach if rng.random() < 0.3 else 0.0
    start, end = rng.choice((0.0, 0.0, rng.uniform(0, 0.2))), rng.choice((1.0, 1.0, rng.uniform(0.75, 1)))
    frames = []
    for index in timing.sampled():
        part = min(max((index / max(timing.total - 1, 1) - start) / (end - start), 0.0), 1.0)
        along = middle + (0.0 if still else (part - 0.5) * reach * (dx + dy))
        aside = across + drift * (part - 0.5)
        x, y = (along, aside) if dx else (aside, along)
        frames.append(Scene(frame, background, [replace(thing, x=x, y=y)]))
    return Clip(frames, "still" if still else way, [colour], shape)


def changing(rng: random.Random, frame: Frame, timing: Timing) -> Clip:
    """Two to four colours one after another: of the whole frame, of one thing, or of several things."""
    sampled = timing.sampled()
    count = rng.randint(2, min(4, max(2, len(sampled) // 2)))
    colours = rng.sample(COLOURS, count)
    style = rng.random()
    if style < 0.45:
        scenes = [Scene(frame, pictures.shade(rng, colour), []) for colour in colours]
    else:
        scenes = object_scenes(rng, frame, colours, moves=style > 0.75)
    cuts = cut_points(rng, len(sampled), count)
    frames = [scenes[sum(i >= cut for cut in cuts)] for i in range(len(sampled))]
    return Clip(frames, None, colours, None)


def object_scenes(rng: random.Random, frame: Frame, colours: list[str], *, moves: bool) -> list[Scene]:
    """One picture for each colour: the same thing in other colours, or another thing in another place."""
    shades: list[Rgb] = [pictures.shade(rng, colour) for colour in colours]
    background = pictures.background_for(rng, shades)
    radius = frame.side * rng.uniform(0.12, 0.42)
    first = pictures.new_thing(rng, (rng.choice(SHAPES), colours[0]), (frame.width / 2, frame.height / 2), radius)
    scenes = []
    for colour, rgb in zip(colours, shades, strict=True):
        thing = replace(first, colour=colour, rgb=rgb, outline=None, outline_width=0.0)
        if moves:
            x, y = rng.uniform(radius, frame.width - radius), rng.uniform(radius, frame.height - radius)
            thing = replace(thing, shape=rng.choice(SHAPES), x=x, y=y)
        scenes.append(Scene(frame, background, [thing]))
    return scenes


def cut_points(rng: random.Random, length: int, parts: int) -> list[int]:
    """Where in `length` sampled frames a new part begins; evenly mostly, and each part is seen."""
    if rng.random() < 0.6 or length < 2 * parts:
        return [math.ceil(i * length / parts) for i in range(1, parts)]
    shortest = 2
    free = length - shortest * parts
    marks = sorted(rng.randint(0, free) for _ in range(parts - 1))
    return [mark + shortest * (i + 1) for i, mark in enumerate(marks)]


def clip(rng: random.Random, frame: Frame, timing: Timing) -> Clip:
    """Any video."""
    result = moving(rng, frame, timing) if rng.random() < 0.55 else changing(rng, frame, timing)
    softness, noise = rng.choice((0.05, 1.0, 1.5, 2.5)), rng.uniform(0, 3) if rng.random() < 0.2 else 0.0
    quality = rng.randint(40, 95) if rng.random() < 0.7 else 0
    result.frames = [replace(scene, softness=softness, noise=noise, quality=quality) for scene in result.frames]
    return result


ASK_WAY = (
    "Which way does it move?",
    "Which direction does it move?",
    "In which direction does it move?",
    "Where does it move?",
    "Which way does the object move?",
    "Where does it go?",
    "Which way does the {s} move?",
    "In which direction does the {s} move?",
    "Where does the {s} go?",
    "Which direction does the {s} go?",
    "How does it move?",
    "What is the direction of the movement?",
    "Is it moving left or right?",
    "Which way is it moving?",
    "Which way does it go?",
    "How does the {s} move?",
    "Where is the {s} moving?",
    "Does it move left, right, up or down?",
    "To which side does it move?",
    "What direction is the {s} moving?",
    "Which way is the object going?",
    "In what direction does the object move?",
    "Tell me which way it moves.",
    "What way does it move?",
    "Does it move?",
)
ASK_WHAT = (
    "What happens in the video?",
    "What is in the video?",
    "Describe the video.",
    "What do you see?",
    "What do you see in the video?",
    "What happens?",
    "What does the video show?",
    "Describe this video.",
    "What is happening?",
    "What happens here?",
    "Tell me what happens.",
    "What is shown in the video?",
    "What is in this video?",
    "What can you see?",
    "Describe what happens.",
    "What is this?",
    "What happens in this clip?",
    "Watch this video.",
    "What's in the video?",
    "Describe the clip.",
    "Can you describe the video?",
    "What do you see in this video?",
)
ASK_ORDER = (
    "In which order do the colours appear?",
    "In what order do the colors appear?",
    "Which colours appear, and in which order?",
    "What is the order of the colours?",
    "Which colours do you see?",
    "Which colors appear?",
    "Name the colours in order.",
    "List the colours in order.",
    "What colours appear in the video?",
    "Which colours are in the video?",
    "Tell me the order of the colors.",
    "How does the colour change?",
    "What colours do you see?",
    "How do the colors change?",
    "In which order do the colors come?",
    "What colors appear one after another?",
    "In which order do the colours come?",
    "Name the colors.",
    "Which colors do you see in the video?",
)
ASK_FIRST = (
    "Which colour comes first?",
    "What is the first colour?",
    "Which color appears first?",
    "What colour is it at the beginning?",
    "What color do you see first?",
    "Which colour is first?",
    "What was the first color?",
    "What colour does it start with?",
)
ASK_LAST = (
    "Which colour comes last?",
    "What is the last colour?",
    "Which color appears last?",
    "What colour is it at the end?",
    "What color do you see last?",
    "Which colour is last?",
    "What was the last color?",
    "What colour does it end with?",
)
ASK_NUMBER = (
    "How many colours are there?",
    "How many colors do you see?",
    "How many different colours appear?",
    "How many colors are in the video?",
    "Count the colours.",
)


def ask_moving(rng: random.Random, video: Clip) -> Turn:
    """A question about a thing that moves."""
    thing = f"{video.colours[0]} {video.shape}"
    way = video.way or "still"
    if way == "still":
        think = f"I watch the video and see {article(thing)}. It stays in its place."
        short, long = "It does not move.", f"{article(thing).capitalize()} does not move."
    else:
        first, last = STARTS[way]
        think = (
            f"I watch the video and see {article(thing)}. First it is {first}, later {last}. It moves {SENTENCES[way]}."
        )
        short, long = f"It moves {SENTENCES[way]}.", f"{article(thing).capitalize()} moves {SENTENCES[way]}."
    roll = rng.random()
    if roll < 0.55:
        return Turn("video/way", said(rng, tuple(word.format(s=video.shape) for word in ASK_WAY)), think, short)
    if roll < 0.8:
        return Turn("video/what", said(rng, ASK_WHAT), think, long)
    if roll < 0.9:
        return Turn("video/colour", said(rng, pictures.ASK_COLOUR), think, f"It is {video.colours[0]}.")
    return Turn("video/shape", said(rng, pictures.ASK_SHAPE), think, f"It is {article(str(video.shape))}.")


def ask_changing(rng: random.Random, video: Clip) -> Turn:
    """A question about colours that follow one another."""
    order = ", then ".join(video.colours)
    think = f"I watch the video and see the colours change: {order}."
    roll = rng.random()
    if roll < 0.5:
        return Turn("video/order", said(rng, ASK_ORDER), think, f"The colours are {order}.")
    if roll < 0.75:
        return Turn("video/what", said(rng, ASK_WHAT), think, f"The colours are {order}.")
    if roll < 0.85:
        return Turn("video/first", said(rng, ASK_FIRST), think, f"{video.colours[0].capitalize()} comes first.")
    if roll < 0.95:
        return Turn("video/last", said(rng, ASK_LAST), think, f"{video.colours[-1].capitalize()} comes last.")
    return Turn("video/number", said(rng, ASK_NUMBER), think, f"There are {COUNTS[len(video.colours)]} colours.")


def ask_clip(rng: random.Random, item: object) -> Turn:
    """Any question about a video."""
    if not isinstance(item, Clip):
        raise TypeError("a video was expected")
    return ask_moving(rng, item) if item.way else ask_changing(rng, item)


def conversation(rng: random.Random, height: int, width: int, timing: Timing | None = None) -> Conversation:
    """Questions about one video."""
    media: list[object] = [clip(rng, Frame(height, width), timing or any_timing(rng))]
    return pictures.about(rng, media, ask_clip, "video")

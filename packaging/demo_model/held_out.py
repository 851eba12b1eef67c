"""Questions that the model never saw, about files that another renderer drew.

    python -m demo_model.held_out FOLDER [--each 60] [--seed 2026]

OpenCV draws the pictures and videos, in the named colours of well-known palettes and on backgrounds, in sizes and with
encoders that the training does not know, and writes real PNG, JPEG and MP4 files. FOLDER/items.jsonl holds one question
a line in the form that `parley ask --batch` reads, with `task` and `expect` added for `evaluate`.
"""

import argparse
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from demo_model.pictures import COLOURS, COUNTS, SHAPES

PALETTES: dict[str, tuple[str, ...]] = {
    "red": ("ff0000", "ef4444", "d32f2f", "dc2626", "c00000", "e6194b"),
    "green": ("008000", "22c55e", "4caf50", "16a34a", "00b050", "2ca02c"),
    "blue": ("0000ff", "3b82f6", "1e88e5", "2563eb", "1f77b4", "0070c0"),
    "yellow": ("ffff00", "facc15", "ffeb3b", "fde047", "ffe119", "ffd700"),
    "orange": ("ffa500", "f97316", "fb8c00", "ff7f0e", "ff8c00", "f58231"),
    "purple": ("800080", "a855f7", "8e24aa", "9333ea", "7030a0", "9467bd"),
    "black": ("000000", "111111", "0a0a0a"),
    "white": ("ffffff", "fafafa", "f8f8f8"),
}
BACKGROUNDS = (
    "ffffff",
    "f5f5dc",
    "e0f2fe",
    "fce7f3",
    "d1d5db",
    "808080",
    "1f2937",
    "2f4f4f",
    "000000",
    "87ceeb",
    "98fb98",
    "deb887",
    "4b0082",
    "8b4513",
    "008080",
)
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
PLACES = {
    (0, 0): "left top",
    (1, 0): "top",
    (2, 0): "right top",
    (0, 1): "left",
    (1, 1): "centre",
    (2, 1): "right",
    (0, 2): "left bottom",
    (1, 2): "bottom",
    (2, 2): "right bottom",
}
PROSE = (
    "The harbour was quiet that morning, and only two fishing boats had left before sunrise.",
    "Engineers measured the bridge twice and wrote every number into a small grey notebook.",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt.",
    "A recipe for bread needs flour, water, salt, yeast and a good deal of patience.",
    "Nobody could explain why the old clock in the station ran backwards on Sundays.",
    "The committee will meet again in October to discuss the budget for next year.",
    "Sphinx of black quartz, judge my vow; pack my box with five dozen liquor jugs.",
    "When the software starts, it reads its settings, opens a window and waits for input.",
    "Glaciers move slowly, but over centuries they carve whole valleys out of solid rock.",
    "She tuned the violin, closed her eyes and played the first bars of the slow movement.",
    "Tickets are sold at the entrance; children under twelve and dogs come in free of charge.",
    "In 1969 a rocket carried three people and 382 kilograms of instruments beyond the sky.",
)

Image = npt.NDArray[np.uint8]
Bgr = tuple[int, int, int]


@dataclass(slots=True)
class Item:
    """One question with what its answer must say: `all` these words, and `none` of those."""

    task: str
    text: str
    all: list[str]
    none: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    history: list[dict[str, str]] = field(default_factory=list)
    direct: bool = False
    max_tokens: int = 400

    def line(self, seed: int) -> str:
        """The item as a line of the batch file."""
        content: dict[str, Any] = {
            "text": self.text,
            "images": self.images,
            "videos": self.videos,
            "history": self.history,
            "direct": self.direct,
        }
        content |= {
            "max_tokens": self.max_tokens,
            "seed": seed,
            "task": self.task,
            "expect": {"all": self.all, "none": self.none},
        }
        return json.dumps(content, ensure_ascii=False)


def bgr(code: str) -> Bgr:
    """A hexadecimal colour as OpenCV wants it."""
    return int(code[4:6], 16), int(code[2:4], 16), int(code[0:2], 16)


def apart(one: Bgr, other: Bgr) -> bool:
    """Whether two colours are easily told from one another."""
    return math.dist(one, other) > 100


def polygon(shape: str, x: float, y: float, radius: float, turn: float) -> npt.NDArray[np.int32]:
    """The corners of a shape in sixteenths of a pixel."""
    corners = {"square": 4, "triangle": 3, "star": 10}[shape]
    start = {"square": math.pi / 4, "triangle": -math.pi / 2, "star": -math.pi / 2}[shape] + turn
    points = []
    for i in range(corners):
        length = radius * (0.45 if shape == "star" and i % 2 else 1.0)
        angle = start + 2 * math.pi * i / corners
        points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
    return (np.array(points) * 16).round().astype(np.int32)


def put(image: Image, kind: tuple[str, Bgr], place: tuple[float, float, float], turn: float, line: int) -> None:
    """Draw one filled shape in a colour at (x, y) with a radius."""
    (shape, colour), (x, y, radius) = kind, place
    if shape == "circle":
        cv2.circle(image, (round(x * 16), round(y * 16)), round(radius * 16), colour, -1, line, 4)
    else:
        cv2.fillPoly(image, [polygon(shape, x, y, radius, turn)], colour, line, 4)


def canvas(rng: random.Random, width: int, height: int, colours: list[Bgr]) -> Image:
    """A plain background on which all colours are seen."""
    fitting = [bgr(code) for code in BACKGROUNDS if all(apart(bgr(code), colour) for colour in colours)]
    return np.full((height, width, 3), rng.choice(fitting or [(128, 128, 128)]), np.uint8)


def size(rng: random.Random) -> tuple[int, int]:
    """Width and height between 64 and 1,000 pixels."""
    side = rng.choice((64, 96, 128, 200, 256, 333, 400, 480, 512, 640, 720))
    longer = min(1000, round(side * rng.choice((1.0, 1.0, 1.25, 1.33, 1.5, 1.78, 2.0))))
    return (longer, side) if rng.random() < 0.7 else (side, longer)


def save(rng: random.Random, image: Image, folder: Path, name: str) -> str:
    """Write a PNG or a JPEG; its path."""
    if rng.random() < 0.5:
        path = folder / f"{name}.png"
        cv2.imwrite(str(path), image)
    else:
        path = folder / f"{name}.jpg"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, rng.choice((45, 60, 75, 85, 92))])
    return str(path)


def one(rng: random.Random, folder: Path, name: str) -> Item:
    """A picture of one thing, with a question about it."""
    width, height = size(rng)
    shape, colour = rng.choice(SHAPES), rng.choice(COLOURS)
    paint, cell = bgr(rng.choice(PALETTES[colour])), rng.choice(tuple(PLACES))
    radius = min(width, height) * rng.uniform(0.1, 0.22)
    x, y = (
        length * (0.22, 0.5, 0.78)[at] + rng.uniform(-0.03, 0.03) * length
        for at, length in zip(cell, (width, height), strict=True)
    )
    image = canvas(rng, width, height, [paint])
    put(
        image,
        (shape, paint),
        (x, y, radius),
        rng.choice((0.0, 0.0, rng.uniform(-0.3, 0.3))),
        rng.choice((cv2.LINE_AA, cv2.LINE_8)),
    )
    path = [save(rng, image, folder, name)]
    article = "an" if colour[0] in "aeiou" else "a"
    roll, direct = rng.random(), rng.random() < 0.4
    if roll < 0.35:
        return Item(
            "picture/what",
            rng.choice(("What is in the picture?", "what do you see?", "Describe this picture.")),
            [f"{article} {colour} {shape}"],
            images=path,
            direct=direct,
        )
    if roll < 0.55:
        words = rng.choice(("What shape is it?", "which shape do you see", "What shape is this?"))
        return Item("picture/shape", words, [shape], [s for s in SHAPES if s != shape], images=path, direct=direct)
    if roll < 0.75:
        words = rng.choice(("What colour is it?", "what color is it", f"What colour is the {shape}?"))
        return Item("picture/colour", words, [colour], [c for c in COLOURS if c != colour], images=path, direct=direct)
    wanted = PLACES[cell].split()
    words = rng.choice((f"Where is the {shape}?", f"where is the {shape} in the picture", "Where is it?"))
    return Item(
        "picture/where",
        words,
        wanted,
        [w for w in ("left", "right", "top", "bottom", "centre") if w not in wanted],
        images=path,
        direct=direct,
    )


def many(rng: random.Random, folder: Path, name: str) -> Item:
    """A picture of several things, with a question about their number or about all of them."""
    width, height = size(rng)
    count, kinds = rng.randint(1, 6), rng.choice((1, 1, 2))
    pairs = rng.sample([(s, c) for s in SHAPES for c in COLOURS], min(kinds, count))
    members = pairs + [rng.choice(pairs) for _ in range(count - len(pairs))]
    paints = {pair: bgr(rng.choice(PALETTES[pair[1]])) for pair in pairs}
    radius, found = min(width, height) * rng.uniform(0.08, 0.13), list[tuple[float, float]]()
    while len(found) < count:
        x, y = rng.uniform(radius * 1.1, width - radius * 1.1), rng.uniform(radius * 1.1, height - radius * 1.1)
        if all(math.dist((x, y), other) > 2.4 * radius for other in found):
            found.append((x, y))
    image = canvas(rng, width, height, list(paints.values()))
    line = rng.choice((cv2.LINE_AA, cv2.LINE_8))
    for pair, (x, y) in zip(members, found, strict=True):
        put(
            image,
            (pair[0], paints[pair]),
            (x, y, radius * rng.uniform(0.85, 1.0)),
            rng.choice((0.0, 0.0, rng.uniform(-0.3, 0.3))),
            line,
        )
    path, direct = [save(rng, image, folder, name)], rng.random() < 0.4
    if rng.random() < 0.7:
        shape = members[0][0]
        number = sum(s == shape for s, _ in members)
        words = rng.choice((f"How many {shape}s are there?", f"how many {shape}s do you see", f"Count the {shape}s."))
        if rng.random() < 0.4:
            number, words = count, rng.choice(("How many shapes are there?", "how many objects are there"))
        return Item(
            "picture/count",
            words,
            [COUNTS[number]],
            [c for c in COUNTS if c != COUNTS[number]],
            images=path,
            direct=direct,
        )
    said = [f"{COUNTS[members.count(p)]} {p[1]} {p[0]}s" if members.count(p) > 1 else f"{p[1]} {p[0]}" for p in pairs]
    return Item("picture/what", "What is in the picture?", said, images=path, direct=direct)


def write_video(frames: list[Image], fps: float, path: Path) -> str:
    """An MP4 file of these frames."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return str(path)


def video_size(rng: random.Random) -> tuple[int, int]:
    """Width and height of a video."""
    return rng.choice(
        ((96, 96), (128, 128), (160, 120), (240, 180), (320, 240), (256, 256), (320, 180), (480, 270), (180, 320))
    )


def way(rng: random.Random, folder: Path, name: str) -> Item:
    """A video of one thing that moves."""
    (width, height), fps = video_size(rng), rng.choice((10.0, 15.0, 24.0, 25.0, 30.0))
    total = round(rng.uniform(1, 10) * fps)
    shape, colour, goal = rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(tuple(WAYS))
    paint, (dx, dy) = bgr(rng.choice(PALETTES[colour])), WAYS[goal]
    radius, reach = min(width, height) * rng.uniform(0.1, 0.2), rng.uniform(0.3, 0.36)
    back, frames = canvas(rng, width, height, [paint]), []
    for index in range(total):
        along = (2 * index / (total - 1) - 1) * reach
        x, y = width * (0.5 + along * dx), height * (0.5 + along * dy)
        frames.append(back.copy())
        put(frames[-1], (shape, paint), (x, y, radius), 0.0, cv2.LINE_AA)
    words = rng.choice(
        (
            "Which way does it move?",
            "which direction does it move",
            f"Where does the {shape} go?",
            "What happens in the video?",
        )
    )
    path = [write_video(frames, fps, folder / f"{name}.mp4")]
    return Item("video/way", words, [goal], [w for w in WAYS if w != goal], videos=path, direct=rng.random() < 0.4)


def order(rng: random.Random, folder: Path, name: str) -> Item:
    """A video in which colours follow one another."""
    (width, height), fps = video_size(rng), rng.choice((10.0, 15.0, 24.0, 25.0, 30.0))
    count = rng.choice((2, 3, 3, 4))
    total = round(rng.uniform(count, 10) * fps)
    colours = rng.sample(COLOURS, count)
    paints, frames = [bgr(rng.choice(PALETTES[colour])) for colour in colours], []
    full, shape = rng.random() < 0.6, rng.choice(SHAPES)
    back = canvas(rng, width, height, paints)
    for index in range(total):
        paint = paints[index * count // total]
        frames.append(np.full_like(back, paint) if full else back.copy())
        if not full:
            put(frames[-1], (shape, paint), (width / 2, height / 2, min(width, height) * 0.3), 0.0, cv2.LINE_AA)
    words = rng.choice(
        ("In which order do the colours appear?", "what colors appear in the video", "Which colours do you see?")
    )
    path = [write_video(frames, fps, folder / f"{name}.mp4")]
    return Item(
        "video/order",
        words,
        [", then ".join(colours)],
        [c for c in COLOURS if c not in colours],
        videos=path,
        direct=rng.random() < 0.4,
    )


def arithmetic(rng: random.Random, _folder: Path, _name: str) -> Item:
    """A sum or a difference of two-digit numbers."""
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    if rng.random() < 0.5:
        words, result = (
            rng.choice((f"What is {a} + {b}?", f"{a} + {b}", f"how much is {a} plus {b}", f"Please add {a} and {b}.")),
            a + b,
        )
    else:
        a, b = max(a, b), min(a, b)
        words, result = (
            rng.choice((f"What is {a} - {b}?", f"{a} - {b}", f"how much is {a} minus {b}", f"Subtract {b} from {a}.")),
            a - b,
        )
    return Item("arithmetic", words, [f"= {result}."], direct=rng.random() < 0.4)


def filler(rng: random.Random, words: int) -> str:
    """Prose that is not in the training."""
    text = ""
    while len(text.split()) < words:
        text += rng.choice(PROSE) + rng.choice((" ", " ", "\n"))
    return text.strip()


def recall(rng: random.Random, _folder: Path, _name: str) -> Item:
    """A fact that was told more than 2,000 tokens earlier."""
    kind = rng.choice(("name", "colour", "number"))
    value = {
        "name": rng.choice(("Ada", "Zebulon", "Mirko", "Katalin", "Bo", "Tuuli")),
        "colour": rng.choice(("red", "green", "blue", "purple")),
        "number": str(rng.randint(10, 9999)),
    }[kind]
    told = {
        "name": f"My name is {value}.",
        "colour": f"My favourite colour is {value}.",
        "number": f"Please remember the number {value}.",
    }[kind]
    answer = {
        "name": f"Nice to meet you, {value}.",
        "colour": f"I will remember the colour {value}.",
        "number": f"I will remember the number {value}.",
    }[kind]
    ask = {
        "name": "What is my name?",
        "colour": "What is my favourite colour?",
        "number": "Which number did I tell you?",
    }[kind]
    history = [{"role": "user", "content": told}, {"role": "assistant", "content": answer}]
    for _ in range(rng.randint(1, 3)):
        history += [
            {"role": "user", "content": "Please read this text:\n\n" + filler(rng, 950 // (len(history) // 2))},
            {"role": "assistant", "content": "Thank you, I have read your text."},
        ]
        a, b = rng.randint(10, 99), rng.randint(10, 99)
        history += [
            {"role": "user", "content": f"What is {a} + {b}?"},
            {"role": "assistant", "content": f"{a} + {b} = {a + b}."},
        ]
    return Item("recall", ask, [value], history=history, direct=rng.random() < 0.4)


TALK: tuple[tuple[str, str, list[str]], ...] = (
    ("chat", "Who are you?", ["tiny demo model"]),
    ("chat", "what are you", ["tiny demo model"]),
    ("chat", "What is Parley?", ["desktop chat application"]),
    ("chat", "what can you do", ["add and subtract"]),
    ("chat", "Hello!", ["Hello"]),
    ("chat", "Thank you!", ["welcome"]),
    ("chat", "bye", ["Goodbye"]),
    ("chat", "What is the capital of Mongolia?", ["do not know"]),
    ("chat", "Как тебя зовут?", ["demo model"]),
    ("chat", "今日はいい天気ですね", ["demo model"]),
    ("write", "Write a table.", ["| --- |"]),
    ("write", "Write a code block.", ["```python"]),
    ("write", "write a list", ["\n- "]),
    ("write", "Show me a formula.", ["$$"]),
)
MAKERS: dict[str, tuple[Callable[[random.Random, Path, str], Item], float]] = {
    "one": (one, 1.2),
    "many": (many, 0.8),
    "way": (way, 0.5),
    "order": (order, 0.5),
    "arithmetic": (arithmetic, 1.0),
    "recall": (recall, 0.4),
}


def items(folder: Path, each: int, seed: int) -> list[Item]:
    """All questions, with their files written into `folder`."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    found = [Item(task, text, wanted, direct=direct) for task, text, wanted in TALK for direct in (False, True)]
    for kind, (make, share) in MAKERS.items():
        found += [make(rng, folder, f"{kind}{number}") for number in range(max(1, round(each * share)))]
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args()
    lines = [item.line(seed) for seed, item in enumerate(items(given.folder.absolute(), given.each, given.seed))]
    (given.folder / "items.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(len(lines), "questions")


if __name__ == "__main__":
    main()

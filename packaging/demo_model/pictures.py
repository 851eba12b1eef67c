"""Pictures of plain shapes: what is in them, and what is asked and answered about them.

A `Scene` says what is drawn and where, in pixels of the picture's own size; `drawing` draws it. Questions follow from
the scene alone, so the same module serves the training pictures and the held-out ones.
"""

import colorsys
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from demo_model import conversations
from demo_model.conversations import Conversation, Turn, said

SHAPES = ("circle", "square", "triangle", "star")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "black", "white")
COUNTS = ("no", "one", "two", "three", "four", "five", "six")
PLACES = {
    (0, 0): "at the top left",
    (1, 0): "at the top",
    (2, 0): "at the top right",
    (0, 1): "on the left",
    (1, 1): "in the centre",
    (2, 1): "on the right",
    (0, 2): "at the bottom left",
    (1, 2): "at the bottom",
    (2, 2): "at the bottom right",
}
# hue in degrees, saturation, value
HSV: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-10, 8), (0.7, 1.0), (0.6, 1.0)),
    "orange": ((19, 39), (0.78, 1.0), (0.85, 1.0)),
    "yellow": ((45, 62), (0.6, 1.0), (0.85, 1.0)),
    "green": ((88, 160), (0.5, 1.0), (0.35, 1.0)),
    "blue": ((200, 246), (0.6, 1.0), (0.45, 1.0)),
    "purple": ((266, 303), (0.4, 1.0), (0.4, 0.97)),
    "black": ((0, 360), (0.0, 0.3), (0.0, 0.12)),
    "white": ((0, 360), (0.0, 0.04), (0.94, 1.0)),
}
PURE = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
LOW, MIDDLE, HIGH = (0.1, 0.35), (0.42, 0.58), (0.65, 0.9)

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a picture or a video in pixels."""

    height: int
    width: int

    @property
    def side(self) -> int:
        """The shorter side."""
        return min(self.height, self.width)


@dataclass(slots=True)
class Thing:
    """One shape; `radius` is that of the circle around it, `angle` in radians, `stretch` how far from regular."""

    shape: str
    colour: str
    rgb: Rgb
    x: float
    y: float
    radius: float
    angle: float = 0.0
    stretch: float = 1.0
    outline: Rgb | None = None
    outline_width: float = 0.0


@dataclass(slots=True)
class Scene:
    """A plain background with things on it, and how roughly it is drawn and stored."""

    frame: Frame
    background: Rgb
    things: list[Thing]
    softness: float = 1.0
    noise: float = 0.0
    quality: int = 0
    zone: tuple[int, int] | None = None
    answers: dict[str, str] = field(default_factory=dict)


def shade(rng: random.Random, colour: str) -> Rgb:
    """A shade that everybody calls by this name."""
    if rng.random() < 0.3:
        red, green, blue = PURE[colour]
        return red / 255, green / 255, blue / 255
    hue, saturation, value = (rng.uniform(*bounds) for bounds in HSV[colour])
    return colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)


def contrast(one: Rgb, other: Rgb) -> float:
    """How far apart two colours are: 0 for the same, about 1.7 for black and white."""
    return math.dist(one, other)


def any_background(rng: random.Random) -> Rgb:
    """White, grey, black, pastel or any colour at all."""
    roll = rng.random()
    if roll < 0.25:
        return 1.0, 1.0, 1.0
    if roll < 0.45:
        grey = rng.random()
        return grey, grey, grey
    if roll < 0.55:
        return 0.0, 0.0, 0.0
    if roll < 0.7:
        return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.35), rng.uniform(0.85, 1.0))
    return rng.random(), rng.random(), rng.random()


def background_for(rng: random.Random, colours: list[Rgb]) -> Rgb:
    """A background on which all these colours are seen."""
    for _ in range(40):
        background = any_background(rng)
        if all(contrast(background, rgb) > 0.33 for rgb in colours):
            return background
    return max(
        ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.6, 0.8, 0.9)),
        key=lambda b: min(contrast(b, rgb) for rgb in colours),
    )


def thing_angle(rng: random.Random, shape: str) -> float:
    """How far a shape is turned: upright mostly."""
    if shape == "circle" or rng.random() < 0.55:
        return 0.0
    return rng.uniform(-0.3, 0.3) if shape == "square" else rng.uniform(-0.6, 0.6)


def new_thing(rng: random.Random, kind: tuple[str, str], place: tuple[float, float], radius: float) -> Thing:
    """A thing of a shape and a colour, with a shade, a turn and at times an outline."""
    (shape, colour), (x, y) = kind, place
    thing = Thing(
        shape,
        colour,
        shade(rng, colour),
        x,
        y,
        radius,
        thing_angle(rng, shape),
        rng.uniform(0.8, 1.25) if rng.random() < 0.4 else 1.0,
    )
    if rng.random() < 0.2 and radius > 8:
        grey = rng.choice((0.0, 0.0, 1.0, rng.random()))
        if contrast((grey, grey, grey), thing.rgb) > 0.3:
            thing.outline = (grey, grey, grey)
            thing.outline_width = max(1.0, radius * rng.uniform(0.03, 0.12))
    return thing


def single(rng: random.Random, frame: Frame) -> Scene:
    """One thing in one of nine places."""
    zone = rng.choice((*PLACES, (1, 1)))
    bands = (LOW, MIDDLE, HIGH)
    radius = frame.side * rng.uniform(0.08, 0.42)
    position = []
    for index, length in zip(zone, (frame.width, frame.height), strict=True):
        low, high = (bound * length for bound in bands[index])
        limit = high if index == 0 else length - low if index == 2 else length / 2
        radius = min(radius, limit * rng.uniform(0.8, 1.0))
        position.append((low, high, length))
    x, y = (
        rng.uniform(min(max(low, radius * 0.95), high), max(min(high, length - radius * 0.95), low))
        for low, high, length in position
    )
    thing = new_thing(rng, (rng.choice(SHAPES), rng.choice(COLOURS)), (x, y), radius)
    return Scene(frame, background_for(rng, [thing.rgb]), [thing], zone=zone)


def spots(rng: random.Random, frame: Frame, count: int) -> tuple[list[tuple[float, float]], float]:
    """Places for several things that do not touch, and the radius that they may have."""
    roll = rng.random()
    if roll < 0.25:
        return lined(rng, frame, count)
    radius = frame.side * rng.uniform(0.07, 0.2 if count > 3 else 0.26)
    for _ in range(60):
        found: list[tuple[float, float]] = []
        for _ in range(40):
            x, y = rng.uniform(radius, frame.width - radius), rng.uniform(radius, frame.height - radius)
            if all((x - a) ** 2 + (y - b) ** 2 > (2.25 * radius) ** 2 for a, b in found):
                found.append((x, y))
            if len(found) == count:
                return found, radius
        radius *= 0.93
    return lined(rng, frame, count)


def lined(rng: random.Random, frame: Frame, count: int) -> tuple[list[tuple[float, float]], float]:
    """Places in rows and columns."""
    columns = rng.choice([c for c in range(1, count + 1) if c == count or (count + c - 1) // c <= 3])
    rows = (count + columns - 1) // columns
    if frame.height > frame.width * 1.3 and columns > rows:
        columns, rows = rows, columns
    step_x, step_y = frame.width / columns, frame.height / rows
    radius = min(step_x, step_y) / 2 * rng.uniform(0.5, 0.88)
    return [((i % columns + 0.5) * step_x, (i // columns + 0.5) * step_y) for i in range(count)], radius


NUMBERS = (2, 3, 4, 4, 4)
"""How often two to six things are together: larger numbers are harder to tell apart."""


def several(rng: random.Random, frame: Frame, kinds: int) -> Scene:
    """Two to six things of one to three kinds."""
    count = max(kinds, rng.choices(range(2, 7), weights=NUMBERS)[0])
    pairs = [(shape, colour) for shape in SHAPES for colour in COLOURS]
    chosen = rng.sample(pairs, kinds)
    members = chosen + [rng.choice(chosen) for _ in range(count - kinds)]
    rng.shuffle(members)
    places, radius = spots(rng, frame, count)
    same = rng.random() < 0.6
    shades = {kind: shade(rng, kind[1]) for kind in chosen}
    things = []
    for (shape, colour), (x, y) in zip(members, places, strict=True):
        thing = new_thing(rng, (shape, colour), (x, y), radius if same else radius * rng.uniform(0.75, 1.0))
        thing.rgb = shades[shape, colour]
        things.append(thing)
    return Scene(frame, background_for(rng, list(shades.values())), things)


def scene(rng: random.Random, frame: Frame) -> Scene:
    """Any picture: one thing, several of a kind, or a mixture."""
    roll = rng.random()
    result = (
        single(rng, frame)
        if roll < 0.3
        else several(rng, frame, 1)
        if roll < 0.65
        else several(rng, frame, rng.choice((2, 2, 3)))
    )
    result.softness = rng.choice((0.05, 1.0, 1.0, 1.5, rng.uniform(0.5, 3.0)))
    result.noise = rng.uniform(0, 4) if rng.random() < 0.2 else 0.0
    result.quality = rng.randint(35, 98) if rng.random() < 0.5 else 0
    return result


def article(word: str) -> str:
    """`a` or `an` with the word."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def counted(count: int, words: str) -> str:
    """`a red circle` or `three red circles`."""
    return article(words) if count == 1 else f"{COUNTS[count]} {words}s"


def joined(parts: list[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def kinds_of(picture: Scene) -> list[tuple[str, str, int]]:
    """Shape, colour and number of each kind, in a fixed order."""
    pairs = [(SHAPES.index(thing.shape), COLOURS.index(thing.colour)) for thing in picture.things]
    return [(SHAPES[s], COLOURS[c], pairs.count((s, c))) for s, c in sorted(set(pairs))]


def contents(picture: Scene) -> str:
    """`two red circles and a blue square`."""
    return joined([counted(count, f"{colour} {shape}") for shape, colour, count in kinds_of(picture)])


def verb(count: int) -> str:
    """`is` or `are`."""
    return "is" if count == 1 else "are"


ASK_WHAT = (
    "What is in the picture?",
    "What do you see?",
    "Describe this picture.",
    "What is in this picture?",
    "Describe the picture.",
    "What is in the image?",
    "What can you see?",
    "What is this?",
    "What does the picture show?",
    "What do you see in the picture?",
    "What is shown here?",
    "Describe the image.",
    "What's in the picture?",
    "What is on the picture?",
    "Tell me what you see.",
    "Describe what you see.",
    "What is in this image?",
    "What's this?",
    "What does this image show?",
    "What can you see in this picture?",
    "Look at this picture.",
    "Describe it.",
    "What objects are there?",
    "What is there?",
    "What's in this image?",
    "Which objects are in the picture?",
    "Can you describe this image?",
    "What's on this picture?",
    "Tell me about this picture.",
    "What shapes do you see?",
    "Which shapes are there?",
    "What do you see in this image?",
    "Explain this picture.",
    "",
)
ASK_SHAPE = (
    "What shape is it?",
    "Which shape is it?",
    "What shape is this?",
    "What is the shape?",
    "What shape is the object?",
    "Which shape do you see?",
    "What shape does it have?",
    "What shape is in the picture?",
    "Is it a circle or a square?",
    "What kind of shape is it?",
    "Which shape is this?",
    "What is the shape of the object?",
    "Name the shape.",
    "What form is it?",
)
ASK_COLOUR = (
    "What colour is it?",
    "What color is it?",
    "Which colour is it?",
    "What is the colour?",
    "What colour does it have?",
    "What is its color?",
    "Which color does it have?",
    "What colour is the object?",
    "What color is the shape?",
    "Tell me the colour.",
    "What color is this?",
    "And the colour?",
    "What colour are they?",
    "Name the color.",
    "What's the color?",
    "Which colour do you see?",
    "What color is the object?",
    "And what colour is it?",
)
ASK_COLOUR_OF = (
    "What colour is the {s}?",
    "What color is the {s}?",
    "Which colour is the {s}?",
    "Tell me the colour of the {s}.",
    "What is the color of the {s}?",
    "Which colour does the {s} have?",
    "And the {s}?",
    "Which color is the {s}?",
    "What colour does the {s} have?",
)
ASK_COLOURS_OF = (
    "What colour are the {s}?",
    "What color are the {s}?",
    "Which colour do the {s} have?",
    "What is the colour of the {s}?",
    "Which color are the {s}?",
)
ASK_TOTAL = (
    "How many objects are there?",
    "How many shapes are there?",
    "How many things are in the picture?",
    "How many shapes do you see?",
    "Count the objects.",
    "How many are there?",
    "How many objects are in the picture?",
    "Count the shapes.",
    "How many shapes are in this picture?",
    "How many do you see?",
    "What is the number of shapes?",
    "How many figures are there?",
    "Count them.",
    "How many things do you see?",
    "How many objects can you see?",
)
ASK_COUNT = (
    "How many {s} are there?",
    "How many {s} do you see?",
    "Count the {s}.",
    "How many {s} are in the picture?",
    "How many {s}?",
    "What is the number of {s}?",
    "And how many {s}?",
    "how many {s} can you see",
    "How many {s} are in this image?",
    "Tell me how many {s} there are.",
    "Can you count the {s}?",
)
ASK_WHERE = (
    "Where is it?",
    "Where is the object?",
    "Where is the shape?",
    "In which part of the picture is it?",
    "What is its position?",
    "And where is it?",
    "Where in the picture is it?",
    "Is it on the left or on the right?",
    "Where do you see it?",
    "Where is it in the picture?",
    "Which position?",
    "Tell me where it is.",
)
ASK_WHERE_IS = (
    "Where is the {s}?",
    "Where is the {s} in the picture?",
    "Where can you see the {s}?",
    "In which part is the {s}?",
    "What is the position of the {s}?",
    "Tell me where the {s} is.",
    "where's the {s}?",
    "Where do you see the {s}?",
    "On which side is the {s}?",
)
ASK_IS = (
    "Is there {s}?",
    "Do you see {s}?",
    "Can you see {s}?",
    "Is there {s} in the picture?",
    "Does the picture show {s}?",
    "Is {s} in the picture?",
)

Asker = Callable[[random.Random, Scene], Turn | None]


def seen(picture: Scene, question: str, rest: str = "") -> str:
    """The thinking: what is asked, then what is in the picture, then what follows from it."""
    return f"The user asks {question}. I look at the picture and see {contents(picture)}.{' ' + rest if rest else ''}"


def ask_what(rng: random.Random, picture: Scene) -> Turn:
    """What is in the picture?"""
    answer = f"There {verb(kinds_of(picture)[0][2])} {contents(picture)} in the picture."
    return Turn("picture/what", said(rng, ASK_WHAT[:-1]), seen(picture, "what is in the picture"), answer)


def ask_shape(rng: random.Random, picture: Scene) -> Turn:
    """What shape is it?"""
    shapes = [shape for shape in SHAPES if any(thing.shape == shape for thing in picture.things)]
    count = len(picture.things)
    if count == 1:
        answer = f"It is {article(shapes[0])}."
    elif len(shapes) == 1:
        answer = f"They are {shapes[0]}s."
    else:
        numbers = [sum(thing.shape == shape for thing in picture.things) for shape in shapes]
        answer = (
            f"There {verb(numbers[0])} {joined([counted(n, shape) for n, shape in zip(numbers, shapes, strict=True)])}."
        )
    return Turn("picture/shape", said(rng, ASK_SHAPE), seen(picture, "for the shape"), answer)


def colours_of(picture: Scene, shape: str | None) -> list[str]:
    """The colours of all things, or of those of one shape, in a fixed order."""
    return [c for c in COLOURS if any(t.colour == c and shape in {None, t.shape} for t in picture.things)]


def ask_colour(rng: random.Random, picture: Scene) -> Turn:
    """What colour is it, or are the squares?"""
    shapes = sorted({thing.shape for thing in picture.things})
    if len(shapes) == 1 and rng.random() < 0.6:
        subject, user, number = "it" if len(picture.things) == 1 else "they", said(rng, ASK_COLOUR), len(picture.things)
        shape = shapes[0]
    else:
        shape = rng.choice(shapes)
        number = sum(thing.shape == shape for thing in picture.things)
        subject = f"the {shape}" if number == 1 else f"the {shape}s"
        words = ASK_COLOUR_OF if number == 1 else ASK_COLOURS_OF
        user = said(rng, tuple(word.format(s=shape if number == 1 else shape + "s") for word in words))
    answer = f"{subject.capitalize()} {verb(number)} {joined(colours_of(picture, shape))}."
    return Turn("picture/colour", user, seen(picture, "for the colour"), answer)


def number_answer(count: int, words: str) -> str:
    """`There are three circles.`"""
    return f"There {verb(count)} {COUNTS[count]} {words}{'' if count == 1 else 's'}."


def ask_count(rng: random.Random, picture: Scene) -> Turn:
    """How many things, circles, red things or red circles are there?"""
    roll, thing = rng.random(), rng.choice(picture.things)
    shape, colour = thing.shape, thing.colour
    if rng.random() < 0.12:
        shape, colour = rng.choice(SHAPES), rng.choice(COLOURS)
    if roll < 0.3:
        words, user, count = "shape", said(rng, ASK_TOTAL), len(picture.things)
    elif roll < 0.75:
        words, count = shape, sum(t.shape == shape for t in picture.things)
        user = said(rng, tuple(word.format(s=shape + "s") for word in ASK_COUNT))
    elif roll < 0.85:
        words, count = f"{colour} shape", sum(t.colour == colour for t in picture.things)
        user = said(
            rng, tuple(word.format(s=f"{colour} {rng.choice(('shapes', 'objects', 'things'))}") for word in ASK_COUNT)
        )
    else:
        words, count = f"{colour} {shape}", sum(t.colour == colour and t.shape == shape for t in picture.things)
        user = said(rng, tuple(word.format(s=f"{colour} {shape}s") for word in ASK_COUNT))
    return Turn(
        "picture/count",
        user,
        seen(picture, "for a number", f"So the number is {COUNTS[count] if count else 'zero'}."),
        number_answer(count, words),
    )


def zone_of(picture: Scene, thing: Thing) -> tuple[int, int] | None:
    """In which of nine places a thing is, or None where people would not agree."""
    found = []
    for position in (thing.x / picture.frame.width, thing.y / picture.frame.height):
        bands = [i for i, (low, high) in enumerate(((0.0, 0.36), (0.41, 0.59), (0.64, 1.0))) if low <= position <= high]
        if not bands:
            return None
        found.append(bands[0])
    return found[0], found[1]


def ask_where(rng: random.Random, picture: Scene) -> Turn | None:
    """Where is it, or the star?"""
    unique = [t for t in picture.things if sum(u.shape == t.shape for u in picture.things) == 1]
    clear = [(thing, zone) for thing in unique if (zone := zone_of(picture, thing)) is not None]
    if not clear:
        return None
    thing, zone = rng.choice(clear)
    name = rng.choice((thing.shape, f"{thing.colour} {thing.shape}"))
    user = said(rng, tuple(word.format(s=name) for word in ASK_WHERE_IS))
    if len(picture.things) == 1 and rng.random() < 0.5:
        user = said(rng, ASK_WHERE)
    answer = f"The {thing.shape} is {PLACES[zone]}."
    return Turn("picture/where", user, seen(picture, "for a position", f"The {thing.shape} is {PLACES[zone]}."), answer)


def ask_is(rng: random.Random, picture: Scene) -> Turn:
    """Is there a circle, or a red circle?"""
    thing = rng.choice(picture.things)
    shape, colour = (thing.shape, thing.colour) if rng.random() < 0.5 else (rng.choice(SHAPES), rng.choice(COLOURS))
    with_colour = rng.random() < 0.5
    matching = [t for t in picture.things if t.shape == shape and (not with_colour or t.colour == colour)]
    words = f"{colour} {shape}" if with_colour else shape
    user = said(rng, tuple(word.format(s=article(words)) for word in ASK_IS))
    answer = (
        f"Yes, there {verb(len(matching))} {counted(len(matching), words)}."
        if matching
        else f"No, there is no {words}."
    )
    return Turn(
        "picture/is",
        user,
        seen(picture, f"about {article(words)}", "That is there." if matching else "That is not there."),
        answer,
    )


ASKERS: tuple[tuple[float, Asker], ...] = (
    (0.27, ask_what),
    (0.10, ask_shape),
    (0.14, ask_colour),
    (0.31, ask_count),
    (0.13, ask_where),
    (0.05, ask_is),
)


def question(rng: random.Random, picture: Scene) -> Turn:
    """Any question about a picture."""
    while True:
        turn = rng.choices([asker for _, asker in ASKERS], weights=[weight for weight, _ in ASKERS])[0](rng, picture)
        if turn is not None:
            return turn


def with_media(turn: Turn, kind: str) -> Turn:
    """The turn with a picture or a video attached."""
    return replace(turn, media=kind)


def about(
    rng: random.Random, media: list[object], ask: Callable[[random.Random, object], Turn], kind: str
) -> Conversation:
    """Questions about one picture or video after another, with other talk around them at times."""
    turns: list[Turn] = []
    fact = rng.choice(conversations.FACTS) if rng.random() < 0.1 else None
    if fact:
        turns.append(conversations.told(rng, fact, conversations.fact_value(rng, fact)))
    elif rng.random() < 0.08:
        turns.append(conversations.short_turn(rng))
    for item in media:
        count = rng.choices((1, 2, 3, 4), weights=(4, 3, 2, 1))[0]
        asked = [ask(rng, item) for _ in range(count)]
        turns += [with_media(asked[0], kind), *asked[1:]]
    if fact:
        turns.append(conversations.asked(rng, fact, conversations.value_of(turns[0])))
    elif rng.random() < 0.06:
        turns.append(conversations.short_turn(rng))
    result = conversations.finish(rng, turns)
    result.media = media
    return result


def conversation(rng: random.Random, frame: Frame, count: int = 1) -> Conversation:
    """Questions about one picture, or about one after another."""
    pictures: list[object] = [scene(rng, frame) for _ in range(count)]
    return about(rng, pictures, ask_scene, "picture")


def ask_scene(rng: random.Random, item: object) -> Turn:
    """`question` for an item that is known to be a scene."""
    if not isinstance(item, Scene):
        raise TypeError("a picture was expected")
    return question(rng, item)

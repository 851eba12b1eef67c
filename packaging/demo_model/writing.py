"""The longer things that the demo model writes on request: tables, code, lists, formulas and stories.

Each kind has a few topics with one fixed text each; only the story is drawn from a small grammar. It knows
nothing of tokens or of training.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to write: how it is asked for, and its text."""

    asks: tuple[str, ...]
    text: str


TABLES = (
    Piece(
        (
            "table",
            "table of planets",
            "table about planets",
            "table with planets",
            "small table",
            "markdown table",
            "simple table",
            "table with three columns",
            "table about the planets",
        ),
        "| Planet | Moons | Colour |\n"
        "| --- | --- | --- |\n"
        "| Mercury | 0 | grey |\n"
        "| Earth | 1 | blue |\n"
        "| Mars | 2 | red |\n"
        "| Neptune | 16 | blue |",
    ),
    Piece(
        ("table of animals", "table about animals", "table with animals", "table with two columns", "animal table"),
        "| Animal | Legs |\n| --- | --- |\n| Bird | 2 |\n| Cat | 4 |\n| Ant | 6 |\n| Spider | 8 |",
    ),
    Piece(
        ("table of shapes", "table about shapes", "table with shapes", "table of the shapes", "shape table"),
        "| Shape | Corners |\n| --- | --- |\n| Circle | 0 |\n| Triangle | 3 |\n| Square | 4 |\n| Star | 10 |",
    ),
)
CODES = (
    Piece(
        (
            "code block",
            "Python code",
            "code",
            "a program",
            "hello world in Python",
            "a hello world program",
            "Python program",
            "Python script",
            "a code block",
            "piece of code",
            "code example",
            "python code block",
        ),
        "```python\n"
        "def greet(name: str) -> str:\n"
        '    """Say hello."""\n'
        '    return f"Hello, {name}!"\n'
        "\n"
        "\n"
        'print(greet("world"))\n'
        "```",
    ),
    Piece(
        (
            "function that adds two numbers",
            "Python function that adds two numbers",
            "function",
            "Python function",
            "add function",
        ),
        "```python\n"
        "def add(a: int, b: int) -> int:\n"
        '    """Return the sum of a and b."""\n'
        "    return a + b\n"
        "\n"
        "\n"
        "print(add(37, 48))\n"
        "```",
    ),
    Piece(
        ("loop", "for loop", "loop in Python", "loop that counts to ten", "Python loop", "program that counts to ten"),
        "```python\nfor number in range(1, 11):\n    print(number)\n```",
    ),
)
LISTS = (
    Piece(
        (
            "list",
            "bulleted list",
            "bullet list",
            "list of fruits",
            "list of fruit",
            "list with bullets",
            "shopping list",
            "short list",
            "simple list",
            "list of things to buy",
        ),
        "- apples\n- pears\n- cherries\n- grapes\n- plums",
    ),
    Piece(
        ("list of colours", "list of colors", "list of the colours you know", "list with colours"),
        "- red\n- green\n- blue\n- yellow\n- orange\n- purple\n- black\n- white",
    ),
    Piece(
        ("list of shapes", "list of the shapes you know", "list with shapes", "list of your shapes"),
        "- circle\n- square\n- triangle\n- star",
    ),
)
FORMULAS = (
    Piece(
        (
            "formula",
            "mathematical formula",
            "quadratic formula",
            "formula in LaTeX",
            "LaTeX formula",
            "math formula",
            "formula for a quadratic equation",
            "maths formula",
            "equation",
        ),
        "$$x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$$",
    ),
    Piece(
        ("formula of Pythagoras", "Pythagorean theorem", "theorem of Pythagoras", "Pythagoras formula"),
        "$$a^2 + b^2 = c^2$$",
    ),
    Piece(
        ("formula for the area of a circle", "area of a circle", "circle formula", "formula of a circle"),
        "$$A = \\pi r^2$$",
    ),
)
KINDS = {"table": TABLES, "code": CODES, "list": LISTS, "formula": FORMULAS}
INTRODUCTIONS = {
    "table": "Here is a table:\n\n",
    "code": "Here is some code:\n\n",
    "list": "Here is a list:\n\n",
    "formula": "Here is a formula:\n\n",
}
REQUESTS = (
    "Write a {w}.",
    "Make a {w}.",
    "Show me a {w}.",
    "Give me a {w}.",
    "Can you write a {w}?",
    "Please write a {w}.",
    "I need a {w}.",
    "Write {w}",
    "Show {w}",
    "Create a {w}.",
    "Could you make a {w}?",
    "I want a {w}.",
    "Write me a {w}.",
    "Give me an example of a {w}.",
    "{w}",
    "Draw a {w}.",
    "Please show me a {w}.",
    "a {w} please",
    "Write the {w}.",
    "Show me the {w}.",
    "Print a {w}.",
)
STORY_REQUESTS = (
    "Write a long story.",
    "Tell me a long story.",
    "Tell me a story.",
    "Write a story.",
    "Please write a long story.",
    "I want to hear a story.",
    "Can you tell me a story?",
    "Write a very long story.",
    "A long story, please.",
    "Write me a story.",
    "Story time!",
    "Write a story with many chapters.",
    "Tell a long story.",
    "Write a novel.",
    "Please tell me a very long story.",
    "Can you write a long story?",
    "Write a long story about anything.",
    "Write a fairy tale.",
    "Tell me a tale.",
    "Write a long text.",
    "Write something long.",
    "Write 2000 words.",
    "long story",
)
CHAPTERS = 13
HEROES = ("Mira", "Tobin", "Elsa", "Rufus", "Nora", "Pippa", "Odo", "Lena")
FRIENDS = ("fox", "owl", "cat", "horse", "raven", "hare")
TREASURES = ("lamp", "key", "map", "bell", "mirror", "crown")
PLACES = (
    "forest",
    "village",
    "valley",
    "harbour",
    "castle",
    "desert",
    "island",
    "mountain",
    "garden",
    "river",
    "cave",
    "market",
    "bridge",
)
WEATHERS = (
    "The sun was shining",
    "Rain was falling",
    "A cold wind was blowing",
    "Fog lay over the land",
    "Snow covered the ground",
    "The sky was clear",
)
STRANGERS = (
    "an old woman",
    "a tall soldier",
    "a young painter",
    "a quiet monk",
    "a friendly giant",
    "a lost child",
    "a blind singer",
    "a rich merchant",
)
GIFTS = ("a piece of bread", "a silver coin", "a warm coat", "a long rope", "a small drum", "a bottle of water")
FEELINGS = ("happy", "tired", "brave", "curious", "calm", "hungry")
NUMBERS = (
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
    "Thirteen",
)
CHAPTER = (
    "{weather} when {hero} and the {friend} came to the {place}.",
    "They had walked for {days} days, and {hero} was {feeling}.",
    '"Do you think that the {treasure} is here?" asked {hero}.',
    '"We will see," said the {friend}, and looked around.',
    "Behind a big stone they met {stranger}.",
    '"Good day," said {hero}. "We are looking for the {treasure}. Have you seen it?"',
    '"I have not seen the {treasure}," was the answer, "but I can give you {gift}."',
    "{hero} took {gift} and said thank you.",
    "The {friend} was {feeling2} and wanted to go on at once.",
    "So they crossed the {place} together and did not look back.",
    "On the way they heard a strange sound, and {hero} stood still.",
    "It was only the wind, and soon they laughed about it.",
    "In the evening they made a fire and talked about the long way home.",
    "Then the stars came out over the {place}, and the two friends fell asleep.",
)
OPENING = (
    "Once upon a time there was a child called {hero}. {hero} had one good friend, a {friend}, and "
    "one great wish: to find the lost {treasure}. "
    "So one day they left the house together and went out into the wide world."
)
ENDING = (
    "At last {hero} found the {treasure} under an old tree. The {friend} danced with joy, and they "
    "carried the {treasure} home. "
    "And if they have not lost it again, they have it still. The end."
)


def story(rng: random.Random) -> str:
    """A story of one opening, thirteen chapters and an ending, about 2,600 tokens long."""
    hero, friend, treasure = rng.choice(HEROES), rng.choice(FRIENDS), rng.choice(TREASURES)
    parts = [f"# {hero} and the {treasure}", OPENING.format(hero=hero, friend=friend, treasure=treasure)]
    places = rng.sample(PLACES, CHAPTERS)
    for number, place in zip(NUMBERS, places, strict=True):
        slots = {
            "hero": hero,
            "friend": friend,
            "treasure": treasure,
            "place": place,
            "weather": rng.choice(WEATHERS),
            "days": rng.choice(("two", "three", "four", "five")),
            "feeling": rng.choice(FEELINGS),
            "feeling2": rng.choice(FEELINGS),
            "stranger": rng.choice(STRANGERS),
            "gift": rng.choice(GIFTS),
        }
        parts.append(f"## Chapter {number}: The {place}")
        parts.append(" ".join(sentence.format(**slots) for sentence in CHAPTER))
    parts.append(ENDING.format(hero=hero, friend=friend, treasure=treasure))
    return "\n\n".join(parts)


def request(kind: str, rng: random.Random) -> tuple[str, str]:
    """How somebody asks for a table, code, list or formula, and what the model writes."""
    piece = rng.choice(KINDS[kind])
    return rng.choice(REQUESTS).format(w=rng.choice(piece.asks)), INTRODUCTIONS[kind] + piece.text

"""Conversations in words: what a person says, what the model thinks, and what it answers.

A `Turn` is one exchange; a `Conversation` is what is trained on or asked at once. Pictures and videos come in as
turns of `pictures` and `videos`; this module does not know how they are drawn.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from demo_model import phrases, writing


@dataclass(frozen=True, slots=True)
class Turn:
    """One question with its thinking and its answer; `task` is the name under which its accuracy is counted.

    `direct` is the answer of a conversation without thinking, where that is another one.
    """

    task: str
    user: str
    thinking: str
    answer: str
    media: str | None = None
    direct: str | None = None

    def spoken(self, *, direct: bool) -> str:
        """The answer: with its working in direct mode where there is one."""
        return self.direct if direct and self.direct is not None else self.answer


@dataclass(slots=True)
class Conversation:
    """Turns in order; the last one is answered with thinking unless `direct`."""

    turns: list[Turn]
    system: str | None = None
    direct: bool = False
    media: list[object] = field(default_factory=list)


def sloppy(rng: random.Random, text: str) -> str:
    """The same question as a hurried or a very polite person types it."""
    roll = rng.random()
    if roll < 0.5:
        return text
    if roll < 0.66:
        text = text[0].lower() + text[1:]
    elif roll < 0.74:
        text = text.rstrip("?.!")
    elif roll < 0.86:
        text = text.lower().rstrip("?.!")
    elif roll < 0.93:
        text = rng.choice(phrases.ASK_PREFIX) + text[0].lower() + text[1:]
        text = text[0].upper() + text[1:] if rng.random() < 0.5 else text
    else:
        text = text.rstrip("?.!") + rng.choice(phrases.ASK_SUFFIX)
    return text


def typo(rng: random.Random, text: str) -> str:
    """One letter lost, doubled or swapped, at times."""
    if rng.random() > 0.04 or len(text) < 8:
        return text
    at = rng.randrange(1, len(text) - 2)
    return rng.choice(
        (
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
        )
    )


def said(rng: random.Random, choices: tuple[str, ...]) -> str:
    """One of the wordings, as somebody may type it."""
    return typo(rng, sloppy(rng, rng.choice(choices)))


def made_up_name(rng: random.Random) -> str:
    """A name that nobody has heard before."""
    return "".join(rng.choice(phrases.SYLLABLES) for _ in range(rng.randint(2, 4))).capitalize()


def chat(rng: random.Random, intent: str | None = None) -> Turn:
    """Small talk, also about Parley and about itself."""
    name = intent or rng.choice(tuple(phrases.CHAT))
    questions, thinking, answer = phrases.CHAT[name]
    if name == "unknown" and rng.random() < 0.6:
        words = (
            (phrases.TOPICS + phrases.WORDS[20:])
            if rng.random() < 0.7
            else (made_up_name(rng), made_up_name(rng), made_up_name(rng))
        )
        w, v, u = rng.choice(words), rng.choice(words), rng.choice(words)
        user = sloppy(rng, rng.choice(phrases.UNKNOWN_FRAMES).format(w=w, v=v, u=u))
    elif name == "foreign":
        user = rng.choice(questions) if rng.random() < 0.4 else foreign_text(rng)
    else:
        user = said(rng, questions)
    return Turn(f"chat/{name}", user, thinking, answer)


SCRIPTS = (
    (0x400, 0x44F),
    (0x391, 0x3C9),
    (0x5D0, 0x5EA),
    (0x620, 0x64A),
    (0x905, 0x939),
    (0xE01, 0xE2E),
    (0x3041, 0x3096),
    (0x30A1, 0x30FA),
    (0x4E00, 0x9FA5),
    (0x4E00, 0x6000),
    (0xAC00, 0xD7A3),
    (0x10D0, 0x10F0),
    (0x531, 0x556),
    (0x1F600, 0x1F64F),
    (0x985, 0x9B9),
    (0xB85, 0xBB9),
)


def foreign_text(rng: random.Random) -> str:
    """Letters of one script in words: nobody needs to understand them."""
    first, last = rng.choice(SCRIPTS)
    words = ["".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 7))) for _ in range(rng.randint(1, 5))]
    return ("" if first in {0x4E00, 0x3041, 0x30A1} else " ").join(words) + rng.choice(("", "", "?", ".", "!", "?"))


def adding(a: int, b: int) -> str:
    """How two numbers below 100 are added, ones first."""
    ones = a % 10 + b % 10
    carry = ones // 10
    steps = f"Ones: {a % 10} + {b % 10} = {ones}" + (f", so {ones % 10} and carry 1." if carry else ".")
    tens = a // 10 + b // 10 + carry
    steps += f" Tens: {a // 10} + {b // 10}" + (" + 1" if carry else "") + f" = {tens}."
    return f"{steps} Together {a + b}."


def subtracting(a: int, b: int) -> str:
    """How the smaller of two numbers below 100 is taken from the larger, ones first; the sign comes last."""
    if a < b:
        return f"{b} is bigger than {a}, so the result is negative. {b} - {a}: {subtracting(b, a)} So {a - b}."
    borrow = int(a % 10 < b % 10)
    ones = a % 10 + 10 * borrow
    steps = f"Ones: {ones} - {b % 10} = {ones - b % 10}" + (", with a borrowed ten." if borrow else ".")
    steps += f" Tens: {a // 10} - {b // 10}" + (" - 1" if borrow else "") + f" = {a // 10 - b // 10 - borrow}."
    return f"{steps} Together {a - b}."


def added_aloud(a: int, b: int) -> str:
    """A sum with its working in one line: tens and ones apart."""
    step = f" = {(a // 10 + b // 10) * 10} + {a % 10 + b % 10}" if a > 9 or b > 9 else ""
    return f"{a} + {b}{step} = {a + b}."


def subtracted_aloud(a: int, b: int) -> str:
    """A difference with its working in one line: first the tens, then the ones."""
    if a < b:
        return f"{a} - {b} = -({b} - {a}) = -({b - a // 10 * 10} - {a % 10}) = {a - b}."
    return f"{a} - {b} = {a - b // 10 * 10} - {b % 10} = {a - b}."


def arithmetic(rng: random.Random) -> Turn:
    """A sum or a difference of two numbers below 100."""
    low = 10 if rng.random() < 0.85 else 0
    a, b = rng.randint(low, 99), rng.randint(low, 99)
    if rng.random() < 0.5:
        words = phrases.WORD_ADD if rng.random() < 0.1 else phrases.ADD
        return Turn(
            "add",
            sum_text(rng, words, a, b),
            f"{a} + {b}. {adding(a, b)}",
            f"{a} + {b} = {a + b}.",
            direct=added_aloud(a, b),
        )
    if rng.random() < 0.7 and a < b:
        a, b = b, a
    less: tuple[str, ...] = phrases.WORD_SUBTRACT if rng.random() < 0.1 and a >= b else phrases.SUBTRACT
    return Turn(
        "subtract",
        sum_text(rng, less, a, b),
        f"{a} - {b}. {subtracting(a, b)}",
        f"{a} - {b} = {a - b}.",
        direct=subtracted_aloud(a, b),
    )


def sum_text(rng: random.Random, words: tuple[str, ...], a: int, b: int) -> str:
    """A sum or difference in words; no typing errors, which could change it."""
    return sloppy(rng, rng.choice(words).format(a=a, b=b))


def writing_turn(rng: random.Random) -> Turn:
    """A request for a table, code, a list or a formula."""
    kind = rng.choice(tuple(writing.KINDS))
    user, answer = writing.request(kind, rng)
    what = "some code" if kind == "code" else f"a {kind}"
    return Turn(f"write/{kind}", typo(rng, sloppy(rng, user)), f"The user wants {what}. I will write it.", answer)


def story_turn(rng: random.Random) -> Turn:
    """A request for a long story."""
    return Turn(
        "write/story",
        said(rng, writing.STORY_REQUESTS),
        "The user wants a story. I will write a long one with thirteen chapters.",
        writing.story(rng),
    )


FACTS = ("name", "colour", "number")
TELLS = {"name": phrases.NAME_TELL, "colour": phrases.COLOUR_TELL, "number": phrases.NUMBER_TELL}
ASKS = {"name": phrases.NAME_ASK, "colour": phrases.COLOUR_ASK, "number": phrases.NUMBER_ASK}
ACKNOWLEDGED = {
    "name": "Nice to meet you, {v}.",
    "colour": "I will remember the colour {v}.",
    "number": "I will remember the number {v}.",
}
RECALLED = {"name": "Your name is {v}.", "colour": "Your colour is {v}.", "number": "Your number is {v}."}


def fact_value(rng: random.Random, fact: str) -> str:
    """A name, a colour or a number to remember."""
    if fact == "name":
        return rng.choice(phrases.NAMES) if rng.random() < 0.5 else made_up_name(rng)
    if fact == "colour":
        return rng.choice(phrases.FACT_COLOURS)
    return str(rng.randint(0, 10 ** rng.randint(1, 5) - 1))


def told(rng: random.Random, fact: str, value: str) -> Turn:
    """The person tells a fact."""
    text = rng.choice(TELLS[fact]).format(v=value)
    if rng.random() < 0.15:
        text = text.rstrip(".").lower()
        value = value.lower()
    return Turn(
        f"told/{fact}",
        text,
        f"The user tells me a {fact}: {value}. I will remember it.",
        ACKNOWLEDGED[fact].format(v=value),
    )


def value_of(turn: Turn) -> str:
    """The fact as it was typed."""
    return turn.thinking.split(": ", 1)[1].removesuffix(". I will remember it.")


def asked(rng: random.Random, fact: str, value: str | None) -> Turn:
    """The person asks for a fact that was told, or was not."""
    user = said(rng, ASKS[fact])
    if value is None:
        return Turn(
            "recall/none",
            user,
            f"The user asks for a {fact} that was not told to me.",
            f"You have not told me a {fact} yet.",
        )
    return Turn(
        f"recall/{fact}", user, f"The user asks for the {fact}. It was {value}.", RECALLED[fact].format(v=value)
    )


def prose(rng: random.Random, words: int) -> str:
    """Sentences of common and made-up words without sense."""
    style = rng.random()
    if style < 0.15:
        sentence = " ".join(rng.choice(phrases.WORDS) for _ in range(rng.randint(4, 12))).capitalize() + ". "
        return (sentence * (words // 8 + 1)).strip()
    sentences, count = [], 0
    while count < words:
        length = rng.randint(4, 14)
        chosen = rng.choices(phrases.WORDS, k=length)
        if style > 0.7:
            chosen = [made_up_name(rng).lower() if rng.random() < 0.2 else word for word in chosen]
        if style > 0.9:
            chosen = [str(rng.randint(0, 999)) if rng.random() < 0.15 else word for word in chosen]
        sentences.append(" ".join(chosen).capitalize() + rng.choice((".", ".", ".", "!", "?", ",")))
        count += length
    return rng.choice((" ", " ", "\n", "\n\n")).join(sentences)


def pasted(rng: random.Random, words: int) -> Turn:
    """The person pastes a text."""
    return Turn(
        "paste", rng.choice(phrases.PASTE).format(t=prose(rng, words)), phrases.PASTE_THINKING, phrases.PASTE_ANSWER
    )


SHORT: tuple[tuple[float, Callable[[random.Random], Turn]], ...] = (
    (0.42, arithmetic),
    (0.43, chat),
    (0.15, writing_turn),
)


def short_turn(rng: random.Random) -> Turn:
    """Any turn that needs no earlier one and no picture."""
    makers = [maker for _, maker in SHORT]
    return rng.choices(makers, weights=[weight for weight, _ in SHORT])[0](rng)


def finish(rng: random.Random, turns: list[Turn]) -> Conversation:
    """A conversation of these turns, with a system message at times and either mode."""
    return Conversation(turns, rng.choice(phrases.SYSTEMS) if rng.random() < 0.15 else None, rng.random() < 0.4)


def short_conversation(rng: random.Random) -> Conversation:
    """One to four small turns, some of them about facts."""
    count = rng.choices((1, 2, 3, 4), weights=(5, 3, 2, 1))[0]
    if rng.random() < 0.35:
        return recall_conversation(rng, filler_words=0, between=rng.choice((0, 0, 1, 2)))
    return finish(rng, [short_turn(rng) for _ in range(count)])


def recall_conversation(rng: random.Random, filler_words: int, between: int) -> Conversation:
    """Facts are told, other things happen, and the facts are asked for."""
    chosen = rng.sample(FACTS, rng.choice((1, 1, 2, 3)))
    known: dict[str, str] = {}
    turns: list[Turn] = []
    for fact in chosen:
        turn = told(rng, fact, fact_value(rng, fact))
        turns.append(turn)
        known[fact] = value_of(turn)
    if rng.random() < 0.15:
        fact = rng.choice(chosen)
        turns.append(told(rng, fact, fact_value(rng, fact)))
        known[fact] = value_of(turns[-1])
    middle = [short_turn(rng) for _ in range(between)]
    left = filler_words
    while left > 0:
        size = rng.choice((left, left, min(left, rng.randint(40, 400))))
        middle.append(story_turn(rng) if left > 1500 and rng.random() < 0.3 else pasted(rng, size))
        left -= 1700 if middle[-1].task == "write/story" else size
    rng.shuffle(middle)
    turns += middle
    if filler_words and rng.random() < 0.25 and turns[-1].task == "paste":
        turns[-1] = joined(turns[-1], asked(rng, chosen[0], known[chosen[0]]))
    else:
        for fact in rng.sample(FACTS, rng.choice((1, 2, 3))):
            turns.append(asked(rng, fact, known.get(fact)))
        if rng.random() < 0.5:
            turns.append(asked(rng, chosen[0], known[chosen[0]]))
    return finish(rng, turns)


def joined(text: Turn, question: Turn) -> Turn:
    """A pasted text with the question in the same message."""
    return Turn(question.task, f"{text.user}\n\n{question.user}", question.thinking, question.answer)


def long_conversation(rng: random.Random) -> Conversation:
    """A story, or facts that are asked for after 300 to 3,000 tokens."""
    if rng.random() < 0.3:
        return finish(rng, [story_turn(rng)])
    return recall_conversation(rng, filler_words=rng.choice((250, 600, 1100, 1600, 1900)), between=rng.randint(0, 6))

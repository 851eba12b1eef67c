"""What a setting may be: each kind reads the plain value of a file, or refuses it. Knows no setting by name, no Qt.

`read` returns the value and what of it made no sense (None if all of it did), and raises `ValueError` if nothing did.
Whatever a file holds, nothing else is raised.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.presets import Preset
from app.protocol import ProtocolError, Sampling, from_plain

LONGEST_NAME, LONGEST_PROMPT, LONGEST_KEYS = 80, 32_000, 60
MOST_ENTRIES, MOST_KEYS = 200, 2
Read = tuple[Any, Any]
_E = TypeVar("_E")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A system prompt in the person's library."""

    key: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    def read(self, plain: Any) -> Read:
        """A bool."""
        return _checked(isinstance(plain, bool), plain), None


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from one limit to another; `zero` are the words for 0 where that means something else."""

    least: int
    most: int
    unit: str = ""
    zero: str = ""

    def read(self, plain: Any) -> Read:
        """An int, or a float without a fraction."""
        whole = isinstance(plain, int) or (isinstance(plain, float) and math.isfinite(plain) and plain == int(plain))
        _checked(whole and not isinstance(plain, bool), plain)
        off = plain == 0 and bool(self.zero)
        return int(_checked(off or self.least <= plain <= self.most, plain)), None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, each with words; perhaps also a number that none of them is."""

    values: tuple[tuple[Any, str], ...]
    other: Number | None = None

    def read(self, plain: Any) -> Read:
        """One of the values, of the very same kind."""
        for value, _words in self.values:
            if type(value) is type(plain) and value == plain:
                return value, None
        if self.other is None:
            raise ValueError(f"none of the choices: {str(plain)[:80]!r}")
        return self.other.read(plain)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text without control characters."""

    longest: int = 4096

    def read(self, plain: Any) -> Read:
        """A str."""
        return _checked(_text(plain, self.longest) and not _controls(plain), plain), None


@dataclass(frozen=True, slots=True)
class Family(Line):
    """The name of a font family."""

    longest: int = 100


@dataclass(frozen=True, slots=True)
class PresetKey(Line):
    """The key of a preset; empty for what suits the model."""

    longest: int = LONGEST_NAME


@dataclass(frozen=True, slots=True)
class PromptKey(Line):
    """The key of a system prompt of the library; empty for none."""

    longest: int = LONGEST_NAME


@dataclass(frozen=True, slots=True)
class Entries(Generic[_E]):
    """A list of entries with keys of their own, read one by one, so that a bad one does not cost the others."""

    entry: type[_E]
    fits: Callable[[_E], bool]

    def read(self, plain: Any) -> Read:
        """A tuple of entries, and the plain ones that made no sense or were too many."""
        _checked(isinstance(plain, list), plain)
        good: dict[str, _E] = {}
        bad: list[Any] = []
        for item in plain:
            try:
                entry = from_plain(self.entry, item)
                fits = self.fits(entry) and len(good) < MOST_ENTRIES
            except (ProtocolError, RecursionError):
                fits = False
            key = getattr(entry, "key", "") if fits else ""
            if key and key not in good:
                good[key] = entry
            else:
                bad.append(item)
        return tuple(good.values()), bad or None


@dataclass(frozen=True, slots=True)
class Keys:
    """For each command that has other keys than its own: at most two key combinations, as Qt writes them."""

    def read(self, plain: Any) -> Read:
        """A dict of tuples, and the entries that made no sense. Whether Qt knows such keys is not asked here."""
        _checked(isinstance(plain, dict), plain)
        good: dict[str, tuple[str, ...]] = {}
        bad: dict[str, Any] = {}
        for name, keys in plain.items():
            few = isinstance(keys, list) and len(keys) <= MOST_KEYS and len(good) < MOST_ENTRIES
            if few and all(_text(each, LONGEST_KEYS) and not _controls(each) for each in keys):
                good[name] = tuple(keys)
            else:
                bad[name] = keys
        return good, bad or None


Kind = Switch | Number | Choice | Line | Entries[Preset] | Entries[Prompt] | Keys


def preset_fits(preset: Preset) -> bool:
    """Whether an own preset is one: a name, and numbers that the engine can work with."""
    drawn: Sampling = preset.sampling
    return (
        _text(preset.key, LONGEST_NAME)
        and _text(preset.name, LONGEST_NAME)
        and not _controls(preset.key + preset.name)
        and bool(preset.name.strip())
        and 0 <= drawn.temperature <= 2
        and 0 <= drawn.top_k <= 1000
        and 0 < drawn.top_p <= 1
        and 0 <= drawn.min_p <= 1
        and -2 <= drawn.presence_penalty <= 2
        and (drawn.seed is None or 0 <= drawn.seed < 2**31)
    )


def prompt_fits(prompt: Prompt) -> bool:
    """Whether a system prompt is one: a name and a text of a bearable length."""
    named = _text(prompt.key, LONGEST_NAME) and _text(prompt.name, LONGEST_NAME)
    controls = _controls(prompt.key + prompt.name)
    return named and not controls and bool(prompt.name.strip()) and _text(prompt.text, LONGEST_PROMPT)


def _text(plain: Any, longest: int) -> bool:
    """Whether it is a text of at most so many characters, each of which can be written to a file."""
    if not isinstance(plain, str) or len(plain) > longest:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in plain)


def _controls(text: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in text)


def _checked(fits: bool, plain: Any) -> Any:
    if not fits:
        raise ValueError(f"unexpected {str(plain)[:80]!r}")
    return plain

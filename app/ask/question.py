"""One question and where it comes from: the command line, a history file, a line of a batch. Nothing read is trusted.

Knows: the forms in which a question is written down. Does not know: programs, models, how it is answered.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from app.ask.arguments import AskOptions
from app.ask.refusal import AskError
from app.presets import MAX_TOKENS

Role = Literal["system", "user", "assistant"]

_ROLES = ("system", "user", "assistant")
_FILE_LIMIT = 256 * 2**20
_NOTHING_ASKED = "There is no question: write one, or attach a picture or a video."


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    """What to answer. Paths are absolute and were there a moment ago."""

    text: str
    images: tuple[Path, ...] = ()
    videos: tuple[Path, ...] = ()
    history: tuple[Turn, ...] = ()
    system: str | None = None
    direct: bool = False
    think_budget: int = 0
    max_tokens: int = MAX_TOKENS
    seed: int | None = None


def question_of(options: AskOptions) -> Question:
    """The question on the command line. Raises `AskError`."""
    history = () if options.history is None else _turns(_json(_bytes_of(options.history), str(options.history)))
    return _checked(
        Question(
            text=options.text or "",
            images=_files(options.images),
            videos=_files(options.videos),
            history=history,
            system=options.system,
            direct=options.direct,
            think_budget=options.think_budget or 0,
            max_tokens=options.max_tokens or MAX_TOKENS,
            seed=options.seed,
        )
    )


def batch_lines(path: Path) -> list[bytes]:
    """The lines of a batch file. Raises `AskError`."""
    return _bytes_of(path).splitlines()


def question_in(line: bytes, options: AskOptions) -> Question:
    """The question in a line of a batch; what it does not say comes from the command line. Raises `AskError`."""
    plain = _json(line, "This line")
    if not isinstance(plain, dict):
        raise AskError('This line holds no JSON object; write one such as {"text": "Hello"}.')
    unknown = plain.keys() - _FIELDS.keys()
    if unknown:
        raise AskError(f"This line has an unknown field {sorted(unknown)[0]!r}; known are {', '.join(_FIELDS)}.")
    for name, kind in _FIELDS.items():
        value = plain.get(name)
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if value is not None and not fits:
            raise AskError(f'The field "{name}" of this line has a value of the wrong kind; correct it.')
    max_tokens = plain.get("max_tokens", options.max_tokens)
    think_budget = plain.get("think_budget", options.think_budget)
    for name, number in (("max_tokens", max_tokens), ("think_budget", think_budget)):
        if number is not None and not 1 <= number <= 2**31:
            raise AskError(f'The field "{name}" of this line is not a positive number; leave it out or correct it.')
    return _checked(
        Question(
            text=plain.get("text") or "",
            images=_files(plain.get("images") or []),
            videos=_files(plain.get("videos") or []),
            history=_turns(plain.get("history") or []),
            system=plain.get("system", options.system),
            direct=plain.get("direct", options.direct) is True,
            think_budget=think_budget or 0,
            max_tokens=max_tokens or MAX_TOKENS,
            seed=plain.get("seed", options.seed),
        )
    )


_FIELDS: dict[str, type] = {
    "text": str,
    "images": list,
    "videos": list,
    "history": list,
    "system": str,
    "direct": bool,
    "think_budget": int,
    "max_tokens": int,
    "seed": int,
}


def _checked(question: Question) -> Question:
    if not (question.text.strip() or question.images or question.videos):
        raise AskError(_NOTHING_ASKED)
    if question.system is not None and any(turn.role == "system" for turn in question.history):
        raise AskError("There are two system messages, one of them in the history; leave one of them out.")
    return question


def _turns(plain: Any) -> tuple[Turn, ...]:
    """A history, checked turn by turn."""
    if not isinstance(plain, list):
        raise AskError('The history is no JSON list; write one such as [{"role": "user", "content": "Hello"}].')
    turns = []
    for turn in plain:
        if not isinstance(turn, dict) or turn.get("role") not in _ROLES or not isinstance(turn.get("content"), str):
            raise AskError(
                'A turn of the history is not {"role": "user", "assistant" or "system", "content": text}; correct it.'
            )
        turns.append(Turn(cast("Role", turn["role"]), turn["content"]))
    return tuple(turns)


def _files(names: Any) -> tuple[Path, ...]:
    """Paths of attachments, absolute, each a file with something in it; the decoder looks at the rest."""
    paths = []
    for name in names:
        if not isinstance(name, str) or "\0" in name:
            raise AskError("An attachment is not the path of a file; correct it.")
        path = Path(name).absolute()
        try:
            size = path.stat().st_size
        except OSError as error:
            raise AskError(f"There is no file {name} ({error.strerror}); check the path.") from error
        if path.is_dir():
            raise AskError(f"{name} is a folder; attach the files in it one by one.")
        if size == 0 and path.is_file():
            raise AskError(f"{name} is empty; copy or download it again.")
        paths.append(path)
    return tuple(paths)


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise AskError(f"{path} is too large to be read at once; split it.")
        return path.read_bytes()
    except OSError as error:
        raise AskError(f"{path} cannot be read ({error.strerror}); check the path.") from error


def _json(content: bytes, what: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AskError(f"{what} is not valid JSON ({error}); correct it.") from error

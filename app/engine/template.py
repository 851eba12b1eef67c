"""A checkpoint's chat template, run in a sandbox: a conversation in, one string out.

Knows: Jinja and the names that templates of this family expect. Does not know: tokens, media, the protocol. A template
is a program from a stranger: it sees only the conversation, may write only so much and take only so long.
"""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.engine.config import read_json
from app.engine.errors import CheckpointError

_SIZE_LIMIT = 2**20
_SECONDS = 5.0
_GROWTH = 4
"""A rendering may be this many times as long as the conversation, and a million characters more."""


class TemplateRefusal(Exception):  # noqa: N818 - it is the template that refuses, which need not be an error
    """The template does not take this conversation; the text is what it says about it."""


class ChatTemplate:
    """The chat template of a model folder: `chat_template.jinja`, or what `tokenizer_config.json` holds."""

    def __init__(self, folder: Path) -> None:
        """Read and compile it. Raises `CheckpointError`."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _now
        try:
            self._template = environment.from_string(_source(folder))
        except (TemplateError, RecursionError) as error:
            raise CheckpointError(
                f"The chat template of {folder.name} is broken ({error}); download its files again."
            ) from error

    def render(self, messages: list[dict[str, Any]], *, thinking: bool, answer_next: bool) -> str:
        """The conversation as the model reads it; `answer_next` appends the beginning of the answer.

        `messages` hold "role" and "content", the latter a string or a list of parts with a "type". Raises
        `TemplateRefusal` when the template refuses, fails, writes far too much or takes longer than five seconds.
        """
        limit = _SIZE_LIMIT + _GROWTH * len(json.dumps(messages))
        deadline = time.monotonic() + _SECONDS
        written: list[str] = []
        size = 0
        try:
            stream = self._template.generate(
                messages=messages, add_generation_prompt=answer_next, enable_thinking=thinking
            )
            for text in stream:
                written.append(text)
                size += len(text)
                if size > limit or time.monotonic() > deadline:
                    raise TemplateRefusal("it writes without end")
        # A template is a foreign program: whatever it does wrong is its refusal.
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TemplateRefusal(str(error)) from error
        except (RecursionError, MemoryError) as error:
            raise TemplateRefusal("it needs too much memory") from error
        return "".join(written)


def _source(folder: Path) -> str:
    own = folder / "chat_template.jinja"
    if own.is_file() and own.stat().st_size <= _SIZE_LIMIT:
        return own.read_text(encoding="utf-8", errors="replace")
    stored = {}
    if (folder / "tokenizer_config.json").is_file():
        stored = read_json(folder / "tokenizer_config.json")
    template = stored.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if not isinstance(template, str) or len(template) > _SIZE_LIMIT:
        raise CheckpointError(f"{folder.name} has no chat template; choose a chat model, or download its files again.")
    return template


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes what HTML would misread, which a model must not see."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

"""Which connections Parley can make, whether the person allows each, and when it last made one.

Knows: the kinds, and two small files for each below the data folder, one that is there while the kind is forbidden and
one whose time of change is that of the last connection. Does not know: sockets, settings, windows. Whoever is about to
connect asks here, in the very process that does it, and says afterwards that it did.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app import paths

Kind = Literal["models", "links"]


@dataclass(frozen=True, slots=True)
class Connection:
    """A kind of connection in words: what it is called, who connects to whom, when, and what is sent."""

    kind: Kind
    name: str
    words: str


CONNECTIONS = (
    Connection(
        "models",
        "Getting models",
        "The downloader, a program of its own, asks the Hugging Face Hub for a model's files when you press Download "
        "or Repair, and goes on with that after a restart. It sends the model's name, Parley's version, and the "
        "access token if the hub wants one.",
    ),
    Connection(
        "links",
        "Links in answers",
        "Your browser opens a page when you click a link and say yes. Parley itself fetches nothing of it.",
    ),
)


def _folder() -> Path:
    return paths.data_dir() / "connections"


def allowed(kind: Kind) -> bool:
    """Whether the person allows it; everything is until forbidden, since nothing connects without being told to."""
    return not (_folder() / f"{kind}.forbidden").exists()


def allow(kind: Kind, *, allowed: bool) -> None:
    """Keep the person's choice. Raises `OSError`."""
    mark = _folder() / f"{kind}.forbidden"
    if allowed:
        mark.unlink(missing_ok=True)
    else:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def made(kind: Kind) -> None:
    """It is being made now. A disk that does not take that down is no reason to fail."""
    with suppress(OSError):
        _folder().mkdir(parents=True, exist_ok=True)
        (_folder() / f"{kind}.last").touch()


def last_made(kind: Kind) -> float | None:
    """When one was last made, in seconds since 1970; None for never."""
    try:
        return (_folder() / f"{kind}.last").stat().st_mtime
    except OSError:
        return None

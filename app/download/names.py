"""Which files of a repository are taken: names that are safe on every system, of kinds that hold data and no code.

Knows names alone. A listing comes from a server, and a manifest from a folder that anybody may have written to.
"""

import re

from app.download.errors import DownloadError

MANIFEST = "parley-manifest.json"
PART = ".part"
"""What is appended to the name of a file that has not arrived completely."""
WEIGHTS = ".safetensors"
CONFIG = "config.json"

_KINDS = (WEIGHTS, ".json", ".jinja", ".txt", ".md")
_WITHOUT_KIND = {"LICENSE", "LICENCE", "NOTICE"}
_COMPONENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 ._+()-]{0,118}[A-Za-z0-9_+()-])?")
_TRICK = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\\:\x00-\x1f\x7f]")
"""An empty component, one that leads elsewhere, or a character that some system takes for a separator."""
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_DEEPEST = 4
_LONGEST = 200


def is_safe(name: str) -> bool:
    """Whether a file of this name, with slashes between its components, may be written below a folder."""
    components = name.split("/")
    return (
        len(name) <= _LONGEST
        and len(components) <= _DEEPEST
        and name != MANIFEST
        and all(_COMPONENT.fullmatch(part) and not _DEVICES.fullmatch(part) for part in components)
        and (name.endswith(_KINDS) or components[-1] in _WITHOUT_KIND)
    )


def chosen(listed: list[str]) -> list[str]:
    """The names of a listing that are taken. What is not needed, or could be code, is left out.

    Raises `DownloadError` for a listing that tries a trick, or that holds no model.
    """
    for name in listed:
        if _TRICK.search(name):
            raise DownloadError(
                "repository",
                f"The repository lists a file with an unsafe name ({shown(name)}), so nothing of it is fetched; "
                "choose another repository.",
            )
    taken = [name for name in listed if is_safe(name)]
    seen: dict[str, str] = {}
    for name in taken:
        if seen.setdefault(name.casefold(), name) != name or taken.count(name) > 1:
            raise DownloadError(
                "repository",
                f"The repository lists {shown(name)} twice, in different spellings or not, so nothing of it is "
                "fetched; choose another repository.",
            )
    if CONFIG not in taken or not any(name.endswith(WEIGHTS) for name in taken):
        raise DownloadError(
            "repository",
            "The repository holds no model that Parley can run: it lacks config.json or safetensors files; "
            "choose another repository.",
        )
    return sorted(taken, key=_order)


def shown(name: str) -> str:
    """A name from outside as it may stand in a sentence: printable, and not endlessly long."""
    plain = "".join(character if character.isprintable() else "?" for character in name[:80])
    return f"“{plain}”"


def _order(name: str) -> tuple[bool, bool, str]:
    """What says whether the model can be run at all comes first, and the large files last."""
    return name.endswith(WEIGHTS), name != CONFIG, name

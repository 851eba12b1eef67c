"""What a frozen program is made of: for each file that goes in, whose work it is and under which licence.

Knows Python's distributions, Debian's packages, Python itself and this checkout. Does not know PyInstaller, or what the
answer is for: `licences` makes notices of it, `sbom` a bill of materials.
"""

import functools
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

Origin = Literal["pypi", "deb", "python"]
COMMON_LICENCES = Path("/usr/share/common-licenses")  # what Debian's copyright files point to
TEXTS = Path(__file__).resolve().parent / "texts"
_LICENCE_FILE = re.compile(r"(?i)(licen[cs]e|copying|notice|authors|copyright)[^/]*$")
_REFERENCE = re.compile(r"/usr/share/common-licenses/([A-Za-z]+-?[\d.]*\d|[A-Za-z]+)")

# Distributions whose files bring no text: the licence that is meant, and where its text is.
WITHOUT_TEXT = {
    "latex2mathml": ("MIT", (TEXTS / "latex2mathml-MIT.txt",)),
    "pyside6-essentials": ("LGPL-3.0-only", (TEXTS / "LGPL-3.txt", TEXTS / "GPL-3.txt")),
    "shiboken6": ("LGPL-3.0-only", (TEXTS / "LGPL-3.txt", TEXTS / "GPL-3.txt")),
    "tokenizers": ("Apache-2.0", (TEXTS.parents[2] / "LICENSE",)),
}
# Fonts that lie in a distribution without a text of their own.
FONTS = {"ziafont": TEXTS / "DejaVu.txt", "ziamath": TEXTS / "STIXTwoMath-OFL.txt"}
# nvidia-ml-py brings its licence at the head of its one module only.
_HEAD = {"nvidia-ml-py": "pynvml.py"}

# Frozen into each executable without being a file that goes in: the loader that starts it.
LOADER = "pyinstaller"


class UnknownOriginError(Exception):
    """A file that goes in belongs to nobody that is known, or its licence has no text; the text says which."""


@dataclass(frozen=True)
class Component:
    """One work that is shipped. `licence` is its maker's own word for it, or where that is; `texts` are pairs of title
    and text."""

    name: str
    version: str
    origin: Origin
    licence: str
    texts: tuple[tuple[str, str], ...]


def components(sources: Iterable[Path], checkout: Path) -> list[Component]:
    """The works that the files `sources` belong to, without the checkout's own. Raises `UnknownOriginError`."""
    owners = _installed_files()
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    found: set[tuple[Origin, str]] = {("python", "python"), ("pypi", LOADER)}
    for source in {file.resolve() for file in sources}:
        if source in owners:
            found.add(("pypi", owners[source]))
        elif not (source.is_relative_to(stdlib) or source.is_relative_to(checkout) or _is_of_python(source)):
            found.add(("deb", _debian_package(source)))
    return sorted(map(_described, found), key=_order)


def _order(component: Component) -> tuple[str, str]:
    return component.name.lower(), component.origin


def _installed_files() -> dict[Path, str]:
    """Each file of an installed distribution, and the distribution's name."""
    return {
        Path(str(distribution.locate_file(file))).resolve(): _normalized(distribution.metadata["Name"])
        for distribution in metadata.distributions()
        for file in distribution.files or []
    }


def _is_of_python(source: Path) -> bool:
    """Whether this is Python's own library, or what PyInstaller wrote while it analysed. On Windows Python's folder
    holds all of it, Microsoft's runtime too; elsewhere that folder may be /usr, which holds everything."""
    if os.name == "nt" and source.is_relative_to(Path(sys.base_prefix).resolve()):
        return True
    return source.name.startswith(("libpython", "base_library")) or "lib-dynload" in source.parts


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def _debian_package(source: Path) -> str:
    """The installed package that brought a library. dpkg may know it below / or below /usr."""
    spellings = [str(source), str(source).removeprefix("/usr")]
    done = subprocess.run(["dpkg", "-S", *spellings], capture_output=True, text=True, check=False)
    if not done.stdout:
        raise UnknownOriginError(
            f"{source} goes in, and neither a Python distribution nor a Debian package brought it."
        )
    return done.stdout.splitlines()[0].split(":")[0]


def _described(key: tuple[Origin, str]) -> Component:
    origin, name = key
    if origin == "python":
        return _python()
    return _of_debian(name) if origin == "deb" else _of_pypi(name)


def _python() -> Component:
    stdlib = Path(sysconfig.get_path("stdlib"))
    return Component("python", platform.python_version(), "python", "PSF-2.0", (_text(stdlib / "LICENSE.txt"),))


def _of_pypi(name: str) -> Component:
    distribution = metadata.distribution(name)
    fields = distribution.metadata
    texts = [
        _text(Path(str(distribution.locate_file(file))), str(file))
        for file in sorted(distribution.files or [])
        if _LICENCE_FILE.search(str(file)) and file.suffix not in (".py", ".pyc", ".so", ".json")
    ]
    given = [fields[key] for key in ("License-Expression", "License") if fields[key]]
    licence = given[0] if given else _classifiers(fields.get_all("Classifier") or [])
    if name in WITHOUT_TEXT:
        licence, files = WITHOUT_TEXT[name]
        texts = [_text(file) for file in files]
    if name in _HEAD:
        texts = [(_HEAD[name], _head(Path(str(distribution.locate_file(_HEAD[name])))))]
    if name in FONTS:
        texts.append(_text(FONTS[name]))
    if not texts:
        raise UnknownOriginError(f"{name} goes in without the text of its licence; find it, and name it in {__name__}.")
    return Component(name, distribution.version, "pypi", licence.splitlines()[0], tuple(texts))


def _classifiers(classifiers: list[str]) -> str:
    names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    return " or ".join(names) or "see its text"


def _head(module: Path) -> str:
    """The comment that a module begins with."""
    lines = module.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if line and not line.startswith("#")), len(lines))
    return "\n".join(line.removeprefix("#").strip() for line in lines[:end])


def _of_debian(name: str) -> Component:
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}\n", name], capture_output=True, text=True, check=True)
    file = Path("/usr/share/doc") / name / "copyright"
    if not file.is_file():
        raise UnknownOriginError(f"The Debian package {name} goes in, and this machine lacks {file}.")
    title, text = _text(file)
    common = sorted({found for found in _REFERENCE.findall(text) if (COMMON_LICENCES / found).is_file()})
    texts = [(title, text), *(_text(COMMON_LICENCES / found) for found in common)]
    return Component(name, done.stdout.splitlines()[0], "deb", "as its copyright file says", tuple(texts))


def _text(file: Path, title: str = "") -> tuple[str, str]:
    return title or file.name, file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip()

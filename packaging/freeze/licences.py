"""The notices that go with a frozen program, as one text. Knows what is shipped; does not know where it is shown."""

from collections.abc import Iterable

from shipped import Component

RULE = "=" * 72
# One line a paragraph: whoever shows it knows how wide it is.
HEAD = (
    "What Parley is made of",
    "Parley itself is under the Apache License, version 2.0, which comes first below. It contains the works listed "
    "here, each under its own licence; the texts follow in the same order, each text once.",
    "Qt and PySide6 are used under the GNU Lesser General Public License, version 3. They lie as separate libraries in "
    "the folder _internal/PySide6 of the installation, where they may be replaced by other builds of the same "
    "interface. So do FFmpeg's libraries, under version 2.1 of that licence, in _internal/opencv_python_headless.libs. "
    "The sources of both are published by The Qt Company and by the FFmpeg project. Qt contains works of others too, "
    "which its documentation lists under Licenses Used in Qt.",
)
ORIGINS = {"pypi": "Python package", "deb": "Debian package", "python": "with its standard library"}


def notices(components: Iterable[Component], own: Iterable[tuple[str, str]]) -> str:
    """Every licence of what is shipped. `own` are titles and texts of the checkout: its licence, then its fonts'."""
    components = list(components)
    listed = [
        f"    {component.name} {component.version} ({ORIGINS[component.origin]}): {component.licence}"
        for component in components
    ]
    parts = ["\n\n".join(HEAD), "", *listed, ""]
    seen: dict[str, str] = {}
    titled = [("Parley", title, text) for title, text in own]
    titled += [(component.name, title, text) for component in components for title, text in component.texts]
    for name, title, text in titled:
        heading = f"{name}: {title}"
        if text in seen:
            parts += [RULE, f"{heading} is the same text as {seen[text]}", ""]
        else:
            seen[text] = heading
            parts += [RULE, heading, RULE, "", text, ""]
    return "\n".join(parts) + "\n"

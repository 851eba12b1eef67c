"""Colours and fonts: the tokens of both themes, and how they become a palette and a style sheet.

Knows: the look. Does not know: any widget but through the style sheet in `resources/themes`, where `@token@` stands for
a colour. Widgets that paint for themselves are given a `Theme`.
"""

import re
from dataclasses import asdict, dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette

from app import paths
from app.settings import ThemeChoice

TEXT_FAMILY = "Inter"
CODE_FAMILY = "JetBrains Mono"
TEXT_SIZE, TEXT_LINE = 14, 22
QUIET_SIZE, QUIET_LINE = 13, 20
FIGURE_SIZE = 12
CODE_SIZE, CODE_LINE = 13, 20


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one theme, named by what they are used for."""

    name: str
    background: str
    sidebar: str
    card: str
    line: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    soft: str
    thinking: str
    code: str
    hover: str
    warning: str
    warning_soft: str
    selection: str
    scroll: str
    bar_track: str
    bar_first: str
    bar_second: str
    bar_third: str
    bar_fourth: str
    bar_other: str
    keyword: str
    number: str
    string: str
    comment: str
    function: str


LIGHT = Theme(
    name="light",
    background="#fbfaf8",
    sidebar="#f3f1ec",
    card="#ffffff",
    line="#e4e0d8",
    text="#1f1d1a",
    muted="#6d685f",
    accent="#2f6f5e",
    accent_hover="#275d4f",
    on_accent="#ffffff",
    soft="#e6efe9",
    thinking="#f6f4ef",
    code="#f4f2ec",
    hover="#ebe8e1",
    warning="#b25119",
    warning_soft="#fcf4ed",
    selection="#cfe3d9",
    scroll="#d3cec4",
    bar_track="#e4e0d8",
    bar_first="#2f6f5e",
    bar_second="#7fae9d",
    bar_third="#c9b458",
    bar_fourth="#8e9dab",
    bar_other="#c8c3b8",
    keyword="#a13670",
    number="#1f62a8",
    string="#8a5a14",
    comment="#4a7a1e",
    function="#7a4fb0",
)
DARK = Theme(
    name="dark",
    background="#191a1c",
    sidebar="#141517",
    card="#212225",
    line="#313338",
    text="#e9e7e2",
    muted="#9a968d",
    accent="#7cc4ad",
    accent_hover="#92d2bd",
    on_accent="#10241d",
    soft="#22332d",
    thinking="#1d1e21",
    code="#161719",
    hover="#26282b",
    warning="#e39a63",
    warning_soft="#33271e",
    selection="#2f4d43",
    scroll="#3c3f45",
    bar_track="#313338",
    bar_first="#7cc4ad",
    bar_second="#4a7d6d",
    bar_third="#c2a94b",
    bar_fourth="#6d7c89",
    bar_other="#4a4c52",
    keyword="#df8fb8",
    number="#86b8ee",
    string="#e0b97f",
    comment="#a5cf7d",
    function="#c0a1ea",
)


def chosen(choice: ThemeChoice, scheme: Qt.ColorScheme) -> Theme:
    """The theme for the person's choice and the system's colour scheme."""
    if choice == "system":
        return DARK if scheme == Qt.ColorScheme.Dark else LIGHT
    return DARK if choice == "dark" else LIGHT


def load_fonts() -> None:
    """Make the shipped fonts known to Qt; the system's are used where they lack a character."""
    for file in sorted((paths.resources_dir() / "fonts").glob("*.[ot]tf")):
        QFontDatabase.addApplicationFont(str(file))


@dataclass(slots=True)
class _Type:
    """The type that the person chose. One for the program, as the fonts are the program's."""

    family: str = TEXT_FAMILY
    scale: float = 1.0


_TYPE = _Type()


def set_type(family: str, size: int) -> bool:
    """Have all text but code drawn in a family, and all text in sizes that go with `size` pixels of plain text. Whether
    that changes anything; what asked for a font before has to ask again."""
    before = (_TYPE.family, _TYPE.scale)
    _TYPE.family, _TYPE.scale = family or TEXT_FAMILY, size / TEXT_SIZE
    return before != (_TYPE.family, _TYPE.scale)


def scaled(length: float) -> int:
    """A length that goes with the size of text, such as a line's: pixels of the chosen size from those of the usual."""
    return round(length * _TYPE.scale)


def nominal(length: float) -> float:
    """What a length would be where text has its usual size: the inverse of `scaled`, unrounded."""
    return length / _TYPE.scale


def room(width: int) -> int:
    """How much room a width is for text: pixels that it would be for text of the usual size, where it is larger."""
    return round(width / max(1.0, _TYPE.scale))


def text_font(size: float = TEXT_SIZE, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The font of text, at a size in pixels where text has its usual size."""
    font = QFont([_TYPE.family, TEXT_FAMILY])
    font.setPixelSize(max(6, scaled(size)))
    font.setWeight(weight)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def figure_font(size: float = FIGURE_SIZE) -> QFont:
    """The font of figures that change while one looks: every digit is as wide as the others."""
    font = text_font(size)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def code_font(size: float = CODE_SIZE) -> QFont:
    """The font of code, at a size in pixels where text has its usual size."""
    font = QFont(CODE_FAMILY)
    font.setPixelSize(max(6, scaled(size)))
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def palette(theme: Theme) -> QPalette:
    """The theme as Qt's own roles, for whatever the style sheet does not name."""
    colours = QPalette()
    role = QPalette.ColorRole
    for where, colour in (
        (role.Window, theme.background),
        (role.WindowText, theme.text),
        (role.Base, theme.card),
        (role.AlternateBase, theme.sidebar),
        (role.Text, theme.text),
        (role.Button, theme.card),
        (role.ButtonText, theme.text),
        (role.ToolTipBase, theme.card),
        (role.ToolTipText, theme.text),
        (role.PlaceholderText, theme.muted),
        (role.Highlight, theme.selection),
        (role.HighlightedText, theme.text),
        (role.Link, theme.accent),
        (role.LinkVisited, theme.accent),
        (role.Accent, theme.accent),
    ):
        colours.setColor(where, QColor(colour))
    for where in (role.WindowText, role.Text, role.ButtonText):
        colours.setColor(QPalette.ColorGroup.Disabled, where, QColor(theme.muted))
    return colours


def stylesheet(theme: Theme) -> str:
    """The application's style sheet in the theme's colours, in the chosen size of text."""
    sheet = (paths.resources_dir() / "themes" / "parley.qss").read_text(encoding="utf-8")
    sheet = re.sub(r"(font-size|min-height|max-height): ([\d.]+)px", _scaled_size, sheet)
    for token, colour in asdict(theme).items():
        sheet = sheet.replace(f"@{token}@", colour)
    return sheet


def _scaled_size(found: re.Match[str]) -> str:
    length = float(found[2]) * _TYPE.scale
    return f"{found[1]}: {max(6.0, length):.1f}px" if found[1] == "font-size" else f"{found[1]}: {round(length)}px"

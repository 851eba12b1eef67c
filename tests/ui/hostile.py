"""Texts that want something of the window: to load, to run, to mislead or to choke. Always the same ones.

Knows families of tricks and the places in a text where each is tried. Does not know what should become of them.
"""

from collections.abc import Iterator
from itertools import product

HIDDEN = (
    "\u202e\u202d\u202a\u202b\u202c\u2066\u2067\u2068\u2069\u200b\u2060\u2062\ufeff\u00ad\u180e\u3164\u115f\u2028\u2029"
    "\ufffc\ufdd0\ufdd1\ufff9\U000e0041\U000e007f\x08\x1b\x7f\x85\x0b\x0c\ud800\udfff\ufe00\u034f"
)
DIRECTION = "\u200e\u200f\u061c"
PLACES = (
    "{}",
    "before {} after",
    "- {}\n  - {}",
    "1. {}\n\n   {}",
    "> {}\n> > {}",
    "# {}",
    "{}\n===",
    "| a | b |\n|---|---|\n| {} | x |",
    "**{}** _{}_ ~~{}~~",
    "[{}](https://example.org/)",
    "a[^1]\n\n[^1]: {}",
    "- [ ] {}",
    "```html\n{}\n```",
    "    {}",
    "`{}`",
    "$x$ {} $$y$$",
)
SCHEMES = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:image/png;base64,iVBORw0KGgo=",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://example.org/x",
    "mailto:a@example.org",
    "qrc:/icons/parley.svg",
    "about:blank",
    "//example.org/x",
    "\\\\example.org\\share",
    "http:/example.org",
    "https:example.org",
    "https://",
    "http://[",
    "https://exa\u202emple.org/",
    "https://example.org/\u200b",
    "https://example.org\x00.evil/",
    "ms-settings:",
    "x-apple.systempreferences:",
    "tel:1",
    "C:\\Windows\\win.ini",
    "/etc/passwd",
    "http://%00/",
)
MISLEADING = (
    "https://аррӏе.com/",  # Cyrillic letters
    "https://example.org@evil.example/",
    "https://example.org%2f@evil.example/",
    "https://evil.example/https://example.org/",
    "https://xn--e1awd7f.com/",
    "https://EXAMPLE.org/%E2%80%AE",
    "https://ⓔⓧⓐⓜⓟⓛⓔ.org/",
    "https://مثال.example/",
    "http://0x7f000001/",
    "https://example.org/" + "a" * 3_000 + "?evil",
)
LATEX = (
    r"\includegraphics{@}",
    r"\input{@}",
    r"\href{@}{x}",
    r"\text{<img src='@'/>}",
    r"\text{</mtext><image href='@'/>}",
    r"\style{background:url(@)}{x}",
    r"\require{@}",
    r"\def\x{\x\x}\x",
    r"\unicode{x202e}",
    r"\rule{9999em}{9999em}",
    "\\frac{" * 50,
    "&#x202e;<!ENTITY x SYSTEM '@'>",
    r"\color{url(@)}x",
    r"\hspace{99999em}",
)
ENDLESS = "x^{" * 60 + "}" * 60
"""The library that draws takes for ever: each level twice as long."""
BOMBS = (
    *(mark * 3_000 for mark in "[*_`>#~$|<!\\(&"),
    "[" * 500 + "]" * 500 + "(x)" * 500,
    "![" * 900 + "](" * 900,
    "- " * 900 + "x",
    "> " * 900 + "x",
    "".join("  " * depth + "- x\n" for depth in range(90)),
    "|" + "a|" * 600 + "\n|" + "-|" * 600 + "\n|" + "b|" * 600,
    "| a |\n|---|\n" + "| b |\n" * 400,
    "```" + "x" * 4_000 + "\ny",
    "a" * 20_000,
    "𝒳" * 5_000,
    "a\u0301" * 300 + "\u0301" * 2_000,
    "\\[" * 1_500,
    "$$\n" * 900,
    "[^1]" * 900,
    "[a]: " + "<" * 2_000,
    "&" + "a" * 3_000 + ";",
    "<" + "a" * 3_000 + ">",
    "*a **a " * 700,
    "http://" * 900,
    "\t" * 3_000 + "x",
)


def loading(address: str) -> Iterator[str]:
    """Ways to ask for what is at an address, in every place of a text."""
    ways = (
        "![x](@)",
        "![x](<@>)",
        "![x][r]\n\n[r]: @",
        "<img src='@'>",
        '<img srcset="@ 2x" onerror="alert(1)">',
        "<iframe src=@></iframe>",
        "<link rel=stylesheet href='@'>",
        "<style>@import url(@); p { background: url('@') }</style>",
        "<object data='@'></object>",
        "<svg><image href='@'/></svg>",
        "<table background='@'><tr><td>x</table>",
        "<script src='@'></script>",
        "<@>",
        "[x](@ \"<img src='@'>\")",
    )
    for place, way in product(PLACES, ways):
        yield place.replace("{}", way.replace("@", address))


def misleading() -> Iterator[str]:
    """Links that lead elsewhere than they say, or to no page."""
    for address in (*SCHEMES, *MISLEADING):
        for way in ("[https://example.org/](@)", "[x](<@>)", "<@>", "[x][r]\n\n[r]: @", "[x](@ 'https://example.org')"):
            yield way.replace("@", address)


def hidden() -> Iterator[str]:
    """Characters that cannot be seen, in every place of a text."""
    for place, character in product(PLACES, HIDDEN + DIRECTION):
        yield place.replace("{}", f"ad{character}min")


def formulas(address: str) -> Iterator[str]:
    """LaTeX that is none."""
    yield from (latex.replace("@", address) for latex in LATEX)

"""A conversation as one page of HTML: all of it is there, and nothing of it is markup or fetched."""

import hashlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.chat.conversation import Attached, Conversation
from app.history import files, jobs
from app.history.page import html_of
from app.history.store import Store
from app.protocol import Export, Media
from tests.history.conftest import answered

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
ALLOWED = {"href", "rel", "class", "dir", "alt", "src", "charset", "http-equiv", "content", "name", "style", "start"}
VOID = {"html", "head", "meta", "title", "style", "body", "article", "header", "section", "div", "details", "summary"}
PROSE = {"h1", "h2", "h3", "p", "a", "em", "strong", "s", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br"}
TABLE = {"table", "thead", "tbody", "tr", "th", "td", "img"}


class Seen(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def harmless(page: str) -> Seen:
    seen = Seen(page)
    for tag, attributes in seen.tags:
        assert tag in VOID | PROSE | TABLE, tag
        assert set(attributes) <= ALLOWED, (tag, attributes)
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
        assert (attributes.get("href") or "https:").lower().startswith(("http:", "https:"))
    return seen


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![a](file:///etc/passwd)",
    "![a](https://evil.example/pixel.png \"onload='x'\")",
    "[a](javascript:alert(1)) [b](file:///etc/passwd) [c](data:text/html,x) [d](HTTP://[::1)",
    "<https://a.example/\"onmouseover='x'>",
    "```html\" onclick='x'\n</code></pre><script>\n```",
    "</style></title><script>x</script>",
    "| <b>a</b> | `</td><script>` |\n|---|---|\n| ![x](//evil) | \x00\ufffe |",
    ">" * 500 + "deep",
    "[" * 2000,
    "&lt;script&gt; &#60;script&#62;",
    "\u202egnp.exe",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup_or_is_fetched(store: Store, where: Path, tmp_path: Path, text: str) -> None:
    conversation = Conversation(name=text[:100])
    answered(conversation, text, text, thinking=text)
    store.put(conversation)
    file = tmp_path / "x.html"
    jobs.do(Export("1", "html", str(file), (conversation.key,)), where)
    seen = harmless(file.read_text(encoding="utf-8"))
    assert [tag for tag, _ in seen.tags if tag == "img"] == []
    assert text.translate({0x202E: "⟨U+202E⟩"}).split("\n")[0][:40].strip("\x00") in seen.text


def test_a_page_holds_its_pictures_and_is_a_whole(store: Store, where: Path, tmp_path: Path) -> None:
    attached = []
    for name, content in (("cat.png", PNG), ('<b>"x".svg', b"<svg onload='alert(1)'/>"), ("gone.png", b"")):
        digest = hashlib.sha256(content).hexdigest()
        source = tmp_path / "source"
        source.write_bytes(content)
        if content:
            files.keep(where, digest, source)
        attached.append(Attached(Media("image", name, digest, "/c/x.rgb", 8, 8), ()))
    conversation = Conversation()
    conversation.ask("What <is> it?", tuple(attached), True).interrupted(1.0)
    other = Conversation()
    answered(other, "Two", "| a | b |\n|---|---|\n| **1** | ~~2~~ |\n\n[site](https://example.org/a?b=1&c=2)")
    store.put(conversation)
    store.put(other)
    said = jobs.do(Export("1", "html", str(tmp_path / "all.html")), where)
    assert said.note.startswith("2 conversations were written")  # type: ignore[union-attr]
    seen = harmless((tmp_path / "all.html").read_text(encoding="utf-8"))
    (picture,) = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert (picture["src"] or "").startswith("data:image/png;base64,iVBOR")
    assert "What <is> it?" in seen.text
    assert '<b>"x".svg' in seen.text
    assert "gone.png" in seen.text
    assert "(interrupted)" in seen.text
    assert "https://example.org/a?b=1&c=2" in [attributes.get("href") for _, attributes in seen.tags]
    policy = next(each["content"] for tag, each in seen.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert (policy or "").startswith("default-src 'none'")
    assert not (tmp_path / "all files").exists()


def test_formulas_stay_as_they_were_written() -> None:
    formulas = r"\(a_1 < b_1\), $x_1 * y_1 * z$ and \[ \frac{a}{b} \], $$\\\\ c$$; $5 and $10 or \*none"
    assert html_of(formulas) == "<p>" + formulas.replace("<", "&lt;").replace(r"\*", "*") + "</p>\n"


def test_markdown_looks_as_it_was_meant() -> None:
    assert html_of("**a** `b`\n\n- c") == "<p><strong>a</strong> <code>b</code></p>\n<ul>\n<li>c</li>\n</ul>\n"

"""Markdown of the model: the same however it arrives, quick while it grows, unable to load anything."""

import time
from pathlib import Path
from typing import cast

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QTextDocument, QTextTable
from PySide6.QtTest import QSignalSpy
from PySide6.QtWidgets import QApplication, QMessageBox

from app.ui.application import Face
from app.ui.code_block import CodeBlock
from app.ui.highlight import pieces
from app.ui.markdown_blocks import Block, CodeText, MarkdownStream, ProseBlock
from app.ui.markdown_view import MarkdownView
from app.ui.prose import Prose
from app.ui.prose_writer import safe_link
from app.ui.theme import DARK, LIGHT
from tests.ui.conftest import ask, until
from tests.ui.fake_engine import CODE, LIST, SENTENCE, TABLE, TRAP

ODD = "# A\nb\n===\n\n- a\n\n\n- b\n\npara\n    more"
TEXTS = (CODE, LIST, TABLE, TRAP, ODD, "```py\nx\n```\nafter")


def described(blocks: list[Block]) -> list[object]:
    """What the blocks hold; lists that were cut while they grew are put together again."""
    whole: list[object] = []
    goes_on = False
    for block in blocks:
        if isinstance(block, CodeText):
            whole.append(block)
            continue
        held = [(token.type, token.content) for token in block.tokens]
        if goes_on:
            whole[-1] = [*cast("list[object]", whole[-1])[:-1], *held[1:]]
        else:
            whole.append(held)
        goes_on = isinstance(block, ProseBlock) and block.goes_on
    return whole


def streamed(text: str, step: int) -> list[Block]:
    stream = MarkdownStream()
    blocks: list[Block] = []
    for end in range(step, len(text) + step, step):
        blocks += stream.grown(text[:end], complete=False)[0]
    return [*blocks, *stream.grown(text, complete=True)[0]]


def shown(view: MarkdownView) -> str:
    return "\n".join(prose.toPlainText() for prose in view.findChildren(Prose) if not prose.isHidden())


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("step", [1, 7])
def test_blocks_are_the_same_however_the_text_arrives(text: str, step: int) -> None:
    assert described(streamed(text, step)) == described(MarkdownStream().grown(text, complete=True)[0])


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_seen_is_the_same_however_the_text_arrives(app: QApplication, text: str) -> None:
    at_once, growing = MarkdownView(LIGHT), MarkdownView(LIGHT)
    at_once.set_text(text, complete=True)
    for end in range(0, len(text), 5):
        growing.set_text(text[:end], complete=False)
    growing.set_text(text, complete=True)
    assert lines(growing) == lines(at_once)
    code = [[block.text for block in view.findChildren(CodeBlock)] for view in (growing, at_once)]
    assert code[0] == code[1]


def lines(view: MarkdownView) -> list[tuple[str, str, float]]:
    """Every paragraph with its number or bullet and the gap below it."""
    found = []
    for prose in view.findChildren(Prose):
        block = prose.document().begin()
        while block.isValid() and not prose.isHidden():
            listed = block.textList()
            mark = listed.itemText(block) if listed is not None else ""
            found.append((mark, block.text(), block.blockFormat().bottomMargin()))
            block = block.next()
    return found


def test_an_ordered_list_is_numbered(app: QApplication) -> None:
    view = MarkdownView(LIGHT)
    view.set_text("7. a\n8. b\n\n   more\n9. c\n   - d\n", complete=True)
    assert [(mark, text) for mark, text, _ in lines(view)] == [
        ("7.", "a"),
        ("8.", "b"),
        ("", "more"),
        ("9.", "c"),
        (".", "d"),
    ]


def test_it_is_formatted(app: QApplication) -> None:
    view = MarkdownView(LIGHT)
    view.set_text(LIST, complete=True)
    text = shown(view)
    for words in ("What to look for", "The colour of each object, with hex values", "a^2 + b^2", "E = m c^2", "more"):
        assert words in text
    assert "**" not in text
    assert "[the documentation]" not in text


def test_a_table_is_a_table(app: QApplication) -> None:
    view = MarkdownView(LIGHT)
    view.set_text(f"Before\n\n{TABLE}\nAfter", complete=True)
    tables = [
        child
        for prose in view.findChildren(Prose)
        for child in prose.document().rootFrame().childFrames()
        if isinstance(child, QTextTable)
    ]
    assert [(table.rows(), table.columns()) for table in tables] == [(4, 2)]
    assert tables[0].cellAt(2, 1).firstCursorPosition().block().text() == "3"


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_code_is_coloured_in_both_themes(app: QApplication, theme: object) -> None:
    assert theme in (LIGHT, DARK)
    colours = {colour for _, colour in pieces("python", "import os  # why\nx = 1 + len('a')\n", LIGHT)}
    assert {LIGHT.keyword, LIGHT.comment, LIGHT.number, LIGHT.string} <= colours
    assert {colour for _, colour in pieces("no such language", "import os", LIGHT)} == {LIGHT.text}


def test_an_open_code_block_grows_in_place(app: QApplication) -> None:
    view = MarkdownView(LIGHT)
    view.set_text("Look:\n\n```python\nimport os", complete=False)
    block = view.findChildren(CodeBlock)[0]
    view.set_text("Look:\n\n```python\nimport os\nprint(1)\n```\n\nDone", complete=False)
    assert view.findChildren(CodeBlock) == [block]
    assert block.text == "import os\nprint(1)"


def test_drawing_it_again_in_another_theme_keeps_the_text(app: QApplication) -> None:
    view = MarkdownView(LIGHT)
    view.set_text(LIST, complete=True)
    before = shown(view)
    view.apply_theme(DARK)
    assert shown(view) == before


STORY = "\n\n".join([SENTENCE * 4] * 22)
LONG_LIST = "\n".join(f"{number}. step {number} with some words" for number in range(1, 200))
LONG_CODE = "```python\n" + "import os  # why\nprint(len('a'))\n" * 150


@pytest.mark.parametrize("text", [STORY, LONG_LIST, LONG_CODE], ids=["story", "list", "code"])
def test_a_growing_text_costs_little_a_paint(app: QApplication, text: str) -> None:
    view = MarkdownView(LIGHT)
    view.resize(720, 800)
    view.show()
    costs = []
    for end in range(0, len(text), 60):
        began = time.perf_counter()
        view.set_text(text[:end], complete=False)
        costs.append(time.perf_counter() - began)
    assert sorted(costs)[len(costs) // 2] < 0.033  # measured: 1 to 3 ms; a paint is due every 33


def test_nothing_is_loaded_because_of_what_the_model_wrote(app: QApplication, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"not for the window")
    view = MarkdownView(LIGHT)
    view.set_text(f"{TRAP}\n\n![x]({QUrl.fromLocalFile(str(secret)).toString()})", complete=True)
    for prose in view.findChildren(Prose):
        kind = QTextDocument.ResourceType.ImageResource.value
        asked = prose.document().resource(kind, QUrl.fromLocalFile(str(secret)))
        assert not asked
        assert not any(f.isImageFormat() for f in prose.document().allFormats())
    text = shown(view)
    assert "[picture: pixel]" in text
    assert "<script>alert(1)</script>" in text


def test_only_web_pages_are_links(app: QApplication) -> None:
    view = MarkdownView(LIGHT)
    view.set_text(TRAP, complete=True)
    formats = [f.toCharFormat() for prose in view.findChildren(Prose) for f in prose.document().allFormats()]
    assert {f.anchorHref() for f in formats if f.isAnchor()} == {"https://example.org/"}


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "javascript:x", "http://", "ftp://a.b", "//a.b", "", "http://["]
)
def test_other_addresses_are_no_links(address: str) -> None:
    assert safe_link(address) == ""


def test_a_link_asks_first_and_shows_where_it_leads(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("app.ui.link_dialog.QDesktopServices.openUrl", lambda url: opened.append(url.toString()))
    ask(face.window, "trap")
    until(lambda: not face.session.running(face.session.current))
    prose = next(p for p in face.window.transcript.findChildren(Prose) if "local" in p.toPlainText())
    spy = QSignalSpy(prose.link_activated)
    for answer, expected in ((1, []), (0, ["https://example.org/"])):
        prose.anchorClicked.emit(QUrl("https://example.org/"))
        dialog = face.window.findChildren(QMessageBox)[-1]
        assert dialog.informativeText() == "https://example.org/"
        dialog.buttons()[answer].click()
        assert opened == expected
    assert spy.count() == 2


@pytest.mark.usefixtures("app")
def test_a_language_whose_name_arrives_in_pieces_is_taken_over() -> None:
    view = MarkdownView(LIGHT)
    for text in ("```", "```py", "```python\n", "```python\nx = 1\n"):
        view.set_text(text, complete=False)
    block = view.findChild(CodeBlock)
    assert block is not None
    assert block.label.text() == "python"

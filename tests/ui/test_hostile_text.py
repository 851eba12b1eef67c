"""Nothing in a text is trusted: more than a thousand texts that want something, and nothing of it happens.

That no file is opened is asked of the system (inotify on Linux), because Qt opens files without Python's knowledge.
"""

import ctypes
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PySide6.QtCore import QFile, QIODevice
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QScrollArea

from app.formulas.program import answer
from app.protocol import DrawFormula
from app.ui.code_block import CodeBlock
from app.ui.formulas import formulas
from app.ui.link_dialog import LinkDialog
from app.ui.markdown_view import MarkdownView
from app.ui.prose import TextPiece
from app.ui.safe_link import host_of, safe_link, shown_address
from app.ui.theme import LIGHT
from app.ui.visible_text import in_code
from tests.ui import hostile
from tests.ui.conftest import until

UNSEEN = re.compile(f"[{re.escape(hostile.HIDDEN.replace(chr(0x2028), ''))}]")


class Witness:
    """Sees every opening of a file below a folder, and every connection to a port."""

    heard: list[str] | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bait = folder / "secret.png"
        self.bait.write_bytes(b"\x89PNG not for the window")
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.opened = -1
        if sys.platform == "linux":
            system = ctypes.CDLL(None, use_errno=True)
            self.opened = system.inotify_init1(os.O_NONBLOCK)
            assert system.inotify_add_watch(self.opened, os.fsencode(folder), 0x20) > 0  # IN_OPEN

    def seen(self) -> list[str]:
        """What happened since it was asked last."""
        found = list(Witness.heard or [])
        Witness.heard = []
        with suppress(BlockingIOError):
            self.listener.accept()[0].close()
            found.append("a connection")
        with suppress(BlockingIOError):
            found += ["a file"] if self.opened >= 0 and os.read(self.opened, 4096) else []
        return found

    def close(self) -> None:
        Witness.heard = None
        self.listener.close()
        if self.opened >= 0:
            os.close(self.opened)


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if Witness.heard is not None and event in ("socket.connect", "subprocess.Popen", "os.system", "os.exec"):
        Witness.heard.append(f"{event} {arguments}")


sys.addaudithook(_hear)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = Witness(tmp_path)
    Witness.heard = []
    yield made
    made.close()


@pytest.fixture
def view(app: QApplication) -> Iterator[MarkdownView]:
    """In an area that it is scrolled in, as in the window."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    made = MarkdownView(LIGHT)
    area.setWidget(made)
    area.resize(500, 700)
    area.show()
    yield made
    area.hide()
    area.deleteLater()
    formulas().close()


def painted(view: MarkdownView, text: str) -> list[TextPiece]:
    """The pieces of a text that is shown, laid out and painted."""
    view.set_text(text, complete=True)
    QApplication.processEvents()
    view.window().grab()
    return [segment.piece for segment in view.segments if segment.piece is not None]


def test_the_witness_sees(witness: Witness) -> None:
    assert witness.seen() == []
    if sys.platform == "linux":
        file = QFile(str(witness.bait))  # as Qt would
        assert file.open(QIODevice.OpenModeFlag.ReadOnly)
        file.close()
        assert witness.seen() == ["a file"]
    with socket.create_connection(("127.0.0.1", witness.port)):
        assert "a connection" in witness.seen()


def test_nothing_is_loaded(view: MarkdownView, witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(TextPiece, "loadResource", lambda _self, _kind, name: asked.append(name))
    addresses = (witness.bait.as_uri(), str(witness.bait), f"http://127.0.0.1:{witness.port}/x.png")
    texts = [text for address in addresses for text in hostile.loading(address)]
    assert len(texts) > 600
    for text in texts:
        for piece in painted(view, text):
            assert not any(style.isImageFormat() for style in piece.document().allFormats()), text
    assert asked == []
    assert witness.seen() == []


def test_only_web_pages_are_links_and_their_address_is_shown_whole(view: MarkdownView) -> None:
    found = set()
    for text in hostile.misleading():
        for piece in painted(view, text):
            styles = [style.toCharFormat() for style in piece.document().allFormats()]
            found |= {style.anchorHref() for style in styles if style.isAnchor()}
    assert {address.split(":")[0] for address in found} == {"http", "https"}
    assert not any(safe_link(address) for address in hostile.SCHEMES)
    for address in found:
        shown = shown_address(address)
        assert shown.isascii()
        assert shown.isprintable()
        dialog = LinkDialog(address)
        assert host_of(address) in dialog.text()
        assert dialog.address.toPlainText() == shown
    assert host_of("https://аррӏе.com/") == "xn--80ak6aa92e.com"
    assert host_of("https://example.org@evil.example/") == "evil.example"


def test_nothing_is_hidden_and_what_is_copied_is_what_is_seen(view: MarkdownView) -> None:
    texts = list(hostile.hidden())
    assert len(texts) > 400
    for text in texts:
        pieces = painted(view, text)
        view.selection.select_all()
        pieces[0].copy()
        copied = QGuiApplication.clipboard().text()
        assert not UNSEEN.search(copied), ascii(text)
        for block in view.findChildren(CodeBlock):
            assert in_code(block.text) == block.text
            block.copy_button.click()
            assert QGuiApplication.clipboard().text() == block.text
        for piece in pieces:
            seen = piece.toPlainText().replace("\n", "")
            assert not UNSEEN.search(seen.replace("\ufffc", "")), ascii(text)


def test_code_and_links_show_what_turns_the_direction(view: MarkdownView) -> None:
    for text in (
        "```\nif a\u202e:\n```",
        "`a\u202e`",
        "[a\u202eb](https://example.org/)",
        "[a\u200fb](https://a.org/)",
    ):
        (piece,) = painted(view, text)
        assert "⟨U+20" in piece.toPlainText()


def test_what_a_script_needs_stays(view: MarkdownView) -> None:
    for text in ("می\u200cخواهم", "👨\u200d👩\u200d👧", "❤\ufe0f", "עברית\u200f (a)"):
        (piece,) = painted(view, text)
        assert piece.toPlainText() == text
        assert piece.shown() == text


@pytest.mark.parametrize("text", hostile.BOMBS, ids=range(len(hostile.BOMBS)))
def test_nothing_chokes_it(view: MarkdownView, text: str) -> None:
    view.set_text(text[: len(text) // 2], complete=False)
    painted(view, text)  # comes to an end; how soon is measured by tests/bench/window.py
    assert view.segments


def test_formulas_load_and_run_nothing(witness: Witness) -> None:
    for latex in hostile.formulas(str(witness.bait)):
        answer(DrawFormula("1", latex, display=True))
        assert witness.seen() == [], latex


def test_a_formula_that_takes_too_long_is_given_up(view: MarkdownView) -> None:
    view.set_text(f"${hostile.ENDLESS}$ and $a_{{1}} + 1$", complete=True)
    until(lambda: formulas().outline("a_{1} + 1", display=False) is not None, "", 60_000)
    assert formulas().outline(hostile.ENDLESS, display=False) is None
    assert not formulas().waits_for(hostile.ENDLESS, display=False)
    (segment,) = view.segments
    until(lambda: segment.shown() == f"{hostile.ENDLESS} and a_{{1}} + 1")

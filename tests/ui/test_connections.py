"""The page of all connections: a switch that counts for each, when each was last made, a proxy, a token in no file."""

from pathlib import Path

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest

from app import connections, settings
from app.ui.application import Face
from app.ui.connections_dialog import BAD_PROXY, NAMED_PROXY, ConnectionsDialog
from app.ui.link_dialog import LinkDialog
from app.ui.status_line import PRIVATE
from tests.download.hub import Fault, Hub
from tests.ui.conftest import WEIGHTS, until
from tests.ui.test_models import begin, stage


def the_dialog(face: Face) -> ConnectionsDialog:
    face.window.header.menu.connections_requested.emit()
    (dialog,) = [each for each in face.window.findChildren(ConnectionsDialog) if each.isVisible()]
    return dialog


def test_a_token_reaches_the_hub_and_no_file(face: Face, hub: Hub, home: Path) -> None:
    hub.token = "-".join(("hf", "secretsecret"))
    dialog = the_dialog(face)
    QTest.keyClicks(dialog.page.token, hub.token)
    dialog.page.token.editingFinished.emit()
    dialog.close()
    desk = begin(face)
    until(stage(desk, "arrived"))
    kept = [file for file in home.rglob("*") if file.is_file() and b"secretsecret" in file.read_bytes()]
    assert kept == []


def test_a_proxy_is_used_kept_and_refused_with_a_password(
    face: Face, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog = the_dialog(face)
    for written, said in (("nonsense", BAD_PROXY), ("http://ada:secret@127.0.0.1:3128", NAMED_PROXY)):
        dialog.page.proxy.setText(written)
        dialog.page.proxy.editingFinished.emit()
        assert dialog.page.said.text() == said
        assert settings.load().proxy == ""
    dialog.page.proxy.setText(hub.address)
    dialog.page.proxy.editingFinished.emit()
    dialog.close()
    assert settings.load().proxy == hub.address
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    desk = begin(face)
    until(lambda: any(headers.get("Host") == "hub.invalid" for _, headers in hub.headers))
    desk.fetching.cancel()
    until(stage(desk, "none"))


def test_what_is_switched_off_asks_nothing_of_the_hub(face: Face, hub: Hub) -> None:
    dialog = the_dialog(face)
    models = dialog.page.rows[0]
    assert models.last.text() == "Never made so far."
    models.switch.click()
    assert models.last.text().startswith("Switched off.")
    dialog.close()
    desk = begin(face)
    until(stage(desk, "failed"))
    assert "switched off" in desk.page.offer.note.text()
    assert hub.headers == []
    again = the_dialog(face).page.rows[0]
    assert not again.switch.isChecked()
    again.switch.click()
    desk.page.offer.go_on.click()
    until(stage(desk, "arrived"))
    again._show()
    assert again.last.text().startswith("Last made today at ")


def test_a_download_ends_at_once_when_it_is_switched_off(face: Face, hub: Hub) -> None:
    hub.fail(WEIGHTS, Fault(after=2**20, hang=True))
    desk = begin(face)
    until(lambda: desk.fetching.now.done > 2**20)
    the_dialog(face).page.rows[0].switch.click()
    assert desk.fetching.now.stage == "paused"
    assert face.window.status.private.text() == PRIVATE
    asked = len(hub.headers)
    desk.page.offer.go_on.click()
    until(stage(desk, "failed"))
    assert "switched off" in desk.page.offer.note.text()
    assert len(hub.headers) == asked


def test_links_are_switched_off_and_counted(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", shown.append)
    connections.allow("links", allowed=False)
    face.window.transcript.link_activated.emit("https://example.org/")
    assert face.window.findChild(LinkDialog) is None
    assert "switched off" in face.window.notice.sentence.text()
    connections.allow("links", allowed=True)
    face.window.transcript.link_activated.emit("https://example.org/")
    dialog = face.window.findChild(LinkDialog)
    assert dialog is not None
    assert connections.last_made("links") is None
    dialog._yes.click()
    assert [url.toString() for url in shown] == ["https://example.org/"]
    assert connections.last_made("links") is not None

"""Models as a person gets, lists, checks and removes them: the real window, the real downloader, a hub for tests."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog

from app import connections, settings
from app.models import catalogue
from app.models.catalogue import Catalogue, Kept, Unfinished
from app.programs import Program
from app.settings import Settings
from app.ui.application import Face
from app.ui.computer_card import LOOKING, MEMORY
from app.ui.leave_question import LeaveQuestion
from app.ui.model_desk import ModelDesk
from app.ui.model_row import ModelRow
from app.ui.models_page import MODELS, WELCOME
from app.ui.status_line import PRIVATE
from tests.download.hub import REPOSITORY, Fault, Hub, contents
from tests.ui.conftest import WEIGHTS, FaceMaker, ask, until

MB = 2**20
NAME = "Tiny-Qwen3.5"


@pytest.fixture
def place(home: Path) -> Path:
    """The folder that the hub's model goes into."""
    return home / "data" / "models" / REPOSITORY


@pytest.fixture
def fetched(place: Path, hub: Hub) -> Path:
    """A model that an earlier window has fetched, with its record."""
    from app.download.control import Control
    from app.download.fetch import Fetch
    from app.download.hub import Hub as Client
    from app.download.progress import Progress

    Fetch(Client(hub.address), place, Control(), Progress("1", lambda _: None)).run(REPOSITORY)
    catalogue.save(Catalogue((Kept(str(place), NAME, REPOSITORY, "INT4", 3 * MB, checked_at=1e9),)))
    return place


def opened(face: Face) -> ModelDesk:
    face.window.header.menu.models_requested.emit()
    return face.window.models


def begin(face: Face, repository: str = REPOSITORY) -> ModelDesk:
    """Name a repository on the page, and press Download."""
    desk = opened(face)
    offer = desk.page.offer
    offer.another.click()
    QTest.keyClicks(offer.other, repository)
    offer.download.click()
    return desk


def stage(desk: ModelDesk, *wanted: str) -> Callable[[], bool]:
    return lambda: desk.fetching.now.stage in wanted


def row(desk: ModelDesk, folder: Path) -> ModelRow:
    return desk.page.rows[str(folder)]


def choose(face: Face, folder: Path) -> None:
    """Choose a folder in the dialog that is open."""
    (dialog,) = [each for each in face.window.findChildren(QFileDialog) if each.isVisible()]
    dialog.fileSelected.emit(str(folder))
    dialog.close()


def listed() -> list[str]:
    return [model.folder for model in catalogue.load().models]


# ---- the first start -------------------------------------------------------------------------------------------------


def test_the_first_start_says_what_was_found_is_skipped_and_found_again(new_face: FaceMaker) -> None:
    settings.save(Settings())
    face = new_face()
    shell, page = face.window.shell, face.window.models.page
    until(lambda: shell.models_shown)
    assert page.title.text() == WELCOME
    until(lambda: page.computer.sentence.text() != LOOKING)
    assert page.computer.figures[MEMORY].text().endswith("GiB free")
    assert "Qwen3.5-27B" in page.computer.sentence.text()
    assert "20.4 GB to download: about 27 minutes" in page.offer.about.text()
    page.leave.click()
    assert not shell.models_shown
    assert settings.load().welcomed
    face.close()
    second = new_face()
    until(lambda: second.ready)
    assert not second.window.shell.models_shown
    opened(second)
    assert second.window.models.page.title.text() == MODELS
    assert not second.window.models.page.demo.isVisible()


def test_a_computer_that_cannot_be_looked_at_is_said(face: Face) -> None:
    desk = face.window.models
    desk.clerk._lines._program = Program(["/no/such/program"], "/")
    opened(face)
    until(lambda: "could not be found out" in desk.page.computer.sentence.text())


def test_the_demo_answers_from_the_first_page_on(new_face: FaceMaker) -> None:
    settings.save(Settings())
    face = new_face()
    until(lambda: face.window.shell.models_shown)
    ask(face.window, "What is 37 + 48?")
    assert not face.window.shell.models_shown, "what one asks is looked at"
    assert settings.load().welcomed, "to ask is a way to leave the page"
    until(lambda: not face.session.running(face.session.current))
    face.window.resize(1360, 860)
    assert face.window.pane.isVisible()
    desk = opened(face)
    assert not face.window.pane.isVisible()
    desk.page.leave.click()
    assert face.window.pane.isVisible(), "what one was reading is there again"
    opened(face)
    QTest.keyClick(face.window.composer.edit, Qt.Key.Key_Escape)
    assert not face.window.shell.models_shown


# ---- a download ------------------------------------------------------------------------------------------------------


def test_a_model_arrives_while_the_demo_answers_and_is_loaded_with_one_click(face: Face, hub: Hub, place: Path) -> None:
    hub.fail(WEIGHTS, Fault(after=MB, hang=True))
    desk = begin(face)
    offer, status = desk.page.offer, face.window.status
    until(lambda: desk.fetching.now.done > MB)
    assert offer.title.text() == f"Getting {NAME}"
    assert offer.figures.text().startswith("1.0 MB of") or " MB of " in offer.figures.text()
    assert 0 < offer.bar.value() < offer.bar.maximum()
    assert status.private.text().startswith(f"Getting {NAME} · ")
    ask(face.window, "What is 37 + 48?")
    until(lambda: not face.session.running(face.session.current))
    assert desk.fetching.now.stage != "arrived"
    desk.fetching.pause()  # lets go of the line that hangs
    until(stage(desk, "paused"))
    assert status.private.text() == PRIVATE
    desk.fetching.go_on()
    until(stage(desk, "arrived"))
    notice = face.window.notice
    assert notice.sentence.text() == f"{NAME} is here, and every file was checked."
    notice.button.click()
    assert face.window.settings.model == str(place)
    until(lambda: face.ready and listed() == [str(place)])
    assert status.private.text() == PRIVATE
    kept = catalogue.load()
    assert kept.unfinished is None
    until(lambda: catalogue.load().models[0].precision == "INT4 · EoRA 8")
    assert catalogue.load().models[0].used_at > 0
    assert connections.last_made("models") is not None


def test_what_was_paused_waits_for_the_next_window_and_goes_on(new_face: FaceMaker, hub: Hub, place: Path) -> None:
    first = new_face()
    hub.fail(WEIGHTS, Fault(after=2 * MB, hang=True))
    desk = begin(first)
    until(lambda: desk.fetching.now.done > 2 * MB)
    desk.page.offer.pause.click()
    until(stage(desk, "paused"))
    first.close()
    asked = len(hub.headers)
    second = new_face()
    until(lambda: second.ready)
    desk = opened(second)
    offer = desk.page.offer
    assert offer.isVisible()
    assert (desk.fetching.now.stage, len(hub.headers)) == ("paused", asked), "nothing is asked of the hub"
    assert offer.figures.text().endswith("paused")
    assert offer.bar.value() > 0
    offer.go_on.click()
    until(stage(desk, "arrived"))
    assert (place / WEIGHTS).stat().st_size == 3 * MB


def test_quitting_asks_says_what_happens_and_the_next_window_goes_on(
    new_face: FaceMaker, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QApplication, "quit", lambda _app: None)  # the tests need it still
    first = new_face()
    hub.fail(WEIGHTS, Fault(after=MB, hang=True))
    desk = begin(first)
    until(lambda: desk.fetching.now.done > MB)
    first.window.close()
    question = first.window.findChild(LeaveQuestion)
    assert question is not None
    assert first.window.isVisible()
    assert "goes on by itself" in question.informativeText()
    question.stay.click()
    assert desk.fetching.now.under_way
    first.window.close()
    (question,) = [each for each in first.window.findChildren(LeaveQuestion) if each.isVisible()]
    question.quit.click()
    assert not first.window.isVisible()
    first.close()
    second = new_face()
    until(stage(second.window.models, "arrived"), "it goes on without being told")


def test_a_stall_is_said_as_a_stall(face: Face, hub: Hub) -> None:
    hub.fail(WEIGHTS, Fault(after=MB, hang=True))
    desk = begin(face)
    until(stage(desk, "stalled"), "the downloader's patience is five seconds", 20_000)
    assert desk.page.offer.note.text().startswith("Nothing has come for 5 seconds.")
    assert face.window.status.private.text() == f"Getting {NAME} · stalled"


def test_cancelling_asks_and_takes_away_what_has_arrived(face: Face, hub: Hub, place: Path) -> None:
    hub.fail(WEIGHTS, Fault(after=MB, hang=True))
    desk = begin(face)
    offer = desk.page.offer
    until(lambda: desk.fetching.now.done > MB)
    offer.cancel.click()
    assert offer.about.text().startswith("Delete the ")
    offer.keep.click()
    assert offer.pause.isVisible()
    offer.cancel.click()
    offer.delete.click()
    until(stage(desk, "none"))
    assert not place.exists()
    assert catalogue.load().unfinished is None
    assert offer.download.isVisible()


def test_models_go_where_the_person_wants_them(face: Face, hub: Hub, tmp_path: Path) -> None:
    desk = opened(face)
    desk.page.offer.change.click()
    choose(face, tmp_path)
    assert settings.load().models_folder == str(tmp_path)
    assert desk.page.offer.place.text() == f"Into {tmp_path}"
    begin(face)
    until(stage(desk, "arrived"))
    assert (tmp_path / REPOSITORY / WEIGHTS).is_file()
    desk.page.offer.load.click()
    until(lambda: face.ready and face.window.settings.model == str(tmp_path / REPOSITORY))
    assert not face.window.shell.models_shown


def test_a_failure_is_a_sentence_with_ways_out(face: Face, hub: Hub) -> None:
    desk = begin(face, "nobody/nothing")
    until(stage(desk, "failed"))
    offer = desk.page.offer
    assert offer.note.text() == "127.0.0.1 has no nobody/nothing at main; check the name."
    assert offer.go_on.isVisible()
    offer.cancel.click()
    offer.delete.click()
    assert desk.fetching.now.stage == "none"


def test_a_dead_downloader_is_said_and_started_again(face: Face, hub: Hub) -> None:
    hub.fail(WEIGHTS, Fault(after=MB, hang=True))
    desk = begin(face)
    until(lambda: desk.fetching.now.done > MB)
    os.kill(desk.fetching._lines.pid, 9)
    until(stage(desk, "failed"))
    assert "What has arrived is kept" in desk.page.offer.note.text()
    desk.page.offer.go_on.click()
    until(stage(desk, "arrived"))


# ---- the list --------------------------------------------------------------------------------------------------------


class _Opened(QObject):
    """Takes the place of the file manager."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[QUrl] = []

    @Slot(QUrl)
    def open(self, url: QUrl) -> None:
        self.urls.append(url)


def test_models_stand_side_by_side_are_switched_shown_and_described(new_face: FaceMaker, fetched: Path) -> None:
    face = new_face()
    until(lambda: face.ready)
    desk = opened(face)
    mine = row(desk, fetched)
    assert desk.page.rows[""].use.text() == "In use"
    assert mine.details.text().startswith("3.1 MB · INT4 · ")
    until(lambda: "All 5 files are as the hub has them" in mine.state.text())
    mine.use.click()
    until(lambda: face.ready and mine.use.text() == "In use")
    assert face.window.settings.model == str(fetched)
    assert desk.page.rows[""].use.text() == "Use"
    mine.holds.trigger()
    until(mine.contents.isVisible)
    assert "rank 8, an adapter file" in " ".join(label.text() for label in mine.contents.findChildren(type(mine.state)))
    opened_urls = _Opened()
    QDesktopServices.setUrlHandler("file", opened_urls, "open")  # type: ignore[arg-type]  # as Qt's page has it
    mine.reveal.trigger()
    QDesktopServices.unsetUrlHandler("file")
    assert [url.toLocalFile() for url in opened_urls.urls] == [str(fetched)]


def test_a_tampered_model_is_named_not_used_and_repaired(new_face: FaceMaker, fetched: Path) -> None:
    settings.save(replace(Settings(), welcomed=True, model=str(fetched)))
    content = bytearray((fetched / WEIGHTS).read_bytes())
    content[7] ^= 1
    (fetched / WEIGHTS).write_bytes(bytes(content))
    face = new_face()
    notice = face.window.notice
    until(lambda: "is not used" in notice.sentence.text())
    assert f"{WEIGHTS} has another content than it should" in notice.sentence.text()
    assert face.window.settings.model == ""
    notice.button.click()
    desk = face.window.models
    assert desk._shell.models_shown
    mine = row(desk, fetched)
    mine.use.click()
    assert face.window.settings.model == "", "it is still refused"
    mine.repair.click()
    until(stage(desk, "arrived"))
    until(lambda: not mine.repair.isVisible())
    mine.check.trigger()
    until(lambda: "All 5 files" in mine.state.text() and "today" in mine.state.text())
    (fetched / "run.py").write_text("import os")
    mine.check.trigger()
    until(lambda: "run.py does not belong" in mine.state.text())
    assert "Take it out of the folder" in mine.state.text()


def test_a_model_goes_to_the_trash_and_says_what_that_frees(
    new_face: FaceMaker, fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "desktop").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "desktop"))
    settings.save(replace(Settings(), welcomed=True, model=str(fetched)))
    face = new_face()
    until(lambda: face.ready)
    mine = row(opened(face), fetched)
    mine.remove.trigger()
    assert mine.question.text().endswith("Emptying the trash then frees 3.1 MB.")
    mine.keep.click()
    assert fetched.exists()
    mine.remove.trigger()
    mine.trash.click()
    assert not fetched.exists()
    assert (tmp_path / "desktop" / "Trash" / "files" / fetched.name / WEIGHTS).is_file()
    assert face.window.settings.model == "", "the demo model takes its place"
    assert listed() == []
    assert face.window.notice.sentence.text() == f"{NAME} is in the trash. Emptying the trash frees 3.1 MB."


def test_a_folder_that_is_gone_is_said_found_and_forgotten(new_face: FaceMaker, fetched: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk" / "tiny"
    shutil.move(fetched, elsewhere)
    face = new_face()
    until(lambda: face.ready)
    desk = opened(face)
    mine = row(desk, fetched)
    assert mine.state.text().startswith(f"The folder is gone: {fetched}.")
    assert not mine.use.isVisible()
    mine.locate.click()
    choose(face, elsewhere)
    assert listed() == [str(elsewhere)]
    until(lambda: "All 5 files are as the hub has them; compared today." in row(desk, elsewhere).state.text())
    row(desk, elsewhere).remove.trigger()
    row(desk, elsewhere).forget.click()
    assert listed() == []
    assert contents(elsewhere), "its files stay"


def test_a_folder_of_ones_own_is_used_and_then_listed(face: Face, tmp_path: Path) -> None:
    desk = opened(face)
    folder = tmp_path / "mine"
    folder.mkdir()
    (tmp_path / "broken").mkdir()
    desk.page.own.click()
    choose(face, tmp_path / "broken")
    until(lambda: "no model that Parley can run" in face.window.empty.words.text())
    assert listed() == []
    opened(face).page.own.click()
    choose(face, folder)
    until(lambda: listed() == [str(folder)])
    opened(face)
    assert "Nothing says what its files should be" in row(desk, folder).state.text()
    assert not row(desk, folder).check.isEnabled()


def test_a_list_that_makes_no_sense_is_set_aside(new_face: FaceMaker, home: Path) -> None:
    file = catalogue.catalogue_file()
    file.write_text("{")
    face = new_face()
    until(lambda: face.ready)
    assert catalogue.load() == Catalogue()
    assert file.with_name("models.broken.json").read_text() == "{"


def test_the_list_survives_its_file(home: Path) -> None:
    kept = Catalogue((Kept("/m", "M"),), Unfinished("a/b", "/m", paused=True, done=3, total=9))
    catalogue.save(kept)
    assert catalogue.load() == kept
    assert json.loads(catalogue.catalogue_file().read_text())["unfinished"]["done"] == 3


@pytest.mark.parametrize("width", [1360, 720, 480])
def test_nothing_on_the_page_is_cut_off(face: Face, app: QApplication, width: int) -> None:
    desk = opened(face)
    face.window.resize(width, 860)
    app.processEvents()
    until(lambda: desk.found is not None)
    app.processEvents()
    labels = [desk.page.computer.sentence, desk.page.offer.about, desk.page.rows[""].details]
    for label in labels:
        until(lambda: label.height() >= label.heightForWidth(label.width()), label.text())  # noqa: B023 - used at once
        assert label.mapTo(face.window, label.rect().topRight()).x() <= face.window.width()

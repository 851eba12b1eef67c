"""Drop, paste, chips: every way in, with real mime data, and what is refused."""

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QWidget

from app.chat.sent import generate
from app.protocol import Media, Sampling, Thumbnail, VideoLimits
from app.ui.chips import Chip
from app.ui.conversation_list import ConversationList
from app.ui.main_window import MainWindow
from app.ui.previews import PreviewStrip, image_of
from app.ui.theme import LIGHT
from tests.ui.conftest import ask, drop, files, until
from tests.ui.test_window import newest, over

PNG = b"\x89PNG\r\n\x1a\nnot really"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "cat.png"
    file.write_bytes(PNG)
    return file


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    file = tmp_path / "ramp.mp4"
    file.write_bytes(b"clip")
    return file


def chips(window: MainWindow) -> list[Chip]:
    return [chip for chip in window.composer.chips.findChildren(Chip) if not chip.isHidden()]


def chip_words(window: MainWindow) -> list[str]:
    return [label.text() for chip in chips(window) for label in chip.findChildren(QLabel)]


def test_files_that_are_dropped_anywhere_become_chips_and_go_with_the_message(
    window: MainWindow, picture: Path, clip: Path
) -> None:
    said = drop(window, files(picture, clip))
    assert said.startswith("Attach 2 files")
    until(lambda: "320×180 → 320×160 · 64 tokens" in chip_words(window))
    assert "5.0 s · 10 frames · 320 tokens" in chip_words(window)
    assert len(window.composer.chips.findChildren(PreviewStrip)) >= 2
    ask(window, "What is in them?")
    until(lambda: over(window))
    assert newest(window).text == "I see 2 of them: cat.png, ramp.mp4."
    assert not chips(window)
    request = generate(window.session.current, newest(window), Sampling(), 1)
    kinds = [part.kind for part in request.messages[0].parts if isinstance(part, Media)]
    assert kinds == ["image", "video"]


def test_only_the_window_itself_takes_files(window: MainWindow, picture: Path) -> None:
    drop(window, files(picture))
    ask(window, "show code")
    until(lambda: over(window))
    conversations = window.findChild(ConversationList)
    assert conversations is not None
    taking = [part for part in window.findChildren(QWidget) if part.acceptDrops()]
    assert set(taking) <= {conversations, conversations.viewport()}
    offered = files(picture)  # the event does not keep it alive
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), copy, offered, left, none)
    enter.ignore()
    conversations.dragEnterEvent(enter)
    assert not enter.isAccepted()


def test_a_video_is_sampled_again_for_a_model_that_wants_it_otherwise(window: MainWindow, clip: Path) -> None:
    draft = window.session.draft
    drop(window, files(clip))
    until(lambda: draft.attached)
    before = draft.items[0].key
    draft.set_limits(VideoLimits(fps=1.0))
    assert draft.pending
    until(lambda: draft.attached)
    assert draft.items[0].key != before


def test_the_overlay_says_what_will_happen(window: MainWindow, picture: Path) -> None:
    assert drop(window, files(picture)) == "Attach cat.png. It goes with your next message and stays on this computer."
    text = QMimeData()
    text.setText("some words")
    assert drop(window, text).startswith("Insert this text")
    assert window.composer.edit.toPlainText() == "some words"


def test_a_picture_from_a_browser_goes_through_the_decoder_as_its_own_bytes(window: MainWindow, home: Path) -> None:
    mime = QMimeData()
    mime.setData("image/png", PNG)
    mime.setUrls([QUrl("https://example.org/cat.png")])
    assert drop(window, mime).startswith("Attach this picture")
    until(lambda: not window.session.draft.pending and window.session.draft.items)
    item = window.session.draft.items[0]
    assert Path(item.path).read_bytes() == PNG
    assert Path(item.path).is_relative_to(home / "cache")


def test_an_address_alone_is_not_downloaded(window: MainWindow) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl("https://example.org/cat.png")])
    drop(window, mime)
    assert "downloads nothing" in window.notice.sentence.text()
    assert not window.session.draft.items


def test_a_picture_is_pasted_as_bytes(window: MainWindow) -> None:
    mime = QMimeData()
    mime.setData("image/png", PNG)
    window.composer.edit.insertFromMimeData(mime)
    until(lambda: not window.session.draft.pending and window.session.draft.items)
    assert Path(window.session.draft.items[0].path).read_bytes() == PNG


def test_a_screenshot_without_bytes_is_written_as_png_for_the_decoder(window: MainWindow) -> None:
    image = QImage(20, 10, QImage.Format.Format_RGB32)
    image.fill(QColor("red"))
    mime = QMimeData()
    mime.setImageData(image)
    window.composer.edit.insertFromMimeData(mime)
    until(lambda: not window.session.draft.pending and window.session.draft.items)
    assert Path(window.session.draft.items[0].path).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_text_is_pasted_as_text(window: MainWindow) -> None:
    mime = QMimeData()
    mime.setText("plain")
    mime.setHtml("<b>plain</b>")
    window.composer.edit.insertFromMimeData(mime)
    assert window.composer.edit.toPlainText() == "plain"


def test_a_refused_file_is_said_and_holds_the_message_back_until_it_is_removed(
    window: MainWindow, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"hello")
    drop(window, files(bad))
    until(window.notice.isVisible)
    assert "“bad.png” is no picture" in window.notice.sentence.text()
    ask(window, "What is it?")
    assert window.composer.edit.toPlainText() == "What is it?"
    assert "Remove it from the draft" in window.notice.sentence.text()
    window.session.draft.remove(window.session.draft.items[0].key)
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))


def test_a_missing_file_is_refused(window: MainWindow, tmp_path: Path) -> None:
    window.session.draft.add_files([str(tmp_path / "gone.png")])
    until(window.notice.isVisible)
    assert "no file “gone.png”" in window.notice.sentence.text()


def test_a_crash_of_the_decoder_is_one_refusal_and_the_next_file_works(
    window: MainWindow, tmp_path: Path, picture: Path
) -> None:
    crash = tmp_path / "crash.png"
    crash.write_bytes(b"x")
    drop(window, files(crash))
    until(window.notice.isVisible)
    assert "the decoder stopped" in window.notice.sentence.text()
    window.session.draft.remove(window.session.draft.items[0].key)
    drop(window, files(picture))
    until(lambda: window.session.draft.attached)


def test_a_chip_can_be_removed(window: MainWindow, picture: Path) -> None:
    drop(window, files(picture))
    until(lambda: window.session.draft.attached)
    chips(window)[0].remove_button.click()
    assert not window.session.draft.items
    assert not window.composer.chips.isVisible()


def test_previews_are_read_only_where_and_as_large_as_they_must_be(home: Path, tmp_path: Path) -> None:
    cache = home / "cache"
    cache.mkdir(parents=True)
    good = cache / "good.rgb"
    good.write_bytes(bytes((255, 0, 0)) * 12)
    image = image_of(Thumbnail(str(good), 4, 3))
    assert image is not None
    assert image.pixelColor(3, 2) == QColor(255, 0, 0)
    outside = tmp_path / "outside.rgb"
    outside.write_bytes(good.read_bytes())
    link = cache / "link.rgb"
    link.symlink_to(outside)
    for wrong in (
        Thumbnail(str(good), 4, 4),
        Thumbnail(str(outside), 4, 3),
        Thumbnail(str(link), 4, 3),
        Thumbnail(str(cache / "none"), 4, 3),
        Thumbnail(str(good), 100_000, 100_000),
        Thumbnail(str(good), 0, 0),
    ):
        assert image_of(wrong) is None


def test_a_strip_without_pixels_is_still_drawn(window: MainWindow) -> None:
    strip = PreviewStrip((Thumbnail("/nowhere", 4, 3),), "video", LIGHT)
    strip.show()
    QTest.qWaitForWindowExposed(strip)
    assert not strip.grab().isNull()

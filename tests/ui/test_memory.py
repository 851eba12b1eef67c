"""The memory plan in the window: the slider moves it, what does not fit says so, what is chosen is loaded."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PySide6.QtWidgets import QApplication

from app.plan import Sizes, make_plan
from app.programs import Program, program
from app.settings import Settings
from app.ui.application import Face
from app.ui.inspection import Found
from app.ui.memory_desk import OF_ANOTHER, ON_PROCESSOR
from app.ui.memory_dialog import ALL_IN, NO_GPU, OUTSIDE, PARKED, MemoryDialog
from app.ui.theme import LIGHT
from tests.ui.conftest import until
from tests.ui.fake_engine import GIB

SIZES = Sizes(
    weights=int(15.8 * GIB),
    embeddings=int(2.4 * GIB),
    tower=int(0.9 * GIB),
    token=65_536,
    state=int(0.15 * GIB),
    workspace=int(1.4 * GIB),
    library=int(0.7 * GIB),
    most=262_144,
)
FOUND = Found("Qwen3.5-27B", "RTX 4090", 24 * GIB, 5 * GIB, SIZES)


@pytest.fixture
def dialog(app: QApplication) -> Iterator[MemoryDialog]:
    made = MemoryDialog(LIGHT)
    made.show()
    yield made
    made.close()


def test_the_slider_moves_the_plan(dialog: MemoryDialog) -> None:
    dialog.show_found(FOUND, 18 * GIB, None)
    fits = make_plan(SIZES, 23 * GIB, None)
    assert dialog.context == fits.context // 1024 * 1024
    assert OUTSIDE in dialog.words.text()
    assert dialog.use.isEnabled()
    assert "and 23.0 GiB would be free once the present model is unloaded." in dialog.words.text()
    assert "Other programs" in dialog.parts.text()  # one of the 24 GiB is theirs, 18 are given back by the next load
    dialog.slider.setValue(32)
    assert dialog.words.text().startswith("32,768 tokens of context need ")
    assert PARKED in dialog.words.text()
    assert OUTSIDE not in dialog.words.text()
    dialog.slider.setValue(dialog.slider.maximum())
    assert dialog.context == 262_144
    assert f"too little: at most {fits.largest:,} tokens fit now." in dialog.remark.text()
    assert not dialog.use.isEnabled()


def test_keys_and_values_in_8_bits_make_room(dialog: MemoryDialog) -> None:
    narrow = replace(SIZES, token=33_792)
    dialog.show_found(replace(FOUND, in_bytes=narrow), 18 * GIB, 131_072, 16)
    assert not dialog.use.isEnabled()
    dialog.in_bytes.click()
    assert dialog.context == 131_072
    assert dialog.use.isEnabled()
    chosen: list[dict[str, object]] = []
    dialog.chosen.connect(chosen.append)
    dialog.use.click()
    assert chosen == [{"context": 131_072, "kv_bits": 8}]


def test_nothing_that_is_said_is_cut_off(app: QApplication, dialog: MemoryDialog) -> None:
    app.processEvents()
    dialog.show_found(FOUND, 18 * GIB, None)
    app.processEvents()
    for label in (dialog.title, dialog.words, dialog.parts):
        assert label.height() >= label.heightForWidth(label.width())


def test_a_large_gpu_holds_everything(dialog: MemoryDialog) -> None:
    dialog.show_found(replace(FOUND, total=80 * GIB, free=79 * GIB), 0, 131_072)
    assert dialog.context == 131_072
    assert ALL_IN in dialog.words.text()
    assert "and 79.0 GiB are free." in dialog.words.text()
    assert dialog.remark.text() == ""


def test_a_context_that_would_be_refused_is_not_offered(dialog: MemoryDialog) -> None:
    least = make_plan(SIZES, 0, None).needed
    dialog.show_found(replace(FOUND, free=least), 0, None)
    assert dialog.most.isEnabled()
    dialog.show_found(replace(FOUND, free=least - 1), 0, None)
    assert "choose a smaller model" in dialog.remark.text()
    assert not dialog.most.isEnabled()
    assert not dialog.use.isEnabled()


def test_without_a_gpu_there_is_no_plan(dialog: MemoryDialog) -> None:
    dialog.show_found(Found("Demo model"), 0, None)
    assert dialog.title.text() == NO_GPU.format("Demo model")
    assert dialog.slider.isHidden()


def test_the_real_engine_is_asked_and_the_choice_is_loaded(face: Face) -> None:
    desk = face.window.desk
    desk.engine = program("engine")
    desk.open(Settings(), 0, memory=24 * 10**9)
    dialog = desk.dialog
    assert dialog is not None
    until(lambda: not dialog.slider.isHidden(), "the plan", patience_ms=60_000)
    assert "demo-model on a GPU" in dialog.title.text()
    dialog.slider.setValue(8)
    dialog.use.click()
    assert desk.dialog is None
    assert (face.window.settings.context, face.window.settings.kv_bits) == (8192, 16)
    desk.open(Settings(context=4096, kv_bits=8), 0, memory=24 * 10**9)
    again = desk.dialog
    assert again is not None
    until(lambda: not again.slider.isHidden(), "the plan again", patience_ms=60_000)
    assert again.in_bytes.isChecked()
    again.most.click()
    assert (face.window.settings.context, face.window.settings.kv_bits) == (None, 8)


@pytest.mark.parametrize(
    ("settings", "said"), [(Settings(device="cpu"), ON_PROCESSOR), (Settings(backend="gptqmodel"), OF_ANOTHER)]
)
def test_settings_that_use_no_plan_are_shown_none(face: Face, settings: Settings, said: str) -> None:
    desk = face.window.desk
    desk.engine = Program(["/no/such/program"], "/")
    desk.open(settings, 0)
    dialog = desk.dialog
    assert dialog is not None
    assert dialog.title.text() == said
    assert dialog.slider.isHidden()
    dialog.close()
    assert desk.dialog is None


def test_an_engine_that_cannot_be_asked_says_so(face: Face) -> None:
    desk = face.window.desk
    desk.engine = Program(["/no/such/program"], "/")
    face.window.header.menu.memory_requested.emit()
    dialog = desk.dialog
    assert dialog is not None
    until(lambda: "cannot be made now" in dialog.title.text())
    dialog.close()

"""The settings as a person uses them: found, changed, taken back, kept; and what each of them does."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QWidget

from app import settings
from app.kinds import Choice, Number, Prompt, Switch
from app.presets import PRESETS, Preset
from app.protocol import Generate, Load, Measure, Text
from app.settings import KEYS, Settings, declared, default_of
from app.ui import theme as look
from app.ui.application import Face
from app.ui.main_window import MainWindow
from app.ui.settings_controls import ListControl, NumberControl, SwitchControl
from app.ui.settings_dialog import SettingsDialog
from app.ui.settings_keys import KeyRow
from app.ui.settings_presets import PresetsRow
from app.ui.settings_prompts import PromptsRow
from app.ui.settings_rows import SettingRow
from app.ui.state import Ready
from app.ui.system_dialog import SystemDialog
from app.ui.tray import Tray
from tests.ui.conftest import FaceMaker, ask, until
from tests.ui.test_window import newest, over, shown

TUTOR = Prompt("p1", "Tutor", "Ask before you explain.")


def opened(window: MainWindow) -> SettingsDialog:
    window.preferences.open_settings()
    dialog = window.preferences.dialog
    assert dialog is not None
    assert dialog.rows  # what is in sight is there at once
    until(lambda: dialog.whole)
    return dialog


def row(dialog: SettingsDialog, name: str) -> SettingRow:
    (found,) = [each for each in dialog.rows if isinstance(each, SettingRow) and each._name == name]
    return found


def heard(face: Face, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the engine is told from now on."""
    told: list[Any] = []
    send = face.session._engine.send

    def hear(message: Any) -> None:
        told.append(message)
        send(message)

    monkeypatch.setattr(face.session._engine, "send", hear)
    return told


def test_every_setting_of_the_table_is_shown_changed_kept_and_taken_back(window: MainWindow) -> None:
    window.preferences.change(titles=default_of("titles"))  # which the tests have off
    dialog = opened(window)
    for name, told in declared():
        if not told.section or not isinstance(told.kind, Switch | Number | Choice) or name == "on_close":
            continue
        line = row(dialog, name)
        control = line.control
        assert told.words == line.label.text()
        assert line.back.isHidden()
        if isinstance(control, SwitchControl):
            control.toggle.click()
        elif isinstance(control, NumberControl):
            control.box.stepUp()
        else:
            assert isinstance(control, ListControl)
            control.box.setCurrentIndex(control.box.count() - 1)
            control.box.activated.emit(control.box.count() - 1)
        now = getattr(window.settings, name)
        assert now != default_of(name), name
        assert getattr(settings.load(), name) == now
        assert line.back.isVisible()
        line.back.click()
        assert getattr(window.settings, name) == default_of(name)
        assert getattr(settings.load(), name) == default_of(name)
        assert line.back.isHidden()


def test_a_search_leaves_what_has_the_words_and_the_headings_above_it(window: MainWindow) -> None:
    dialog = opened(window)
    dialog.search.setText("  SIZE text ")
    assert [each for each in dialog.rows if isinstance(each, SettingRow) and each.isVisible()] == [
        row(dialog, "font_size")
    ]
    assert [name for name, heading in dialog._headings.items() if heading.isVisible()] == ["Look", "Keys"]
    dialog.search.setText("new conversations")
    assert row(dialog, "preset").isVisible()
    dialog.search.setText("no such thing")
    assert dialog.nothing.isVisible()
    dialog.search.setText("")
    assert all(each.isVisible() for each in dialog.rows)
    dialog.go_to(KEYS)
    bar = dialog.area.verticalScrollBar()
    until(lambda: bar.value() > bar.maximum() // 3)


def test_the_model_is_loaded_once_when_the_settings_are_closed(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    told = heard(face, monkeypatch)
    dialog = opened(face.window)
    for name, at in (("context", 1), ("yarn", 1), ("backend", 1)):
        row(dialog, name).control.box.activated.emit(at)  # type: ignore[attr-defined]
    assert [each for each in told if isinstance(each, Load)] == []
    dialog.close()
    (loaded,) = [each for each in told if isinstance(each, Load)]
    assert (loaded.context, loaded.yarn, loaded.backend) == (8192, 2, "gptqmodel")
    until(lambda: isinstance(face.session.state, Ready))
    opened(face.window).close()
    assert len([each for each in told if isinstance(each, Load)]) == 1


@pytest.mark.parametrize("nonsense", ["{", '{"theme": 7, "window_width": []}'])
def test_a_settings_file_of_nonsense_is_one_sentence_and_a_window(
    new_face: FaceMaker, home: Path, nonsense: str
) -> None:
    (home / "data").mkdir(parents=True, exist_ok=True)
    (home / "data" / "settings.json").write_text(nonsense)
    window = new_face(start=False).window
    assert "make" in window.notice.sentence.text()
    assert "sense" in window.notice.sentence.text()
    assert replace(window.settings, welcomed=False) == Settings()


# ---- presets and prompts ----


def test_a_preset_of_ones_own_is_made_changed_used_and_deleted(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    window = face.window
    dialog = opened(window)
    (presets,) = [each for each in dialog.rows if isinstance(each, PresetsRow)]
    assert not presets.name.isEnabled()  # the model's own stay as they are
    presets.list.setCurrentIndex(3)
    presets.list.activated.emit(3)
    presets.add.click()
    (own,) = window.settings.presets
    assert own.sampling == PRESETS[3].sampling
    presets.name.setText("  Terse &  sure ")
    presets.name.editingFinished.emit()
    presets.numbers["temperature"].setValue(0.15)
    presets.top_k.setValue(7)
    (own,) = window.settings.presets
    assert (own.name, own.thinking) == ("Terse & sure", False)
    assert (own.sampling.temperature, own.sampling.top_k, own.sampling.presence_penalty) == (0.15, 7, 2.0)
    dialog.close()
    window.header.preset.chosen.emit(own.key)
    assert window.header.preset.text() == "Terse & sure"
    told = heard(face, monkeypatch)
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))
    assert [each.sampling for each in told if isinstance(each, Generate)] == [own.sampling]
    (edit,) = [each for each in window.header.preset.menu().actions() if each.text() == "Edit presets…"]
    edit.trigger()
    dialog = opened(window)  # the one that is open
    until(lambda: dialog.area.verticalScrollBar().value() > 0)
    (presets,) = [each for each in dialog.rows if isinstance(each, PresetsRow)]
    at = len(PRESETS)
    presets.list.setCurrentIndex(at)
    presets.list.activated.emit(at)
    presets.delete.click()
    assert window.settings.presets == ()
    assert window.header.preset.text() == "Direct, general"  # its choice stays, and means what suits the model


def test_a_prompt_is_written_chosen_for_new_conversations_and_sent_first(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = face.window
    dialog = opened(window)
    (prompts,) = [each for each in dialog.rows if isinstance(each, PromptsRow)]
    prompts.add.click()
    QTest.keyClicks(prompts.name, "Tutor")
    prompts.text.setPlainText(TUTOR.text)
    dialog.close()  # what was written last is kept
    (kept,) = settings.load().prompts
    assert (kept.name, kept.text) == ("Tutor", TUTOR.text)
    window.preferences.change(prompt=kept.key)
    assert window.header.preset.text() == "Thinking, general · Tutor"
    told = heard(face, monkeypatch)
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))
    (request,) = [each for each in told if isinstance(each, Generate)]
    assert (request.messages[0].role, request.messages[0].parts) == ("system", (Text(TUTOR.text),))
    assert [each.messages[0].role for each in told if isinstance(each, Measure)][-1] == "system"
    window.preferences.change(prompts=(), prompt="")
    window.revision.last_again()
    until(lambda: over(window))
    assert told[-2].messages[0].role == "system"  # a conversation stays what it was


def test_a_preset_and_thinking_that_go_together_are_chosen_together(window: MainWindow) -> None:
    dialog = opened(window)
    direct = next(preset for preset in PRESETS if not preset.thinking)
    row(dialog, "preset").control.chosen.emit(direct.key)
    assert (window.settings.preset, window.settings.thinking) == (direct.key, False)
    thinking = row(dialog, "thinking").control
    assert isinstance(thinking, SwitchControl)
    thinking.toggle.click()
    assert (window.settings.preset, window.settings.thinking) == ("", True)


def test_a_library_that_changes_is_followed_and_a_choice_for_the_conversation_stays(window: MainWindow) -> None:
    other = Prompt("p2", "Terse", "Be brief.")
    window.preferences.change(prompts=(TUTOR, other), prompt=TUTOR.key)
    window.header.preset.system_chosen.emit(other.text)
    window.preferences.change(prompts=(TUTOR, replace(other, text="Be very brief.")))
    assert window.session.current.choices.system == "Be very brief."
    window.header.preset.system_chosen.emit("Written here.")
    window.preferences.change(prompts=(TUTOR,))
    assert window.session.current.choices.system == "Written here."
    window.header.preset.system_chosen.emit("")
    window.preferences.change(prompts=(replace(TUTOR, text="Explain."),))
    assert window.session.current.choices.system == ""
    window.begin_anew()
    window.header.preset.system_chosen.emit("Explain.")
    window.preferences.change(prompts=())
    assert window.session.current.choices.system == ""


def test_what_is_being_typed_when_the_settings_are_closed_by_key_is_kept(window: MainWindow) -> None:
    window.activateWindow()
    dialog = opened(window)
    size = row(dialog, "font_size").control
    assert isinstance(size, NumberControl)
    size.box.setFocus()
    size.box.selectAll()
    QTest.keyClicks(size.box, "17")
    assert window.settings.font_size == 14  # not while it is written
    QTest.keyClick(size.box, Qt.Key.Key_Escape)
    assert window.preferences.dialog is None
    assert window.settings.font_size == 17


def test_a_section_is_gone_to_once_more_and_out_of_a_search(window: MainWindow) -> None:
    dialog = opened(window)
    bar, item = dialog.area.verticalScrollBar(), dialog.sections.item(dialog.sections.count() - 1)
    for _ in range(2):
        spot = dialog.sections.visualItemRect(item).center()
        QTest.mouseClick(dialog.sections.viewport(), Qt.MouseButton.LeftButton, pos=spot)
        until(lambda: bar.value() > bar.maximum() // 3)
        bar.setValue(0)
    dialog.search.setText("theme")
    dialog.go_to(KEYS)
    assert dialog.search.text() == ""
    until(lambda: bar.value() > bar.maximum() // 3)


def test_each_conversation_has_choices_of_its_own_that_come_back(face: Face, new_face: FaceMaker) -> None:
    window = face.window
    window.preferences.change(prompts=(TUTOR,))
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))
    first = window.session.current.key
    window.header.preset.system.actions()[1].trigger()
    window.header.preset.chosen.emit("thinking-coding")
    assert window.header.preset.text() == "Thinking, precise coding · Tutor"
    window.begin_anew()
    window.composer.thinking.click()
    assert window.header.preset.text() == "Direct, general"
    ask(window, "What is 40 + 2?")
    until(lambda: over(window))
    assert newest(window).wants_thinking is False
    window.session.open(first)
    assert window.header.preset.text() == "Thinking, precise coding · Tutor"
    assert window.composer.thinking.isChecked()
    window.header.preset.system_edit_requested.emit()
    (dialog,) = window.findChildren(SystemDialog)
    assert dialog.edit.toPlainText() == TUTOR.text
    dialog.edit.setPlainText("Be brief.")
    dialog.use.click()
    assert window.header.preset.text().endswith(" · own prompt")
    face.close()
    again = new_face(start=False)
    again.session.open(first)
    assert again.session.current.choices.system == "Be brief."
    assert again.session.current.choices.preset == "thinking-coding"


# ---- the look ----


def test_text_grows_and_comes_back_without_adding_up(face: Face) -> None:
    window = face.window
    ask(window, "show code")
    until(lambda: over(window))
    labels = (window.header.title, window.status.context.words, window.composer.edit, window.sidebar.model)
    before = [label.font().pixelSize() for label in labels]
    for keys in (Qt.Key.Key_Plus,) * 6:
        QTest.keyClick(window, keys, Qt.KeyboardModifier.ControlModifier)
    assert window.settings.font_size == 20
    larger = [label.font().pixelSize() for label in labels]
    assert all(now >= was * 1.35 for now, was in zip(larger, before, strict=True))
    assert look.text_font().pixelSize() == 20
    window.preferences.change(font="DejaVu Sans")
    assert window.header.title.font().families()[0] == "DejaVu Sans"
    for _ in range(40):
        QTest.keyClick(window, Qt.Key.Key_Minus, Qt.KeyboardModifier.ControlModifier)
    assert window.settings.font_size == 11
    QTest.keyClick(window, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    window.preferences.change(font="Inter")
    assert [label.font().pixelSize() for label in labels] == before
    assert window.header.title.font().families()[0] == "Inter"


def _as_wide(view: QWidget, width: int) -> Callable[[], bool]:
    return lambda: abs(view.width() - width) < 2


def test_lines_become_as_wide_as_chosen(window: MainWindow) -> None:
    window.resize(2400, 900)
    ask(window, "show code")
    until(lambda: over(window))
    for width in (560, 1100):
        window.preferences.change(line_width=width)
        until(_as_wide(shown(window), width))


def test_reduced_motion_stops_what_blinks_and_fades(face: Face, app: QApplication) -> None:
    before = app.cursorFlashTime()
    face.window.preferences.change(reduced_motion=True)
    assert app.cursorFlashTime() == 0
    assert not app.isEffectEnabled(Qt.UIEffect.UI_AnimateMenu)
    face.window.preferences.change(reduced_motion=False)
    assert app.cursorFlashTime() == before


# ---- the end of the window, and word of what is done ----


@pytest.fixture
def tray(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A tray where the test's screen has none; what it was told."""
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(Tray, "available", True)
    monkeypatch.setattr(Tray, "tell", lambda _self, title, sentence: said.append((title, sentence)))
    return said


def test_a_closed_window_stays_in_the_tray_if_it_is_to(face: Face, tray: list[tuple[str, str]]) -> None:
    assert tray == []
    face.window.preferences.change(on_close="tray")
    assert face.tray.icon is not None
    event = QCloseEvent()
    QApplication.sendEvent(face.window, event)
    assert not event.isAccepted()
    assert not face.window.isVisible()
    assert face.ready  # the model stays loaded
    face.tray.opened.emit()
    assert face.window.isVisible()
    face.window.preferences.change(on_close="quit")
    assert face.window.close()


def test_whoever_is_elsewhere_is_told_of_an_answer_that_took_long(face: Face, tray: list[tuple[str, str]]) -> None:
    window = face.window
    window.preferences.change(notify_after=5)
    ask(window, "What is 37 + 48?")
    until(lambda: over(window))
    assert tray == []  # it was quick
    ask(window, "What is 40 + 2?")
    newest(window).asked_at -= 6
    until(lambda: newest(window).stage != "reading")
    newest(window).asked_at -= 6
    until(lambda: over(window))
    assert tray == [("What is 37 + 48?", "The answer is done.")]
    window.preferences.change(notify_after=0)
    ask(window, "What is 1 + 1?")
    until(lambda: newest(window).stage != "waiting")
    newest(window).asked_at -= 60
    until(lambda: over(window))
    assert len(tray) == 1


def test_the_mark_in_the_tray_is_there_while_something_is_said(
    app: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tray, "available", True)
    elsewhere = QWidget()
    mark = Tray(app.windowIcon(), elsewhere)
    mark.tell("A title", "The answer is done.")
    assert mark.icon is not None
    assert mark.icon.isVisible()
    mark._read.timeout.emit()
    assert not mark.icon.isVisible()
    mark.stand(stands=True)
    mark.tell("A title", "The answer is done.")
    mark._read.timeout.emit()
    assert mark.icon.isVisible()
    mark.stand(stands=False)
    elsewhere.deleteLater()


# ---- the keys among the settings ----


def test_keys_are_changed_by_pressing_them_and_conflicts_are_said(window: MainWindow, home: Path) -> None:
    dialog = opened(window)
    rows = {each._command.name: each for each in dialog.rows if isinstance(each, KeyRow)}
    new, search = rows["new"], rows["search"]

    def press(button: QPushButton, key: Qt.Key, held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        button.click()
        assert button.text() == "Press keys…"
        QTest.keyClick(button, key, held)

    control = Qt.KeyboardModifier.ControlModifier
    for key, held, why in (
        (Qt.Key.Key_A, Qt.KeyboardModifier.NoModifier, "for writing"),
        (Qt.Key.Key_V, control, "for editing text"),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, "alone moves"),
    ):
        press(new.buttons[0], key, held)
        assert why in new.said.text()
        assert window.settings.keys == {}
    press(new.buttons[0], Qt.Key.Key_Escape)
    assert new.buttons[0].text() == "Ctrl+N"
    press(new.buttons[1], Qt.Key.Key_Backspace)
    assert window.settings.keys == {"new": ("Ctrl+N",)}
    press(new.buttons[0], Qt.Key.Key_J, control)
    assert window.settings.keys == {"new": ("Ctrl+J",)}
    assert json.loads((home / "data" / "settings.json").read_text())["keys"] == {"new": ["Ctrl+J"]}
    press(search.buttons[0], Qt.Key.Key_J, control)
    assert "“New conversation”" in search.said.text()
    assert "“Search all conversations”" in new.said.text()
    search.back.click()
    new.back.click()
    assert window.settings.keys == {}
    assert not new.said.isVisible()


def test_an_own_preset_that_no_engine_could_use_is_not_kept() -> None:
    bad = Preset("own", "Hot", thinking=True, sampling=replace(PRESETS[0].sampling, temperature=9.0))
    settings.save(replace(Settings(), presets=(bad,)))
    found, sentence = settings.read()
    assert found.presets == ()
    assert "presets" in sentence

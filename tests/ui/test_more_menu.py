"""What is chosen in the menu reaches the engine with the next load."""

import pytest

from app.protocol import EngineCommand, Load
from app.settings import load
from app.ui.application import Face
from app.ui.state import Ready
from tests.ui.conftest import until


@pytest.mark.parametrize(("field", "value"), [("yarn", 2), ("context", 524_288), ("backend", "gptqmodel")])
def test_a_choice_loads_the_model_with_it(
    face: Face, monkeypatch: pytest.MonkeyPatch, field: str, value: object
) -> None:
    sent: list[Load] = []
    engine = face.session._engine
    send = engine.send

    def hear(message: EngineCommand) -> None:
        sent.extend([message] if isinstance(message, Load) else [])
        send(message)

    monkeypatch.setattr(engine, "send", hear)
    menu = face.window.header.menu
    action = next(action for action in menu._groups[field].actions() if action.property("value") == value)
    action.trigger()
    until(lambda: isinstance(face.session.state, Ready))
    (loaded,) = sent
    assert getattr(loaded, field) == value
    assert getattr(load(), field) == value
    assert action.isChecked()

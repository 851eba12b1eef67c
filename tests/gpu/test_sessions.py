"""What is remembered of conversations on a GPU: copies to host memory and back, and the turns that need them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine.load import LoadedModel, open_model
from app.engine.sessions_disk import SavedSessions
from app.paths import demo_model_dir
from tests.engine.conftest import no_progress
from tests.engine.talks import Engine, assert_alike, assistant, user

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

ERROR = 1.0  # bf16, other chunks; with a wrong state the demo model's logits are off by many times that


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return open_model(demo_model_dir(), "cuda", "parley", no_progress)


@pytest.fixture
def engine(model: LoadedModel) -> Engine:
    return Engine(demo_model_dir(), model, capacity=6000)


def test_copies_come_back_bit_by_bit_into_the_same_buffers(model: LoadedModel) -> None:
    state: Any = model.new_state(5000)
    everything = (*state.keys, *state.values, *state.recurrent, *state.conv)
    for tensor in everything:
        tensor.normal_()
    state.length = 4500
    wanted = [tensor.clone() for tensor in everything]
    places = [tensor.data_ptr() for tensor in everything]
    state.make_ready()
    snapshot, rows = state.snapshot(), state.rows(100, 4500)
    assert rows.tensors[0].is_pinned()
    for tensor in everything:
        tensor[..., 100:4500, :].zero_() if tensor.shape[-2] == 5000 else tensor.zero_()
    state.put_rows(100, rows.tensors)
    state.restore(snapshot)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(everything, wanted, strict=True))
    assert [tensor.data_ptr() for tensor in everything] == places
    before = torch.cuda.memory_allocated()
    for _ in range(10):
        state.release(state.snapshot())
    assert torch.cuda.memory_allocated() == before


def test_turns_branches_and_conversations(engine: Engine, model: LoadedModel, tmp_path: Path) -> None:
    path = (user("My name is Ada. " * 100),)
    answer = engine.ask(path, conversation="one").answer
    follow = (*path, assistant(answer), user("What is my name?"))
    said = engine.ask(follow, conversation="one")
    assert said.finished.usage.prompt - said.finished.usage.reused < 30
    engine.ask((user("What is 37 + 48? " * 150),), conversation="two")
    saved = SavedSessions(tmp_path, "a" * 64, 0)
    saved.save("two", engine.sessions, lambda: False)
    back = engine.ask(follow, conversation="one")
    assert back.finished.usage.prompt - back.finished.usage.reused < 10
    valid = model.config.vocab_valid
    assert_alike(back, said, ERROR, valid)
    assert_alike(back, Engine(demo_model_dir(), model, capacity=6000).ask(follow), ERROR, valid)
    assert engine.watched.read <= 1.15 * len(engine.distinct)
    later = Engine(demo_model_dir(), model, capacity=6000)
    later.recall = lambda keys, check: saved.recall("two", keys, later.sessions, check)
    assert later.ask((user("What is 37 + 48? " * 150),), conversation="two").finished.usage.reused > 1000

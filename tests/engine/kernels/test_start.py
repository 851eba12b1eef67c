"""Loading onto the kernels: layer by layer from a folder, the same as packed from memory, and what is said if not."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.engine import load
from app.engine.ahead import ReadAhead
from app.engine.cache import State, TensorState
from app.engine.checkpoint import Checkpoint
from app.engine.kernels import start
from app.engine.kernels.check import error
from app.engine.kernels.decode import Decoder
from app.engine.kernels.module import TiledLinear
from app.engine.kernels.runtime import KernelError, Kernels, compiled, definitions
from app.engine.kernels.start import FastPath, start_kernels
from app.engine.load import ParleyModel, groups_of
from app.engine.model import TextModel
from app.engine.quantized import DenseLinear, PackedWeight, QuantizedLinear
from app.engine.rope import text_positions
from tests.bench.synthetic import SMALL, write
from tests.engine.kernels.plain import PlainKernels

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "small"
    write(folder, SMALL, CPU)
    return folder


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ParleyModel]:
    """Loads it as on a GPU, with the kernels' twins in their place."""
    monkeypatch.setattr(load, "_activations", lambda *_: torch.bfloat16)
    monkeypatch.setattr(load, "linear_for", QuantizedLinear)
    monkeypatch.setattr(load, "_read_ahead", lambda made, place, _: ReadAhead(groups_of(made), place, print, 2**16))

    def open_with(start: Callable[[], Kernels]) -> ParleyModel:
        def fast(checkpoint: Checkpoint, *_: object) -> FastPath:
            return FastPath(checkpoint.config.text, torch.bfloat16, start)

        monkeypatch.setattr(load, "_fast_path", fast)
        return ParleyModel(Checkpoint(folder), CPU, lambda *_: None)

    return open_with


def test_layers_are_packed_as_they_come(opened: Callable[..., ParleyModel], folder: Path) -> None:
    kernels = PlainKernels()
    model = opened(lambda: kernels)
    assert model.notes == ()
    assert model.decoder is not None
    assert isinstance(model.text.head, TiledLinear)
    assert isinstance(model.text.layers[3].mlp.up, TiledLinear)
    weights = load._Loader(Checkpoint(folder), CPU, torch.bfloat16, lambda *_: None, None, table=CPU)
    plain = TextModel(SMALL.text, weights, CPU, torch.bfloat16)
    decoder = Decoder(plain, kernels)
    states = model.new_state(40), plain.new_state(40)
    assert states[0].length == 0
    ids = torch.arange(12) * 7
    for state, one in zip(states, (model.text, plain), strict=True):
        assert isinstance(state, TensorState)
        one.forward(model.embed(ids), text_positions(0, 12, 0), state)
    for index in range(12, 15):
        token = model.embed(ids[:1])
        kernels.launched.clear()
        seen = model.forward(token, text_positions(index, index + 1, 3), states[0])
        assert "delta_step" in kernels.launched
        assert torch.equal(seen, decoder.step(token[0], index + 3, states[1]))
    kernels.launched.clear()
    uneven = torch.tensor([[18], [19], [18]])
    model.forward(model.embed(ids[:1]), uneven, states[0])  # a picture of one token
    assert "delta_step" not in kernels.launched
    packed = sum(matrix.nbytes for layer in model.decoder._layers for matrix in layer.matrices)
    assert (
        packed + model.text.head.nbytes + model.text.table.nbytes
        < model.weight_bytes
        < 1.1 * model.decoder.nbytes_a_token
    )


@pytest.mark.parametrize("capacity", [20, 40, 60])
def test_a_first_message_finds_the_token_prepared(
    opened: Callable[..., ParleyModel], capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_WARM_LENGTHS", (32, 8, 1))
    model = opened(PlainKernels)
    lengths: list[int] = []
    forward = model.forward

    def watched(embeddings: Tensor, positions: Tensor, state: State) -> Tensor:
        lengths.append(len(embeddings))
        return forward(embeddings, positions, state)

    monkeypatch.setattr(model, "forward", watched)
    state = model.new_state(capacity)
    assert lengths == [min(capacity, 32), 8, 1]
    assert model.decoder is not None
    assert model.decoder._state is state
    assert state.length == 0


def test_everything_is_read_in_the_order_of_the_groups(
    opened: Callable[..., ParleyModel], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[object] = []

    class Watched(ReadAhead):
        def __exit__(self, *_: object) -> None:
            left.extend((*self._groups, *self._arrived, *self._unread))
            super().__exit__()

    seen: list[int] = []
    monkeypatch.setattr(load, "_read_ahead", lambda made, place, _: Watched(groups_of(made), place, seen.append))
    opened(PlainKernels)
    assert left == []
    assert seen[-1] == load._stored_bytes(Checkpoint(folder))


def test_why_it_is_slow_is_said(opened: Callable[..., ParleyModel], monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old() -> Kernels:
        raise KernelError("This GPU is older than the fast kernels support, so answers come slowly.")

    def missing() -> Kernels:
        raise ImportError("cuda")

    for begin, said in ((too_old, "older than"), (missing, "cuda-bindings")):
        model = opened(begin)
        assert model.decoder is None
        (note,) = model.notes
        assert said in note
        assert note.endswith("so answers come slowly.")
        assert isinstance(model.text.layers[0].mlp.up, QuantizedLinear)
    assert model.new_state(10).length == 0


def test_a_layer_that_does_not_fit_is_slow_and_right(
    opened: Callable[..., ParleyModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Checkpoint.packed

    def odd(self: Checkpoint, linear: str, device: torch.device) -> PackedWeight | None:
        packed = real(self, linear, device)
        if packed is None or ".2.mlp.up" not in linear:
            return packed
        return replace(packed, zeros=packed.zeros + 1)

    usual = opened(PlainKernels)
    monkeypatch.setattr(Checkpoint, "packed", odd)
    model = opened(PlainKernels)
    assert "zero points off the middle" in model.notes[0]
    assert model.decoder is None
    assert isinstance(model.text.layers[1].mlp.up, TiledLinear)
    assert isinstance(model.text.layers[2].mlp.up, QuantizedLinear)
    assert isinstance(model.text.head, DenseLinear)
    x = torch.randn(3, SMALL.text.hidden_size).bfloat16()
    for index in (1, 3):  # packed before, and left as it was after
        seen, expected = (one.text.layers[index].mlp(x).double() for one in (model, usual))
        assert error(seen, expected) < 0.02


def test_a_gpu_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    said: list[str | None] = ["The fast kernels compute wrong results, so answers come slowly.", None]

    def check(*_: object) -> str | None:
        checked.append("once more")
        return said.pop(0) if said else None

    monkeypatch.setattr(start, "CudaKernels", lambda *_: PlainKernels())
    monkeypatch.setattr(start, "_fingerprint", lambda *_: "driver-1")
    monkeypatch.setattr(start, "self_check", check)
    begin = partial(start_kernels, SMALL.text, CPU, progress=lambda *_: None)
    with pytest.raises(KernelError, match="wrong results"):
        begin(tmp_path / "kernels")
    begin(tmp_path / "kernels")
    begin(tmp_path / "kernels")
    assert len(checked) == 2
    monkeypatch.setattr(start, "_fingerprint", lambda *_: "driver-2")
    begin(tmp_path / "kernels")
    assert len(checked) == 3
    (tmp_path / "file").touch()
    for cache in (None, tmp_path / "file" / "cannot be made"):
        begin(cache)
    assert len(checked) == 5


def test_a_check_that_ended_the_engine_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "CudaKernels", lambda *_: PlainKernels())
    monkeypatch.setattr(start, "_fingerprint", lambda *_: "driver-1")

    def end(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(start, "self_check", end)
    begin = partial(start_kernels, SMALL.text, CPU, tmp_path, lambda *_: None)
    for _ in range(2):
        with pytest.raises(SystemExit):
            begin()
    with pytest.raises(KernelError, match="ended the engine"):
        begin()
    monkeypatch.setattr(start, "_fingerprint", lambda *_: "driver-2")
    monkeypatch.setattr(start, "self_check", lambda *_: None)
    begin()
    begin()


def test_a_cache_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert compiled("delta", 90, definitions(6, 6), tmp_path / "file" / "kernels").startswith(b"\x7fELF")

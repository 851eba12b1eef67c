"""Many tokens on the kernels' twins: what is launched, in which order, with which memory; the kernels themselves are
compared by `tests/bench/emulation` and on a GPU with the same checks."""

from typing import Any

import pytest
import torch
from torch import Tensor

from app.engine.kernels import prefill
from app.engine.kernels.check import error, random_weight
from app.engine.kernels.decode import Decoder
from app.engine.kernels.dense import Arena
from app.engine.kernels.prefill import Prefill
from app.engine.kernels.prefill_check import prefill_checks, self_check_many
from app.engine.model import TextModel
from app.engine.quantized import Eora, PackedWeight
from app.engine.rope import text_positions
from tests.bench.synthetic import SMALL, SyntheticWeights
from tests.engine.kernels.plain import PlainKernels

CPU = torch.device("cpu")


class OrdersApart(SyntheticWeights):
    """One z is quantized with an order of inputs of its own, as in real checkpoints; its layer has no correction."""

    def quantized(self, name: str) -> tuple[PackedWeight, Eora]:
        packed, eora = super().quantized(name)
        if name == "layers.1.linear_attn.in_proj_z":
            generator = torch.Generator().manual_seed(5)
            out, into = self.shapes[name]
            packed = random_weight(generator, out, into, 4)
        if ".1." in name:
            eora = Eora(eora.a * 0, eora.b * 0)
        return packed, eora


@pytest.fixture(scope="module")
def models() -> tuple[TextModel, Prefill, Decoder]:
    exact = TextModel(SMALL.text, OrdersApart(SMALL, CPU, torch.float32), CPU, torch.float32)
    model = TextModel(SMALL.text, OrdersApart(SMALL, CPU), CPU, torch.bfloat16)
    kernels = PlainKernels()
    decoder = Decoder(model, kernels)
    assert decoder.packed[0][1].into.orders.shape[0] == 2
    return exact, Prefill(model, kernels, *decoder.packed), decoder


def test_the_checks_accept_what_is_right() -> None:
    wrong = [c for c in prefill_checks(PlainKernels(), torch.Generator().manual_seed(1)) if not c.right]
    assert wrong == []


@pytest.mark.parametrize("broken", ["dense_8", "convolve", "run_chunks", "add_norm", "turn_heads", "gate_heads"])
def test_the_checks_see_a_kernel_that_does_nothing(broken: str) -> None:
    class Broken(PlainKernels):
        def _twin(self, name: str) -> Any:
            return (lambda *_: None) if name == broken else super()._twin(name)

    said = self_check_many(Broken(), CPU)
    assert said is not None
    assert said.endswith("so answers come slowly.")


@pytest.mark.parametrize("cuts", [[90], [2, 64, 1, 23]])
def test_a_prompt_in_chunks(models: tuple[TextModel, Prefill, Decoder], cuts: list[int]) -> None:
    """Every split of a prompt, then a single token of the decoder, against the plain model in fp32."""
    exact, fast, decoder = models
    states = exact.new_state(100), decoder._model.new_state(100)
    ids = torch.randint(0, 320, (91,), generator=torch.Generator().manual_seed(2))
    begin = 0
    for count in cuts:
        positions = text_positions(begin, begin + count, 3)
        some = exact.embed(ids[begin : begin + count])
        expected = exact.forward(some, positions, states[0]).double()
        seen = fast.forward(some.bfloat16(), positions, states[1])
        assert error(seen, expected) < 0.02
        begin += count
        assert states[1].length == begin
    expected = exact.forward(exact.embed(ids[90:]), text_positions(90, 91, 3), states[0]).double()
    assert error(decoder.step(exact.embed(ids[90:])[0].bfloat16(), 93, states[1]), expected) < 0.02
    for mine, wanted in zip(states[1].recurrent, states[0].recurrent, strict=True):
        assert error(mine, wanted.double()) < 0.03
    for mine, wanted in zip((*states[1].keys, *states[1].conv), (*states[0].keys, *states[0].conv), strict=True):
        assert error(mine[..., :91, :], wanted[..., :91, :].double()) < 0.03


def test_more_tokens_than_fit_at_once(
    models: tuple[TextModel, Prefill, Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, fast, decoder = models
    monkeypatch.setattr(prefill, "MOST_TOKENS", 64)
    monkeypatch.setattr(prefill, "_DELTA_TOKENS", 24)
    states = exact.new_state(150), decoder._model.new_state(150)
    embeddings, positions = exact.embed(torch.arange(150)), _uneven(150)
    expected = exact.forward(embeddings, positions, states[0]).double()
    assert error(fast.forward(embeddings.bfloat16(), positions, states[1]), expected) < 0.02
    assert states[1].length == 150
    with pytest.raises(ValueError, match="do not fit"):
        fast.forward(embeddings[:1].bfloat16(), positions[:, :1], states[1])


def _uneven(length: int) -> Tensor:
    """Positions that differ in their three axes, as those of a picture do."""
    positions = text_positions(0, length, 0).clone()
    positions[1, 20:60] += torch.arange(40) % 8
    positions[2, 20:60] += torch.arange(40) // 8
    return positions


def test_an_arena_is_handed_out_and_taken_back() -> None:
    arena = Arena(1024, CPU)
    first = arena.take(torch.float32, 8)
    with arena.frame():
        inner = arena.take(torch.bfloat16, 4, 4)
        assert inner.data_ptr() == first.data_ptr() + 256
    assert arena.take(torch.uint8, 700).data_ptr() == inner.data_ptr()
    with pytest.raises(MemoryError):
        arena.take(torch.uint8, 300)
    arena.clear()
    assert arena.take(torch.uint8, 1024).data_ptr() == first.data_ptr()

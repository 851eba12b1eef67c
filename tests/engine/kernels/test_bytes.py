"""Keys and values in bytes on the kernels' twins: one token, a prompt in chunks, and that the checks see what is wrong.
The kernels themselves are compared by `tests/bench/emulation` and on a GPU with the same checks."""

from typing import Any

import pytest
import torch

from app.engine.byte_rows import ByteRows
from app.engine.kernels.check import attention_in_bytes, error, sentence
from app.engine.kernels.decode import Decoder
from app.engine.kernels.prefill import Prefill
from app.engine.model import TextModel
from app.engine.rope import text_positions
from tests.bench.synthetic import SMALL, SyntheticWeights
from tests.engine.kernels.plain import PlainKernels

CPU = torch.device("cpu")


def test_a_prompt_and_tokens_behind_it() -> None:
    exact = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU, torch.float32), CPU, torch.float32)
    model = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU), CPU, torch.bfloat16)
    kernels = PlainKernels()
    decoder = Decoder(model, kernels)
    prefill = Prefill(model, kernels, *decoder.packed)
    states = exact.new_state(100), model.new_state(100, 8)
    ids = torch.randint(0, 320, (84,), generator=torch.Generator().manual_seed(2))
    begin = 0
    for count in (2, 63, 15):
        positions, some = text_positions(begin, begin + count, 3), exact.embed(ids[begin : begin + count])
        expected = exact.forward(some, positions, states[0]).double()
        assert error(prefill.forward(some.bfloat16(), positions, states[1]), expected) < 0.03
        begin += count
    kernels.launched.clear()
    for index in range(80, 84):
        one = exact.embed(ids[index : index + 1])
        expected = exact.forward(one, text_positions(index, index + 1, 3), states[0]).double()
        assert error(decoder.step(one[0].bfloat16(), index + 3, states[1]), expected) < 0.03
    assert {"rotate_8", "attend_8"} <= set(kernels.launched)
    assert not {"rotate", "attend"} & set(kernels.launched)
    for begun, wanted in zip(states[1].read(0, 84), states[0].read(0, 84), strict=True):
        assert isinstance(begun, ByteRows)
        assert isinstance(wanted, torch.Tensor)
        assert error(begun.wide(torch.float32), wanted.double()) < 0.03


@pytest.mark.parametrize("broken", ["rotate_8", "attend_8"])
def test_the_checks_see_a_kernel_that_does_nothing(broken: str) -> None:
    class Broken(PlainKernels):
        def _twin(self, name: str) -> Any:
            return (lambda *_: None) if name == broken else super()._twin(name)

    generator = torch.Generator().manual_seed(3)
    assert sentence(attention_in_bytes(PlainKernels(), generator, 2, 3, 70)) is None
    kernels = Broken()
    kernels._shares = torch.zeros(6, 256)
    assert sentence(attention_in_bytes(kernels, generator, 2, 3, 70)) is not None

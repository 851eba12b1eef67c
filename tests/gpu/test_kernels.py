"""The kernels on a GPU: each against float64, the whole token against the plain model, the same bits again."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.engine.kernels.check import Shape, attention, delta, error, linear, plain_linear, self_check, small_checks
from app.engine.kernels.decode import Decoder
from app.engine.kernels.runtime import CudaKernels
from app.engine.kernels.token_check import token_checks
from app.engine.model import TextModel
from app.engine.rope import text_positions
from tests.bench.synthetic import BIG, SMALL, Size, SyntheticWeights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

CUDA = torch.device("cuda", 0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="module")
def kernels(cache: Path) -> CudaKernels:
    return CudaKernels(CUDA, 6, cache)


def generator() -> torch.Generator:
    return torch.Generator(CUDA).manual_seed(int(torch.randint(2**31, ()).item()))


def test_small_and_odd_shapes(kernels: CudaKernels) -> None:
    assert [checked for checked in small_checks(kernels, CUDA, 6) if not checked.right] == []


def test_other_numbers_of_query_heads(cache: Path) -> None:
    for group in (1, 2, 4):
        assert self_check(CudaKernels(CUDA, group, cache), CUDA, group) is None


@pytest.mark.parametrize("tokens", range(1, 9))
@pytest.mark.parametrize(
    ("out", "into", "bits"), [(1040, 5120, 4), (1040, 5120, 8), (5120, 6144, 8), (5120, 17_408, 4)]
)
def test_the_models_linears(kernels: CudaKernels, out: int, into: int, bits: int, tokens: int) -> None:
    assert [c for c in linear(kernels, generator(), Shape(out, into, bits, 64), tokens) if not c.right] == []


@pytest.mark.parametrize(
    ("out", "into", "bits"), [(1040, 5120, 4), (7168, 5120, 8), (5120, 6144, 4), (5120, 6144, 8), (5120, 17_408, 4)]
)
def test_the_models_linears_of_one_token(kernels: CudaKernels, out: int, into: int, bits: int) -> None:
    assert [c for c in token_checks(kernels, generator(), (Shape(out, into, bits, 64),)) if not c.right] == []


def test_the_head(kernels: CudaKernels) -> None:
    assert plain_linear(kernels, generator(), 248_320, 5120, 1).right


def test_the_models_deltanet(kernels: CudaKernels) -> None:
    assert [checked for checked in delta(kernels, generator(), 16, 48) if not checked.right] == []


@pytest.mark.parametrize("length", [0, 31, 63, 64, 2111, 2112, 5000, 40_000])
def test_the_models_attention(kernels: CudaKernels, length: int) -> None:
    assert attention(kernels, generator(), 4, 6, length).right


@pytest.mark.parametrize(
    "size",
    [SMALL, replace(BIG, text=replace(BIG.text, layer_kinds=BIG.text.layer_kinds[:4], vocab_size=32_000))],
    ids=["small", "four layers of the 27B"],
)
def test_the_whole_token(kernels: CudaKernels, size: Size) -> None:
    """Beside fp32 no further off than the plain path in bf16, and the same bits from the same state."""
    exact, plain, model = (
        TextModel(size.text, SyntheticWeights(size, CUDA, dtype), CUDA, dtype)
        for dtype in (torch.float32, torch.bfloat16, torch.bfloat16)
    )
    decoder = Decoder(model, kernels)
    states = [one.new_state(200) for one in (exact, plain, model)]
    ids = torch.randint(0, size.text.vocab_size, (100,), device=CUDA)
    for one, state in zip((exact, plain, model), states, strict=True):
        one.forward(one.embed(ids[:90]), text_positions(0, 90, 0), state)
    for index in range(90, 100):
        token, position = ids[index : index + 1], text_positions(index, index + 1, 0)
        expected = exact.forward(exact.embed(token), position, states[0]).double()
        usual = plain.forward(plain.embed(token), position, states[1])
        before = states[2].snapshot()
        logits = decoder.step(model.embed(token)[0], index, states[2])
        assert error(logits, expected) < 1.2 * error(usual, expected) + 1e-4
        states[2].restore(before)
        assert torch.equal(decoder.step(model.embed(token)[0], index, states[2]), logits)

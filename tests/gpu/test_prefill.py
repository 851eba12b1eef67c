"""Many tokens on a GPU: each kernel against float64, prompts against the plain model, attention without a mask."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.engine.attention import attend
from app.engine.kernels.check import Shape, error
from app.engine.kernels.decode import Decoder
from app.engine.kernels.prefill import Prefill
from app.engine.kernels.prefill_check import delta, dense, prefill_checks
from app.engine.kernels.runtime import CudaKernels
from app.engine.model import TextModel
from app.engine.rope import text_positions
from tests.bench.synthetic import BIG, SMALL, Size, SyntheticWeights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

CUDA = torch.device("cuda", 0)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> CudaKernels:
    cache: Path = tmp_path_factory.mktemp("kernels")
    return CudaKernels(CUDA, 6, cache)


def generator() -> torch.Generator:
    fresh = torch.Generator(CUDA)
    fresh.seed()
    return fresh


def test_small_and_odd_shapes(kernels: CudaKernels) -> None:
    assert [checked for checked in prefill_checks(kernels, generator()) if not checked.right] == []


@pytest.mark.parametrize(
    "shape", [Shape(1040, 5120, 4, 64), Shape(1040, 5120, 8, 64), Shape(512, 17_408, 4, 64), Shape(160, 6144, 8, 200)]
)
def test_the_models_linears(kernels: CudaKernels, shape: Shape) -> None:
    assert [checked for checked in dense(kernels, generator(), shape) if not checked.right] == []


@pytest.mark.parametrize("length", [1, 2, 9, 63, 64, 65, 130, 2048])
@pytest.mark.parametrize("pace", [1e-3, 1.0, 200.0])
def test_the_models_deltanet(kernels: CudaKernels, length: int, pace: float) -> None:
    assert [c for c in delta(kernels, generator(), (16, 48), length, pace) if not c.right] == []


@pytest.mark.parametrize(("length", "total"), [(1, 1), (2, 3), (63, 700), (256, 4096), (2048, 2048)])
def test_attention_behind_a_past(length: int, total: int) -> None:
    q = torch.randn(length, 24, 256, device=CUDA).bfloat16()
    keys, values = (torch.randn(4, total + 9, 256, device=CUDA).bfloat16()[:, :total] for _ in range(2))
    later = ~torch.ones(length, total, dtype=torch.bool, device=CUDA).tril(total - length)
    k, v = (x.repeat_interleave(6, 0).float() for x in (keys, values))
    scores = (q.transpose(0, 1).float() @ k.mT / 16).masked_fill(later, float("-inf"))
    assert error(attend(q, keys, values), (scores.softmax(-1) @ v).transpose(0, 1).double()) < 0.01


def test_attention_builds_no_mask() -> None:
    q = torch.randn(2048, 24, 256, device=CUDA).bfloat16()
    keys, values = (torch.zeros(4, 131_072, 256, device=CUDA, dtype=torch.bfloat16) for _ in range(2))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    attend(q, keys, values)
    assert torch.cuda.max_memory_allocated() - before < 2 * q.nbytes  # [2048, 131072] is ten times that


@pytest.mark.parametrize(
    "size",
    [SMALL, replace(BIG, text=replace(BIG.text, layer_kinds=BIG.text.layer_kinds[:4], vocab_size=32_000))],
    ids=["small", "four layers of the 27B"],
)
def test_whole_prompts(kernels: CudaKernels, size: Size) -> None:
    """Beside fp32 no further off than the plain path in bf16, and the same bits from the same state."""
    exact, plain, model = (
        TextModel(size.text, SyntheticWeights(size, CUDA, dtype), CUDA, dtype)
        for dtype in (torch.float32, torch.bfloat16, torch.bfloat16)
    )
    prefill = Prefill(model, kernels, *Decoder(model, kernels).packed)
    states = [one.new_state(1000) for one in (exact, plain, model)]
    for count in (2, 130, 1, 700, 64):
        ids, begin = torch.randint(0, size.text.vocab_size, (count,), device=CUDA), states[0].length
        positions = text_positions(begin, begin + count, 5)
        expected = exact.forward(exact.embed(ids), positions, states[0]).double()
        usual = plain.forward(plain.embed(ids), positions, states[1])
        twin = states[2].clone()
        logits = prefill.forward(model.embed(ids), positions, states[2])
        assert error(logits, expected) < 1.2 * error(usual, expected) + 1e-3
        assert torch.equal(prefill.forward(model.embed(ids), positions, twin), logits)

"""Keys and values in bytes on a GPU: its kernels, attention in pieces, and whole conversations."""

from pathlib import Path

import pytest
import torch

from app.engine import attention
from app.engine.attention import attend
from app.engine.byte_rows import to_bytes
from app.engine.capacity import Wanted
from app.engine.kernels.check import attention_in_bytes, error
from app.engine.kernels.decode import Decoder
from app.engine.kernels.prefill import Prefill
from app.engine.kernels.runtime import CudaKernels
from app.engine.load import open_model
from app.engine.model import TextModel
from app.engine.rope import text_positions
from app.paths import demo_model_dir
from tests.bench.synthetic import SMALL, SyntheticWeights
from tests.engine.conftest import no_progress
from tests.engine.talks import Engine, user

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

CUDA = torch.device("cuda", 0)


@pytest.mark.parametrize("group", [6, 8])
@pytest.mark.parametrize("length", [0, 62, 4000])
def test_a_token_over_bytes(tmp_path: Path, group: int, length: int) -> None:
    generator = torch.Generator(CUDA)
    generator.seed()
    checks = attention_in_bytes(CudaKernels(CUDA, group, tmp_path), generator, 4, group, length)
    assert [checked for checked in checks if not checked.right] == []


@pytest.mark.parametrize(("length", "total"), [(1, 1), (2, 700), (63, 64), (300, 4096)])
def test_attention_in_pieces(monkeypatch: pytest.MonkeyPatch, length: int, total: int) -> None:
    monkeypatch.setattr(attention, "PIECE", 256)
    q = torch.randn(length, 24, 256, device=CUDA).bfloat16()
    keys, values = (to_bytes(torch.randn(4, total + 9, 256, device=CUDA)).piece(0, total) for _ in range(2))
    wanted = attend(q.float(), keys, values)  # by plain products
    assert error(attend(q, keys, values), wanted.double()) < 0.01


def test_a_prompt_and_tokens_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No further from fp32 than with 16 bits, or hardly."""
    monkeypatch.setattr(attention, "PIECE", 256)
    exact = TextModel(SMALL.text, SyntheticWeights(SMALL, CUDA, torch.float32), CUDA, torch.float32)
    model = TextModel(SMALL.text, SyntheticWeights(SMALL, CUDA), CUDA, torch.bfloat16)
    decoder = Decoder(model, kernels := CudaKernels(CUDA, 6, tmp_path))
    prefill = Prefill(model, kernels, *decoder.packed)
    states = exact.new_state(1100), model.new_state(1100, 8)
    for count in (2, 700, 64, 1, 300):
        ids, begin = torch.randint(0, SMALL.text.vocab_size, (count,), device=CUDA), states[0].length
        positions = text_positions(begin, begin + count, 5)
        expected = exact.forward(exact.embed(ids), positions, states[0]).double()
        assert error(prefill.forward(model.embed(ids), positions, states[1]), expected) < 0.03
    for _ in range(4):
        ids, begin = torch.randint(0, SMALL.text.vocab_size, (1,), device=CUDA), states[0].length
        expected = exact.forward(exact.embed(ids), text_positions(begin, begin + 1, 5), states[0]).double()
        assert error(decoder.step(model.embed(ids)[0], begin + 5, states[1]), expected) < 0.03


def test_the_demo_model_answers_alike() -> None:
    folder, said = demo_model_dir(), []
    for wanted in (Wanted(4096), Wanted(4096, kv_bits=8)):
        engine = Engine(folder, open_model(folder, "cuda", "parley", no_progress, wanted=wanted), capacity=4096)
        said.append([engine.ask((user(text),)).answer for text in ("What is 37 + 48?", "What are you?")])
    assert said[0] == said[1]

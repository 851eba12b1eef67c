"""Gated DeltaNet's arithmetic against transformers' torch reference and against itself."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.delta import causal_conv, delta_chunks, delta_step, unit

HEADS, WIDTH = 3, 16


def inputs(length: int, decay: float = 1.0, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(length, HEADS, WIDTH, generator=generator) for _ in range(3))
    return {
        "q": unit(q) * WIDTH**-0.5,
        "k": unit(k),
        "v": v,
        "log_decay": -torch.rand(length, HEADS, generator=generator) * decay,
        "beta": torch.rand(length, HEADS, generator=generator),
    }


def one_by_one(given: dict[str, Tensor], state: Tensor) -> Tensor:
    rows = [delta_step(*(given[name][i] for name in given), state=state) for i in range(len(given["q"]))]
    return torch.stack(rows)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("decay", [0.01, 1.0, 40.0])
def test_chunks_steps_and_transformers_agree(length: int, decay: float) -> None:
    from tests.foreign import modeling_qwen3_5

    given = inputs(length, decay)
    start = torch.randn(HEADS, WIDTH, WIDTH, generator=torch.Generator().manual_seed(5))
    wanted, end = modeling_qwen3_5.torch_chunk_gated_delta_rule(
        given["q"][None] * WIDTH**0.5,
        given["k"][None],
        given["v"][None],
        g=given["log_decay"][None],
        beta=given["beta"][None],
        initial_state=start[None],
        output_final_state=True,
    )
    for compute in (delta_chunks, None):
        state = start.clone()
        y = compute(**given, state=state) if compute else one_by_one(given, state)
        assert torch.allclose(y, wanted[0], atol=1e-5)
        assert torch.allclose(state, end[0], atol=1e-5)


def test_the_state_carries_on_between_calls() -> None:
    given = inputs(150)
    whole, parts = torch.zeros(HEADS, WIDTH, WIDTH), torch.zeros(HEADS, WIDTH, WIDTH)
    y = delta_chunks(**given, state=whole)
    pieces = [delta_chunks(**{n: x[a:b] for n, x in given.items()}, state=parts) for a, b in ((0, 40), (40, 150))]
    assert torch.allclose(torch.cat(pieces), y, atol=1e-5)
    assert torch.allclose(parts, whole, atol=1e-5)


def test_strong_decay_and_long_prompts_stay_finite() -> None:
    state = torch.zeros(HEADS, WIDTH, WIDTH)
    assert delta_chunks(**inputs(640, decay=200.0), state=state).isfinite().all()
    assert state.isfinite().all()


@pytest.mark.parametrize("cuts", [[50], [1, 49], [2, 1, 1, 46], [1] * 50])
def test_convolution_is_causal_and_carries_its_state(cuts: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(50, 6, generator=generator), torch.randn(4, 6, generator=generator)
    wanted = fn.silu(fn.conv1d(x.T[None], weight.T[:, None], padding=3, groups=6)[0, :, :50].T)
    state = torch.zeros(3, 6)
    pieces = torch.split_with_sizes(x, cuts)
    y = torch.cat([causal_conv(piece, weight, state) for piece in pieces])
    assert torch.allclose(y, wanted, atol=1e-6)
    assert torch.equal(state, x[-3:])

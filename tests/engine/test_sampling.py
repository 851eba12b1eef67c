"""The sampler against a straightforward one that follows the formulas word by word."""

import math
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from app.engine.sampling import NotFiniteError, Sampler
from app.protocol import Sampling

rows = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=30)


def allowed(logits: list[float], sampling: Sampling, seen: set[int]) -> dict[int, float]:
    """The chances of every id that may be chosen, one formula after the other."""
    z = {i: x - sampling.presence_penalty * (i in seen) for i, x in enumerate(logits)}
    z = {i: x / sampling.temperature for i, x in z.items()}
    order = sorted(z, key=lambda i: (-z[i], i))
    least = z[order[sampling.top_k - 1]] if 0 < sampling.top_k < len(order) else -math.inf
    order = [i for i in order if z[i] >= least]
    total = sum(math.exp(z[i] - z[order[0]]) for i in order)
    q = {i: math.exp(z[i] - z[order[0]]) / total for i in order}
    kept, before = {}, 0.0
    for i in order:
        if (before < sampling.top_p and q[i] >= sampling.min_p * q[order[0]]) or i == order[0]:
            kept[i] = q[i]
        before += q[i]
    return {i: p / sum(kept.values()) for i, p in kept.items()}


def draws(logits: Tensor, sampling: Sampling, count: int, seen: set[int]) -> list[int]:
    sampler = Sampler(sampling, len(logits))
    for token in seen:
        sampler.note(token)
    return [sampler.choose(logits) for _ in range(count)]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, presence_penalty=0.0, seed=1),
        Sampling(temperature=0.7, top_k=5, top_p=1.0, min_p=0.0, presence_penalty=1.5, seed=2),
        Sampling(temperature=1.3, top_k=0, top_p=0.8, min_p=0.0, presence_penalty=-0.5, seed=3),
        Sampling(temperature=1.0, top_k=12, top_p=0.95, min_p=0.2, presence_penalty=0.0, seed=4),
    ],
)
def test_ids_are_drawn_as_often_as_the_formulas_say(sampling: Sampling) -> None:
    generator = random.Random(7)  # noqa: S311
    logits = [generator.gauss(0, 1.5) for _ in range(16)]
    expected = allowed(logits, sampling, {1, 4, 9})
    count = 3000
    found = draws(torch.tensor(logits), sampling, count, {1, 4, 9})
    assert set(found) <= set(expected)
    for token, chance in expected.items():
        deviation = math.sqrt(count * chance * (1 - chance))
        assert abs(found.count(token) - count * chance) <= 4.5 * deviation + 1


@settings(deadline=None)
@given(
    rows,
    st.builds(Sampling, st.floats(0.1, 3), st.integers(0, 5), st.floats(0.05, 1), st.floats(0, 1), st.just(1.0)),
)
def test_only_what_the_formulas_allow_is_chosen(row: list[float], sampling: Sampling) -> None:
    # Rounding may fall to either side of a bound.
    loose = replace(sampling, top_p=sampling.top_p + 1e-6, min_p=sampling.min_p - 1e-6)
    seen = {0}
    (chosen,) = draws(torch.tensor(row), sampling, 1, seen)
    assert chosen in allowed(torch.tensor(row).tolist(), loose, seen)


@given(rows, st.integers(-5, 2**70))
def test_a_seed_gives_the_same_ids_again(row: list[float], seed: int) -> None:
    sampling = Sampling(seed=seed)
    assert draws(torch.tensor(row), sampling, 5, set()) == draws(torch.tensor(row), sampling, 5, set())


def test_without_a_seed_answers_differ() -> None:
    row = torch.zeros(1000)
    assert draws(row, Sampling(top_k=0), 8, set()) != draws(row, Sampling(top_k=0), 8, set())


@given(rows)
def test_temperature_zero_takes_the_first_of_the_largest(row: list[float]) -> None:
    values = torch.tensor(row).tolist()
    (chosen,) = draws(torch.tensor(row), Sampling(temperature=0, presence_penalty=0), 1, set())
    assert chosen == values.index(max(values))


def test_padding_of_the_vocabulary_is_never_chosen() -> None:
    logits = torch.tensor([0.0, 1.0, 50.0])
    for sampling in (Sampling(temperature=0), Sampling(top_k=0, top_p=1.0), Sampling(top_k=3)):
        assert Sampler(sampling, valid=2).choose(logits) < 2


def test_the_penalty_counts_generated_tokens_once_and_leaves_the_logits_alone() -> None:
    sampler = Sampler(Sampling(temperature=0, presence_penalty=1.0), 2)
    logits = torch.tensor([0.0, 1.5])
    for _ in range(3):
        sampler.note(1)
    assert sampler.choose(logits) == 1
    assert sampler.choose(torch.tensor([0.6, 1.5])) == 0
    assert logits.tolist() == [0.0, 1.5]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_none_is_not_sampled(temperature: float, bad: float) -> None:
    with pytest.raises(NotFiniteError):
        Sampler(Sampling(temperature=temperature), 3).choose(torch.tensor([0.0, bad, 1.0]))

"""The largest logits on the kernels' twins, and a sampler that uses them: the same ids as without."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from app.engine.kernels.choose import LargestLogits, largest_checks, self_check_largest
from app.engine.sampling import Sampler
from app.presets import DEMO, DIRECT_GREEDY, THINKING_GENERAL
from app.protocol import Sampling
from tests.engine.kernels.plain import PlainKernels

CPU = torch.device("cpu")


def test_the_checks_accept_what_is_right() -> None:
    assert [checked for checked in largest_checks(PlainKernels(), CPU) if not checked.right] == []


@pytest.mark.parametrize("broken", ["largest_of_each", "largest_of_all"])
def test_the_checks_see_a_kernel_that_does_nothing(broken: str) -> None:
    class Broken(PlainKernels):
        def _twin(self, name: str) -> Any:
            return (lambda *_: None) if name == broken else super()._twin(name)

    said = self_check_largest(Broken(), CPU)
    assert said is not None
    assert "wrong" in said


@pytest.mark.parametrize("sampling", [DEMO, DIRECT_GREEDY, THINKING_GENERAL])
def test_a_sampler_chooses_the_same_ids_with_and_without(sampling: Sampling) -> None:
    valid = 3000
    seeded = replace(sampling, seed=4)
    largest = LargestLogits(PlainKernels(), valid, CPU)
    both = Sampler(seeded, valid, largest), Sampler(seeded, valid)
    generator = torch.Generator().manual_seed(1)
    for _ in range(30):
        logits = torch.randn(valid + 8, generator=generator).mul(4).round()
        first, second = (sampler.choose(logits) for sampler in both)
        assert first == second
        for sampler in both:
            sampler.note(first)

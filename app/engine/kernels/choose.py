"""The largest logits of a row, found on the GPU: all that sampling looks at leaves it in one copy.

Knows: the two kernels of `choose.cu`, their buffers. Does not know: temperatures, seeds, how one of them is chosen.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from app.engine.kernels.check import Checked, sentence
from app.engine.kernels.runtime import Kernels

_RUN = 64
_EACH = 2048
_THREADS = 1024
MOST_VALID = 128 * _EACH
"""A vocabulary of more tokens is not taken: what its blocks find would not fit into the last one's memory."""


class LargestLogits:
    """Finds the `most` largest of fp32 logits [vocabulary], of which the first `valid` count, on their device."""

    most = _RUN

    def __init__(self, kernels: Kernels, valid: int, device: torch.device) -> None:
        self._kernels, self._valid, self._blocks = kernels, valid, -(-valid // _EACH)
        self._best = torch.empty(self._blocks * _RUN, dtype=torch.int64, device=device)
        self._found = torch.empty(2, _RUN, dtype=torch.int32, device=device)

    def __call__(self, logits: Tensor, penalties: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits less `penalties` fp32 [valid], largest first, of equal ones the smaller id first, and their ids, both
        [at most `most`] on the CPU. What is no number comes first. Waits for the device."""
        each, blocks = self._kernels["largest_of_each"], self._blocks
        each((blocks, 1), _THREADS, 8 * _EACH, logits, penalties, self._valid, self._best)
        values, ids = self._found
        self._kernels["largest_of_all"]((1, 1), _THREADS, 8 * _RUN * blocks, self._best, blocks, values, ids)
        values, ids = self._found.cpu()[:, : self._valid]
        return values.view(torch.float32), ids


def self_check_largest(kernels: Kernels, device: torch.device) -> str | None:
    """Why these kernels cannot be used on this device, as a sentence, or None if everything small comes out right."""
    return sentence(largest_checks(kernels, device))


def largest_checks(kernels: Kernels, device: torch.device) -> Iterator[Checked]:
    """Few and many logits, equal ones, with and without penalties, and one that is no number, against a plain sort."""
    generator = torch.Generator(device)
    generator.seed()
    for valid in (3, 64, 2049, 70_000):
        finder = LargestLogits(kernels, valid, device)
        for penalized in (False, True):
            logits = torch.randn(valid + 5, device=device, generator=generator).mul(8).round() / 4  # many are equal
            logits[valid:] = 1000.0
            penalties = torch.rand(valid, device=device, generator=generator) if penalized else None
            row = logits[:valid] if penalties is None else logits[:valid] - penalties
            wanted, order = row.sort(descending=True, stable=True)
            values, ids = finder(logits, penalties)
            wrong = (values != wanted[: len(values)].cpu()).sum() + (ids != order[: len(ids)].cpu()).sum()
            yield Checked(f"largest of {valid}, penalties {penalized}", float(wrong), 0.0)
        logits[valid // 2] = torch.nan
        yield Checked(f"no number among {valid}", float(~finder(logits, None)[0][0].isnan()), 0.0)

"""Chooses the next token from a row of logits. Knows numbers only: no text, no prompt, no device of its own.

In the order in which the field applies them, on logits z of the valid ids:

1. presence penalty p (OpenAI's): z_i ← z_i − p for every id i generated before, once however often; the prompt does
   not count.
2. temperature T: z ← z / T. T = 0 takes the largest z, of equal ones the smallest id.
3. top-k: keep the k largest z, of equal ones those with the smallest ids; 0 keeps all.
4. top-p: with q = softmax(z) of what is left, largest first, keep the ids before which less than P is summed up.
5. min-p: keep ids with q_i ≥ m · max q.
6. draw from the softmax of what is left: with u uniform in [0, 1), the first id at which the cumulated q exceeds u.

Every draw takes exactly one u from a generator of the seed, so the same logits and seed give the same ids, on every
device.
"""

import secrets
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from app.protocol import Sampling

_SEEDS = 2**63
_SPARE = 24
"""How many logits beyond the k largest are looked at, because equal ones come in no order."""
_Numbers = npt.NDArray[np.float64]
_Ids = npt.NDArray[np.int64]


class NotFiniteError(Exception):
    """The model computed something that is no number."""


class Largest(Protocol):
    """Finds the `most` largest logits of a row."""

    most: int

    def __call__(self, logits: Tensor, penalties: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of logits less penalties, if there are any, the largest first, of equal ones the smaller id first, what is no
        number before all; and their ids. Both on the CPU."""


class Sampler:
    """Samples one answer. Ids from `valid` on are padding of the vocabulary and are never chosen. `largest` finds the
    largest of them faster than torch, where there is such a thing."""

    def __init__(self, sampling: Sampling, valid: int, largest: Largest | None = None) -> None:
        self._sampling = sampling
        self._valid = valid
        needed = 1 if sampling.temperature <= 0 else sampling.top_k
        self._largest = largest if largest is not None and 0 < needed <= largest.most else None
        self._noted: list[int] = []
        self._penalties: Tensor | None = None
        seed = secrets.randbelow(_SEEDS) if sampling.seed is None else sampling.seed % _SEEDS
        self._uniform = torch.Generator().manual_seed(seed)

    def note(self, token: int) -> None:
        """A token was put into the answer, chosen or forced: the presence penalty counts it from now on."""
        self._noted.append(token)

    def choose(self, logits: Tensor) -> int:
        """The next token for fp32 logits [vocabulary], which are left as they are. Raises `NotFiniteError`."""
        penalties = self._penalties_on(logits.device) if self._sampling.presence_penalty else None
        if self._largest is not None:
            values, ids = (found.numpy() for found in self._largest(logits, penalties))
            values, ids = values.astype(np.float64), ids.astype(np.int64)
        else:
            row = logits[: self._valid]
            values, ids = self._candidates(row if penalties is None else row - penalties)
        if not np.isfinite(values.max()):  # which no number at all also makes
            raise NotFiniteError
        if self._sampling.temperature <= 0:
            return int(ids[0])
        return int(ids[self._draw(values[: self._sampling.top_k or None])])

    def _penalties_on(self, device: torch.device) -> Tensor:
        """What to subtract from every logit: fp32 [valid]. Kept on the device, and only what is new is written."""
        if self._penalties is None:
            self._penalties = torch.zeros(self._valid, device=device)
        for token in self._noted:  # one by one: a list of places would be copied to the device, and waited for
            self._penalties[token] = self._sampling.presence_penalty
        self._noted = []
        return self._penalties

    def _candidates(self, row: Tensor) -> tuple[_Numbers, _Ids]:
        """The k largest logits at least, largest first (of equal ones the smaller id first), and their ids.

        Only they and some more for equal ones leave the device, in one step: the temperature, a positive factor, does
        not change which they are.
        """
        if self._sampling.temperature <= 0:
            return self._best(row)
        if not self._sampling.top_k:
            every = row.double().cpu().numpy()
            order = np.argsort(-every, kind="stable")
            return every[order], order
        found = row.topk(min(self._sampling.top_k + _SPARE, row.shape[0]))
        values, ids = torch.stack((found.values.double(), found.indices.double())).cpu().numpy()
        order = np.lexsort((ids, -values))
        return values[order], ids[order].astype(np.int64)

    @staticmethod
    def _best(row: Tensor) -> tuple[_Numbers, _Ids]:
        values, ids = torch.stack((row.max().double(), row.argmax().double())).unsqueeze(1).cpu().numpy()
        return values, ids.astype(np.int64)

    def _draw(self, values: _Numbers) -> int:
        """The rank of the chosen one among logits that come largest first."""
        chances = np.exp((values - values[0]) / self._sampling.temperature)
        chances /= chances.sum()
        so_far = chances.cumsum()
        kept = (so_far - chances < self._sampling.top_p) & (chances >= self._sampling.min_p * chances[0])
        kept &= chances > 0
        kept[0] = True
        last = int(kept.nonzero()[0][-1])
        so_far = np.where(kept, chances, 0.0).cumsum()
        mark = float(torch.rand((), generator=self._uniform, dtype=torch.float64)) * so_far[-1]
        return min(int(np.searchsorted(so_far, mark, side="right")), last)

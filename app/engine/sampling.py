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

import math
import secrets

import torch
from torch import Tensor

from app.protocol import Sampling

_SEEDS = 2**63
_SPARE = 24
"""How many logits beyond the k largest are looked at, because equal ones come in no order."""


class NotFiniteError(Exception):
    """The model computed something that is no number."""


class Sampler:
    """Samples one answer. Ids from `valid` on are padding of the vocabulary and are never chosen."""

    def __init__(self, sampling: Sampling, valid: int) -> None:
        self._sampling = sampling
        self._valid = valid
        self._noted: list[int] = []
        self._penalties: Tensor | None = None
        seed = secrets.randbelow(_SEEDS) if sampling.seed is None else sampling.seed % _SEEDS
        self._uniform = torch.Generator().manual_seed(seed)

    def note(self, token: int) -> None:
        """A token was put into the answer, chosen or forced: the presence penalty counts it from now on."""
        self._noted.append(token)

    def choose(self, logits: Tensor) -> int:
        """The next token for fp32 logits [vocabulary], which are left as they are. Raises `NotFiniteError`."""
        row = logits[: self._valid]
        if self._sampling.presence_penalty:
            row = row - self._penalties_on(row.device)
        if self._sampling.temperature <= 0:
            return self._greedy(row)
        values, ids = self._candidates(row)
        return int(ids[self._draw(values)])

    def _penalties_on(self, device: torch.device) -> Tensor:
        """What to subtract from every logit: fp32 [valid]. Kept on the device, and only what is new is written."""
        if self._penalties is None:
            self._penalties = torch.zeros(self._valid, device=device)
        for token in self._noted:  # one by one: a list of places would be copied to the device, and waited for
            self._penalties[token] = self._sampling.presence_penalty
        self._noted = []
        return self._penalties

    def _greedy(self, row: Tensor) -> int:
        best, index = torch.stack((row.max().double(), row.argmax().double())).tolist()
        if not math.isfinite(best):
            raise NotFiniteError
        return int(index)

    def _candidates(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """The k largest logits, fp64 on the CPU and largest first (of equal ones the smaller id first), and their ids.

        Only they and some more for equal ones leave the device, in one step: the temperature, a positive factor, does
        not change which they are.
        """
        count = self._sampling.top_k or row.shape[0]
        values, ids = row.topk(min(count + _SPARE, row.shape[0]))
        values, ids = torch.stack((values.double(), ids.double())).cpu()
        if not torch.isfinite(values[0]):
            raise NotFiniteError
        by_id = ids.argsort()
        order = by_id[values[by_id].argsort(descending=True, stable=True)][:count]
        return values[order], ids[order].long()

    def _draw(self, values: Tensor) -> int:
        """The rank of the chosen one among logits that come largest first."""
        chances = (values / self._sampling.temperature).softmax(0)
        before = chances.cumsum(0) - chances
        kept = (before < self._sampling.top_p) & (chances >= self._sampling.min_p * chances[0])
        kept = kept & (chances > 0)
        kept[0] = True
        chances = torch.where(kept, chances, 0.0)
        mark = torch.rand((), generator=self._uniform, dtype=torch.float64) * chances.sum()
        rank = int(torch.searchsorted(chances.cumsum(0), mark, right=True))
        return min(rank, int(kept.nonzero()[-1]))

"""How the memory of a GPU is divided for a model: what goes where, and how much context that leaves room for.

Pure arithmetic on sizes in bytes. Does not know: checkpoints, devices, messages, torch; the window may use it as well
as the engine. Where memory is short, what costs least is given up first: the vision tower waits in the computer's
memory until a picture comes, then the embedding table stays there for good, and only then does the context shrink, and
that only if no size was asked for.
"""

from dataclasses import dataclass

RESERVE = 256 * 2**20
"""Bytes that stay free on a GPU, for the desktop and for what other programs may still want."""
LEAST = 256
"""A context with fewer tokens is of no use."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a model's parts as they lie in memory. `weights` are those of the language model without `embeddings`,
    its table, which is 0 where the table has to be on the device (it is the head, too). `tower` is the vision tower.
    `token` is for one token's keys and values, `state` for what the model remembers whatever the length, `workspace`
    for what reading a chunk of a prompt or a picture takes meanwhile, `library` for the driver and its libraries.
    `most` is the largest context that the model can have, in tokens."""

    weights: int
    embeddings: int
    tower: int
    token: int
    state: int
    workspace: int
    library: int
    most: int

    def fixed(self, *, tower_parked: bool, embeddings_outside: bool) -> int:
        """Bytes on the device whatever the context."""
        inside = self.weights + self.state + self.workspace + self.library
        inside += 0 if tower_parked else self.tower
        return inside + (0 if embeddings_outside else self.embeddings)


@dataclass(frozen=True, slots=True)
class Plan:
    """Who gets what of `free` bytes, for `context` tokens. `largest` is the most context that would fit, whatever has
    to be given up for it, and 0 if not even the smallest would."""

    sizes: Sizes
    free: int
    reserve: int
    context: int
    largest: int
    tower_parked: bool
    embeddings_outside: bool

    @property
    def needed(self) -> int:
        """Bytes that the device has to have free: all parts on it, and the reserve."""
        fixed = self.sizes.fixed(tower_parked=self.tower_parked, embeddings_outside=self.embeddings_outside)
        return fixed + self.context * self.sizes.token + self.reserve

    @property
    def missing(self) -> int:
        """Bytes by which it does not fit; 0 if it does."""
        return max(0, self.needed - self.free)

    @property
    def fits(self) -> bool:
        """Whether the model can be loaded this way."""
        return self.missing == 0 and self.context >= min(LEAST, self.sizes.most)

    @property
    def outside(self) -> int:
        """Bytes of the model's parts that lie in the computer's memory instead."""
        tower = self.sizes.tower if self.tower_parked else 0
        return tower + (self.sizes.embeddings if self.embeddings_outside else 0)

    @property
    def parts(self) -> dict[str, int]:
        """What the device holds, in the order in which it is drawn: name → bytes. Their sum is `needed`."""
        sizes = self.sizes
        return {
            "weights": sizes.weights,
            "embeddings": 0 if self.embeddings_outside else sizes.embeddings,
            "vision": 0 if self.tower_parked else sizes.tower,
            "context": self.context * sizes.token,
            "state": sizes.state,
            "workspace": sizes.workspace,
            "library": sizes.library,
            "reserve": self.reserve,
        }


_SACRIFICES = ((False, False), (True, False), (True, True))
"""(tower parked, embeddings outside), from what costs nothing to what costs most."""


def make_plan(sizes: Sizes, free: int, wanted: int | None, reserve: int = RESERVE) -> Plan:
    """The plan for `wanted` tokens of context in `free` bytes; None wants as many as the model can have, and takes
    fewer if they do not fit. A plan that does not fit says so, and what would."""
    target = sizes.most if wanted is None else wanted
    least = min(LEAST, sizes.most)
    largest = max(_room(sizes, free - reserve, *given_up) for given_up in _SACRIFICES)
    largest = largest if largest >= least else 0
    enough = next((each for each in _SACRIFICES if _room(sizes, free - reserve, *each) >= target), _SACRIFICES[-1])
    context = min(target, max(largest, least)) if wanted is None else wanted
    return Plan(sizes, free, reserve, context, largest, *_without_nothing(sizes, *enough))


def _room(sizes: Sizes, free: int, tower_parked: bool, embeddings_outside: bool) -> int:
    """Tokens that fit."""
    left = free - sizes.fixed(tower_parked=tower_parked, embeddings_outside=embeddings_outside)
    return min(sizes.most, max(0, left // max(1, sizes.token)))


def _without_nothing(sizes: Sizes, tower_parked: bool, embeddings_outside: bool) -> tuple[bool, bool]:
    """What is not there is not given up."""
    return tower_parked and sizes.tower > 0, embeddings_outside and sizes.embeddings > 0

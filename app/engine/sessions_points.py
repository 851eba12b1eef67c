"""Places in conversations that can be gone back to.

Knows: how points form a tree, each a continuation of its parent, and what memory they hold. Does not know: where the
live state stands, when a point is made or forgotten (`sessions`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.engine.cache import HostTensors, Snapshot
from app.engine.sessions_keys import Keys


@dataclass(eq=False, slots=True)
class Point:
    """A place in a conversation: behind `length` tokens, those since `parent` being `keys`. `rows` are a copy of their
    keys and values, None while these are in the live state. Without a `snapshot` it only holds rows for its children.
    `owners` are the conversations that came by; `used` counts up with every use of the snapshot."""

    parent: "Point | None"
    keys: Keys
    length: int
    snapshot: Snapshot | None = None
    rows: HostTensors | None = None
    used: int = 0
    owners: set[str] = field(default_factory=set)
    children: list["Point"] = field(default_factory=list)

    @property
    def begin(self) -> int:
        """Tokens before those of this point's own."""
        return self.length - len(self.keys)

    def chain(self) -> list["Point"]:
        """The points from the first to this one; the root is none of them."""
        points: list[Point] = []
        point: Point = self
        while point.parent is not None:
            points.append(point)
            point = point.parent
        return points[::-1]

    def below(self) -> Iterator["Point"]:
        """This point and all that continue it."""
        waiting = [self]
        while waiting:
            point = waiting.pop()
            waiting += point.children
            yield point

    @property
    def nbytes(self) -> int:
        """Bytes of host memory."""
        return (self.snapshot.nbytes if self.snapshot else 0) + (self.rows.nbytes if self.rows else 0)

"""What the engine remembers of every conversation, so that nothing is read twice.

Knows: which tokens the model's one live state has read, places in conversations that can be gone back to, how much host
memory all of it may take. Does not know: messages, templates, files, why somebody goes somewhere.

A prompt is a row of keys, one for each token. A `Point` is a place behind some of them with a snapshot of what cannot
be cut short there; points form a tree, each a continuation of its parent. The live state stands on one branch of it.
The keys and values (rows) of that branch are in the live state; whatever is about to be overwritten there is first
copied to host memory, from which going back brings it. So a follow-up costs nothing, and another branch or conversation
one copy out and one in.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from app.engine.cache import HostTensors, Snapshot, State, TensorState
from app.engine.prompt import Prompt
from app.engine.sessions_keys import Keys, Naming

_SPREAD = 8
_STRIDE = 8192
_LONG = 16
_NOWHERE = np.zeros(0, np.int64)


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


class Sessions:
    """The live state and all that can be put into it. At most `budget` bytes of host memory are used; what was not used
    for longest is forgotten first. Points are at least `spacing` tokens apart, unless they end a prompt."""

    def __init__(self, state: State, budget: int, spacing: int) -> None:
        self.state = state
        self.spacing = spacing
        self._budget = budget
        self._rows = state if isinstance(state, TensorState) else None
        self._root = Point(None, _NOWHERE, 0)
        self._live = self._root
        self._keys = _NOWHERE
        self._sound = True
        self._clock = 0
        self._conversation = ""
        self._touched = 0
        self.keys_of = Naming().keys_of

    @property
    def nbytes(self) -> int:
        """Bytes of host memory that are used."""
        return sum(point.nbytes for point in self._root.below())

    @property
    def points(self) -> list[Point]:
        """The points of the branch that is live."""
        return self._live.chain()

    @property
    def keys(self) -> Keys:
        """The keys of the tokens that the live state holds rows of, as far as they are known."""
        return self._keys[: self.state.length]

    def shared(self, keys: Keys) -> int:
        """How many of these tokens would not have to be read."""
        return max(self._end(keys), self._deepest(keys).length)

    def go(self, keys: Keys, conversation: str) -> int:
        """Bring the live state to the longest beginning of `keys` that is known, but never to the end of it, and return
        its length: the rest is to be read now."""
        self._conversation = conversation
        self._touched = max(self._touched, self.state.length)
        end, best = self._end(keys), self._deepest(keys)
        if end < best.length or not self._sound:
            self._switch(best, keys)
            end = best.length
        self._sound = True
        self._keys = keys
        self._clock += 1
        self._live.used = self._clock
        for point in self._live.chain():
            point.owners.add(conversation)
        return end

    def keep(self) -> None:
        """Make a point where the live state stands, if there is room for it."""
        state, live = self.state, self._live
        length = state.length
        if not self._sound or not 0 < length <= len(self._keys) or (length == live.length and live.snapshot):
            return
        point = live if length == live.length else self._child(live, self._keys[live.length : length])
        self._clock += 1
        point.used, self._live = self._clock, point
        point.owners.add(self._conversation)
        if point.snapshot is None and self._make_room(state.snapshot_bytes):
            point.snapshot = state.snapshot()

    def marks(self, prompt: Prompt) -> list[int]:
        """Where to make points while a prompt is read from where the state stands: before the answer, after the system
        message, on the way not too often, for each costs memory, and in long texts at a stride.

        A question that stays without an answer is followed by another one, so a long one has a point before the turn of
        the answer and one in it.
        """
        begin, last = self.state.length, prompt.opening
        turn = prompt.turns[-1] if prompt.turns else last
        wide = max(self.spacing, (last - begin) // _SPREAD)
        found: list[int] = []
        for joint in prompt.joints:
            before = found[-1] if found else begin
            if not begin < joint < turn:
                continue
            found += range(before + _STRIDE, joint - wide, _STRIDE)
            apart = self.spacing if joint in prompt.turns[1:2] else wide
            if joint - (found[-1] if found else begin) >= apart:
                found.append(joint)
        before = found[-1] if found else begin
        found += range(before + _STRIDE, turn - wide, _STRIDE)
        if begin < turn < last and turn - begin >= _LONG * self.spacing:
            found.append(turn)
        return found + [last] * (begin < last)

    def spoil(self) -> None:
        """Something failed while the live state moved: only what points hold can be trusted."""
        self._sound = False

    def forget(self, conversation: str) -> None:
        """Drop all that only this conversation uses, and what the live state holds of it."""
        self._touched = max(self._touched, self.state.length)
        for point in list(self._root.below()):
            point.owners.discard(conversation)
        for point in list(self._root.below()):
            if point.parent is not None and not point.owners and point in point.parent.children:
                self._drop(point)
        if self._conversation == conversation:
            keys = self._keys
            best = self._deepest(keys)
            self._switch(best, keys)
            self._keys, self._sound, self._conversation = keys[: best.length], True, ""
        if self._rows is not None:
            self._rows.erase(self.state.length, self._touched)
        self._touched = self.state.length

    def clear(self) -> None:
        """Forget everything."""
        self._root = self._live = Point(None, _NOWHERE, 0)
        self._keys = _NOWHERE
        self.state.reset()

    def make_ready(self) -> None:
        """Do now what would make the next points wait."""
        if self._rows is not None and self._budget > 2 * self.state.snapshot_bytes:
            self._rows.make_ready()

    def adopt(self, keys: Keys, rows: Iterable[tuple[int, Tensor]], snapshots: Sequence[Snapshot]) -> None:
        """Go to a branch that comes from elsewhere: all rows of `keys`, each piece with the index of its first token,
        and snapshots along it, shortest first, the last at its end. Raises what `rows` raises."""
        if self._rows is None or not snapshots:
            return
        self._leave(0, self._root)
        for begin, piece in rows:
            self._rows.put_rows(begin, [piece])
        self._rows.restore(snapshots[-1])
        self._keys, self._sound = keys, True
        for snapshot in snapshots:
            point = self._child(self._live, keys[self._live.length : snapshot.length])
            self._clock += 1
            point.used, self._live = self._clock, point
            if point.snapshot is None and self._make_room(snapshot.nbytes):
                point.snapshot = snapshot

    # ---- finding ---------------------------------------------------------------------------------------------------

    def _end(self, keys: Keys) -> int:
        """The live state's length, if what it has read begins these keys and something is left to read; else -1."""
        length = self.state.length
        known = self._sound and length <= len(self._keys) and length < len(keys)
        return length if known and np.array_equal(self._keys[:length], keys[:length]) else -1

    def _deepest(self, keys: Keys) -> Point:
        """The longest point with a snapshot that begins these keys and leaves something to read."""
        best, waiting = self._root, [self._root]
        while waiting:
            point = waiting.pop()
            if point.snapshot is not None and point.length > best.length:
                best = point
            waiting += [
                child
                for child in point.children
                if child.length < len(keys) and np.array_equal(child.keys, keys[point.length : child.length])
            ]
        return best

    # ---- moving ----------------------------------------------------------------------------------------------------

    def _switch(self, best: Point, keys: Keys) -> None:
        held = self._keys[: self.state.length]
        count = min(len(held), best.length)
        differs = np.flatnonzero(held[:count] != keys[:count])
        floor = int(differs[0]) if len(differs) else count
        self._leave(floor, best)
        for point in best.chain():
            if point.length > floor and self._rows is not None and point.rows is not None and point.parent is not None:
                self._rows.put_rows(point.parent.length, point.rows.tensors)
        if best.snapshot is None:
            self.state.reset()
        else:
            self.state.restore(best.snapshot)
        self._live = best

    def _leave(self, floor: int, protected: Point) -> None:
        """Copy out the rows behind `floor` that points need; the live state holds nothing behind it any more."""
        for point in self._live.chain():
            if point.length > floor and not self._saved(point, protected):
                self._drop(point)
                break
        while self._live.length > floor and self._live.parent is not None:
            left, self._live = self._live, self._live.parent
            self._prune(left)
        self._keys, self._sound = self._keys[:floor], False

    def _saved(self, point: Point, protected: Point) -> bool:
        """Whether a point of the live branch has a copy of its rows, now if not before."""
        rows, begin = self._rows, point.parent.length if point.parent else 0
        if rows is None or point.rows is not None:
            return True
        fits = self._make_room((point.length - begin) * rows.row_bytes, protected)
        if not fits or (point.snapshot is None and not point.children):  # perhaps it had to make room itself
            return False
        point.rows = rows.rows(begin, point.length)
        return True

    def _child(self, parent: Point, keys: Keys) -> Point:
        """The point behind these keys after `parent`, a new one if there is none."""
        for child in parent.children:
            if np.array_equal(child.keys, keys):
                return child
        child = Point(parent, keys.copy(), parent.length + len(keys))
        parent.children.append(child)
        return child

    # ---- memory ----------------------------------------------------------------------------------------------------

    def _make_room(self, nbytes: int, protected: Point | None = None) -> bool:
        """Forget the oldest until so many bytes fit; False if they do not, whatever is forgotten."""
        if nbytes > self._budget:
            return False
        while self.nbytes + nbytes > self._budget:
            kept = [point for point in self._root.below() if point.snapshot is not None and point is not protected]
            if not kept:
                return False
            oldest = min(kept, key=lambda point: point.used)
            self._drop_snapshot(oldest)
            self._prune(oldest)
        return True

    def _prune(self, point: Point) -> None:
        """Take points out that hold nothing that anyone could use."""
        while point.parent is not None and point.snapshot is None and not point.children and point is not self._live:
            parent = point.parent
            if point in parent.children:
                parent.children.remove(point)
            point = parent

    def _drop_snapshot(self, point: Point) -> None:
        if point.snapshot is not None and self._rows is not None:
            self._rows.release(point.snapshot)
        point.snapshot = None

    def _drop(self, point: Point) -> None:
        """Forget a point and all that continue it."""
        below = list(point.below())
        for each in below:
            self._drop_snapshot(each)
        if point.parent is not None and point in point.parent.children:
            point.parent.children.remove(point)
            if any(each is self._live for each in below):
                self._live = point.parent
            self._prune(point.parent)

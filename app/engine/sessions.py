"""What the engine remembers of every conversation, so that nothing is read twice.

Knows: which tokens the model's one live state has read, places in conversations that can be gone back to, how much host
memory all of it may take. Does not know: messages, templates, files, why somebody goes somewhere.

A prompt is a row of keys, one for each token. The live state stands on one branch of the tree of points that were made.
The keys and values (rows) of that branch are in the live state; whatever is about to be overwritten there is first
copied to host memory, from which going back brings it. So a follow-up costs nothing, and another branch or conversation
one copy out and one in.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np
from torch import Tensor

from app.engine.cache import Snapshot, State, TensorState
from app.engine.prompt import Prompt
from app.engine.sessions_keys import Keys, Naming, no_tick
from app.engine.sessions_points import Point

_SPREAD = 8
_STRIDE = 8192
_LONG = 16
_NOWHERE = np.zeros(0, np.int64)


class Sessions:
    """The live state, which is of `conversation`, and all that can be put into it. At most `budget` bytes of memory of
    the host are used; what was not used for longest is forgotten first. Points are at least `spacing` tokens apart,
    unless they end a prompt."""

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
        self.conversation = ""
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

    def go(self, keys: Keys, conversation: str, check: Callable[[], None] = no_tick) -> int:
        """Bring the live state to the longest beginning of `keys` that is known, but never to the end of it, and return
        its length: the rest is to be read now. `check` is called between two copies and may raise."""
        end, best = self._end(keys), self._deepest(keys)
        if end < best.length:
            self._switch(best, check)
            end = best.length
        self._keys, self._sound, self.conversation = keys, True, conversation
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
        point.owners.add(self.conversation)
        if point.snapshot is None and self._make_room(state.snapshot_bytes):
            with suppress(MemoryError):  # of the host: as if the budget were used up
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

    def forget(self, conversation: str, check: Callable[[], None] = no_tick) -> None:
        """Drop all that only this conversation uses, and what the live state holds of it."""
        for point in list(self._root.below()):
            point.owners.discard(conversation)
        for point in list(self._root.below()):
            if point.parent is not None and not point.owners and point in point.parent.children:
                self._drop(point)
        if self.conversation == conversation or not self._sound:
            keys = self._keys
            best = self._deepest(keys)
            self._switch(best, check)
            self._keys, self._sound, self.conversation = keys[: best.length], True, ""
        self._erase()

    def clear(self) -> None:
        """Forget everything."""
        self._touched = max(self._touched, self.state.length)
        self._root = self._live = Point(None, _NOWHERE, 0)
        self._keys, self._sound, self.conversation = _NOWHERE, True, ""
        self.state.reset()
        self._erase()

    def make_ready(self) -> None:
        """Do now what would make the next points wait."""
        if self._rows is not None and self._budget > 2 * self.state.snapshot_bytes:
            with suppress(MemoryError):
                self._rows.make_ready()

    def adopt(
        self,
        keys: Keys,
        conversation: str,
        rows: Iterable[tuple[int, Sequence[Tensor]]],
        snapshot: Snapshot,
        check: Callable[[], None] = no_tick,
    ) -> None:
        """Go to a branch that comes from elsewhere: all rows of `keys`, each piece with the index of its first token,
        and the snapshot at their end. Raises what `rows` and `check` raise, which is called between two pieces."""
        if self._rows is None:
            return
        self._leave(self._root, check)
        self._touched = max(self._touched, len(keys))
        for begin, piece in rows:
            check()
            self._rows.put_rows(begin, piece)
        self._rows.restore(snapshot)
        self._keys, self._sound, self.conversation = keys, True, conversation
        for end in (*range(_STRIDE, len(keys), _STRIDE), len(keys)):  # pieces that are copied out one by one
            self._live = self._child(self._live, keys[self._live.length : end])
            self._live.owners.add(conversation)
        self._clock += 1
        self._live.used = self._clock
        if self._live.snapshot is None and self._make_room(snapshot.nbytes):
            self._live.snapshot = snapshot

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

    def _switch(self, best: Point, check: Callable[[], None]) -> None:
        """Bring the live state to a point. What `check` raises leaves it where it was, or behind the last point that is
        common to both, and unsound."""
        self._leave(best, check)
        self._touched = max(self._touched, best.length)
        for point in best.chain()[len(self._live.chain()) :]:
            if self._rows is not None:
                check()
                if point.rows is None:
                    raise RuntimeError("a place to go back to has lost its keys and values")
                self._rows.put_rows(point.begin, point.rows.tensors)
        if best.snapshot is None:
            self.state.reset()
        else:
            self.state.restore(best.snapshot)
        self._live = best

    def _leave(self, best: Point, check: Callable[[], None]) -> None:
        """Go back to the last point of the live branch that is also on the way to `best`. The rows behind it that
        points need are copied out; what there is no memory for is forgotten, the end of the branch first.

        It has to be a common point: of tokens that two branches share each has copies of its own.
        """
        self._touched = max(self._touched, self.state.length)
        way = {self._root, *best.chain()}
        while self._live not in way and not self._room_to_leave(best, way):
            self._drop(self._live)
        for point in self._live.chain():
            if point not in way and point.rows is None and self._rows is not None:
                check()
                try:
                    point.rows = self._rows.rows(point.begin, point.length)
                except MemoryError:
                    self._drop(point)
                    break
        while self._live not in way and self._live.parent is not None:
            left, self._live = self._live, self._live.parent
            self._prune(left)
        self._keys, self._sound = self._keys[: self._live.length], False

    def _room_to_leave(self, best: Point, way: set[Point]) -> bool:
        """Whether the live branch is worth a copy of its rows and there is room for it."""
        live = self._live
        unsaved = [point for point in live.chain() if point not in way and point.rows is None]
        nbytes = sum(len(point.keys) for point in unsaved) * (self._rows.row_bytes if self._rows is not None else 0)
        return (live.snapshot is not None or bool(live.children)) and self._make_room(nbytes, best, live)

    def _erase(self) -> None:
        """Overwrite what the live state held and does not hold any more."""
        if self._rows is not None:
            self._rows.erase(self.state.length, self._touched)
        self._touched = self.state.length

    def _child(self, parent: Point, keys: Keys) -> Point:
        """The point behind these keys after `parent`, a new one if there is none."""
        for child in parent.children:
            if np.array_equal(child.keys, keys):
                return child
        child = Point(parent, keys.copy(), parent.length + len(keys))
        parent.children.append(child)
        return child

    # ---- memory ----------------------------------------------------------------------------------------------------

    def _make_room(self, nbytes: int, *needed: Point) -> bool:
        """Forget the oldest until so many bytes fit beside these points and the live branch. False if they never would;
        nothing is forgotten then."""
        held = {each for point in (self._live, *needed) for each in point.chain()}
        least = sum(point.rows.nbytes for point in held if point.rows is not None)
        least += sum(point.snapshot.nbytes for point in set(needed) if point.snapshot is not None)
        if least + nbytes > self._budget:
            return False
        while self.nbytes + nbytes > self._budget:
            kept = [point for point in self._root.below() if point.snapshot is not None and point not in needed]
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

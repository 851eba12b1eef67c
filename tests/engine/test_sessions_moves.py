"""The live state moves between branches: rows and snapshots that carry a stamp of all keys before them show whether
what is put together there belongs together, whatever is refused, stopped or forgotten on the way."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.engine.cache import TensorState
from app.engine.config import read_config
from app.engine.generation import Stopped
from app.engine.sessions import Sessions
from app.engine.sessions_keys import Keys
from tests.checkpoints import config_json, write_small_files

CAPACITY = 2000


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("small")
    write_small_files(folder, config_json(vision=False))
    return read_config(folder).text


class Desk:
    """Sessions over a state that is stamped instead of computed."""

    def __init__(self, config: Any, budget: int = 10**9) -> None:
        self.state = TensorState(config, CAPACITY, torch.device("cpu"), torch.float32)
        for plane in (*self.state.keys, *self.state.values):
            plane.zero_()
        self.sessions = Sessions(self.state, budget, 4)

    def read(self, keys: Keys, end: int) -> None:
        """As if the model read up to `end`."""
        state = self.state
        if end == state.length:
            return
        stamps = stamped(keys[:end])
        for index in range(state.length, end):
            for plane in (*state.keys, *state.values):
                plane[:, index] = stamps[index]
        for tensor in (*state.recurrent, *state.conv):
            tensor.fill_(stamps[-1])
        state.length = end

    def ask(self, keys: Keys, conversation: str = "c", marks: tuple[int, ...] = ()) -> int:
        """Go there, read it all with points on the way and at the end, and say how much was reused."""
        end = self.sessions.go(keys, conversation)
        self.assert_holds(keys, end)
        for mark in (*marks, len(keys)):
            if mark > end:
                self.read(keys, mark)
                self.sessions.keep()
        return end

    def assert_holds(self, keys: Keys, length: int) -> None:
        state, stamps = self.state, stamped(keys[:length])
        assert state.length == length
        assert state.keys[0][0, :length, 0].tolist() == stamps
        assert not stamps or float(state.recurrent[0].flatten()[0]) == stamps[-1]


def stamped(keys: Keys) -> list[float]:
    stamps, before = [], 0
    for key in keys.tolist():
        before = (before * 1000003 + key + 7) % 2**31
        stamps.append(float(before % 2**20 + 1))
    return stamps


def row(*parts: tuple[int, int]) -> Keys:
    """Keys: so many of each."""
    return np.concatenate([np.full(count, key, np.int64) for key, count in parts])


class Walk:
    """A person's random way through conversations that share much."""

    def __init__(self, config: Any, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - nothing is to be kept secret
        budget = self.chance.choice([10**9, 10**9, 0])
        self.desk = Desk(config, budget)
        self.budget = budget or int(self.chance.uniform(2, 20) * self.desk.state.snapshot_bytes)
        self.desk.sessions._budget = self.budget
        self.pool = [self.some(self.chance.randint(3, 60))]
        self.saved: list[tuple[Keys, Any, list[Any]]] = []

    def some(self, count: int) -> Keys:
        return np.array([self.chance.randint(0, 2) for _ in range(count)], np.int64)

    def chosen(self) -> Keys:
        keys = self.chance.choice(self.pool)
        if self.chance.random() < 0.6:
            keys = np.concatenate((keys[: self.chance.randint(0, len(keys))], self.some(self.chance.randint(1, 25))))
        self.pool.append(keys)
        return keys

    def check(self) -> None:
        if self.chance.random() < 0.05:
            raise Stopped

    def step(self) -> None:
        desk, sessions, state, chance = self.desk, self.desk.sessions, self.desk.state, self.chance
        keys, conversation = self.chosen(), chance.choice("abc")
        try:
            if chance.random() < 0.1:
                sessions.forget(chance.choice("abc"), self.check)
                assert not any(plane[:, state.length :].any() for plane in (*state.keys, *state.values))
            if self.saved and chance.random() < 0.2:
                begun, rows, parts = chance.choice(self.saved)
                keys = np.concatenate((begun, self.some(chance.randint(1, 9))))
                if len(begun) > sessions.shared(keys):
                    half = len(begun) // 2
                    pieces = [(0, [rows[:, :, :half]]), (half, [rows[:, :, half:]])]
                    sessions.adopt(begun, conversation, pieces, state.load_snapshot(len(begun), parts), self.check)
            end = sessions.go(keys, conversation, self.check)
        except Stopped:
            sessions.keep()
            return
        desk.assert_holds(keys, end)
        stop = len(keys) if chance.random() < 0.8 else chance.randint(end, len(keys))
        between = range(end + 1, stop)
        for mark in sorted(chance.sample(between, min(chance.randint(0, 3), len(between)))):
            desk.read(keys, mark)
            sessions.keep()
        desk.read(keys, stop)
        if chance.random() < 0.5:
            sessions.keep()
        if stop < len(keys) and chance.random() < 0.2:
            state.recurrent[0].fill_(-1.0)
            sessions.spoil()
        elif sessions.points and sessions.points[-1].snapshot and chance.random() < 0.3:
            length = sessions.points[-1].length
            parts = [part.clone() for part in sessions.points[-1].snapshot.parts.tensors]
            self.saved.append((sessions.keys[:length].copy(), state.rows(0, length).tensors[0].clone(), parts))
        assert sessions.nbytes <= self.budget


@pytest.mark.parametrize("seed", range(40))
def test_whatever_way_is_taken_rows_and_states_belong_together(
    config: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk(config, seed)
    empty = torch.empty

    def refused(*arguments: Any, **options: Any) -> Any:
        if walk.chance.random() < 0.02:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return empty(*arguments, **options)

    with monkeypatch.context() as patch:
        for step in range(60):
            if step == 30 and seed % 2:
                patch.setattr(torch, "empty", refused)
            try:
                walk.step()
            except MemoryError:
                assert step >= 30, "only the walk's own copies may fail"


def test_branches_that_share_tokens_but_no_point_are_kept_apart(config: Any) -> None:
    desk = Desk(config)
    long, short = row((1, 40), (2, 40)), row((1, 30), (3, 10))
    desk.ask(long, marks=(35,))
    desk.ask(short, marks=(20,))
    desk.ask(row((1, 40), (2, 60)))
    desk.ask(row((9, 90)), "other")
    assert desk.ask(row((1, 30), (3, 20))) == 40


def test_what_is_too_large_does_not_cost_the_others(config: Any) -> None:
    probe = Desk(config)
    budget = 4 * probe.state.snapshot_bytes + 100 * probe.state.row_bytes
    desk = Desk(config, budget)
    one, two = row((1, 20)), row((2, 20))
    desk.ask(one, "one", marks=(10,))
    desk.ask(two, "two", marks=(10,))
    desk.ask(row((3, 1900)), "large")
    desk.ask(row((4, 5)), "next")
    assert desk.sessions.shared(row((1, 20), (5, 5))) == desk.sessions.shared(row((2, 20), (5, 5))) == 20
    assert desk.sessions.shared(row((3, 1900), (5, 5))) == 0


def test_of_what_is_too_large_the_beginning_is_kept(config: Any) -> None:
    probe = Desk(config)
    desk = Desk(config, 3 * probe.state.snapshot_bytes + 100 * probe.state.row_bytes)
    desk.ask(row((3, 1900)), marks=(80,))
    desk.ask(row((4, 5)), "next")
    assert desk.sessions.shared(row((3, 1900))) == 80


def test_a_stop_is_heard_between_two_copies(config: Any) -> None:
    desk = Desk(config)
    long, other = row((1, 90)), row((2, 90))
    desk.ask(long, marks=(30, 60))
    calls = iter((False, True, False, False, True))

    def check() -> None:
        if next(calls):
            raise Stopped

    with pytest.raises(Stopped):
        desk.sessions.go(other, "d", check)
    assert [point.rows is not None for point in desk.sessions.points] == [True, False, False]
    assert desk.sessions.go(other, "d", check) == 0
    with pytest.raises(Stopped):
        desk.sessions.go(long, "c", check)
    assert next(calls, None) is None
    assert desk.ask(row((1, 90), (2, 9))) == 90


def test_what_a_recall_overwrote_is_erased_with_its_conversation(config: Any) -> None:
    desk = Desk(config)
    short = row((2, 20))
    desk.ask(short, "two")
    (point,) = desk.sessions.points
    assert point.snapshot is not None
    rows, parts = desk.state.rows(0, 20).tensors[0], [part.clone() for part in point.snapshot.parts.tensors]
    desk.sessions.clear()
    desk.ask(row((1, 300)), "secret")
    desk.sessions.adopt(short, "two", [(0, [rows])], desk.state.load_snapshot(20, parts))
    desk.ask(row((2, 20), (5, 5)), "two")
    desk.sessions.forget("secret")
    assert not desk.state.keys[0][:, 25:].any()
    assert not desk.state._spares
    assert desk.ask(row((2, 20), (5, 5), (6, 6)), "two") == 25


def test_a_recalled_branch_is_left_piece_by_piece(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.sessions._STRIDE", 8)
    desk = Desk(config)
    keys = row((2, 20))
    desk.ask(keys)
    rows, snapshot = desk.state.rows(0, 20).tensors[0], desk.state.snapshot()
    desk.sessions.clear()
    desk.sessions.adopt(keys, "c", [(0, [rows])], snapshot)
    assert [point.length for point in desk.sessions.points] == [8, 16, 20]
    desk.ask(row((1, 9)), "d")
    assert desk.ask(row((2, 30))) == 20

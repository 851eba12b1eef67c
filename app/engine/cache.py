"""What the model remembers of the tokens it has read: keys and values, DeltaNet states, where it stands.

Knows: sizes and copies. Does not know: the tokens, or when a state can be used again. Keys and values can be cut short
at any token; a DeltaNet state cannot, so going back needs a `Snapshot` taken on the way.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from app.engine.config import TextConfig


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The part of a state that cannot be cut short, as it was after `length` tokens. `parts` belongs to its state."""

    length: int
    rope_delta: int
    parts: Any
    nbytes: int


class State(ABC):
    """What a model remembers: `length` tokens of at most `capacity`; the next stands at `length + rope_delta`."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self.rope_delta = 0

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that are held."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """A copy of what cannot be cut short. Later tokens leave it alone."""

    @abstractmethod
    def restore(self, snapshot: Snapshot) -> None:
        """Go back to where a snapshot of this state was taken; what was read since is forgotten."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything."""


class TensorState(State):
    """The state of Parley's own model. `keys` and `values` [kv heads, capacity, head_dim] for every full attention
    layer, `recurrent` fp32 [heads, key, value] and `conv` [kernel - 1, channels] for every DeltaNet layer."""

    def __init__(self, config: TextConfig, capacity: int, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(capacity)
        full = config.layer_kinds.count("full_attention")
        linear = len(config.layer_kinds) - full
        heads, key, value = config.linear_value_heads, config.linear_key_dim, config.linear_value_dim
        row = (config.kv_heads, capacity, config.head_dim)
        self.keys = [torch.empty(row, device=device, dtype=dtype) for _ in range(full)]
        self.values = [torch.empty(row, device=device, dtype=dtype) for _ in range(full)]
        self.recurrent = [torch.zeros(heads, key, value, device=device) for _ in range(linear)]
        self.conv = [
            torch.zeros(config.conv_kernel - 1, config.conv_channels, device=device, dtype=dtype) for _ in range(linear)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return sum(t.nbytes for t in (*self.keys, *self.values, *self.recurrent, *self.conv))

    def snapshot(self) -> Snapshot:
        """A copy of the DeltaNet states on the same device."""
        parts = [t.clone() for t in (*self.recurrent, *self.conv)]
        return Snapshot(self.length, self.rope_delta, parts, sum(t.nbytes for t in parts))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to where a snapshot was taken: the keys and values up to there are still in place."""
        for mine, kept in zip((*self.recurrent, *self.conv), snapshot.parts, strict=True):
            mine.copy_(kept)
        self.length, self.rope_delta = snapshot.length, snapshot.rope_delta

    def reset(self) -> None:
        """Forget everything."""
        for mine in (*self.recurrent, *self.conv):
            mine.zero_()
        self.length = self.rope_delta = 0

    def clone(self) -> "TensorState":
        """An independent copy, keys and values included."""
        twin = object.__new__(TensorState)
        State.__init__(twin, self.capacity)
        twin.length, twin.rope_delta = self.length, self.rope_delta
        twin.keys, twin.values = [t.clone() for t in self.keys], [t.clone() for t in self.values]
        twin.recurrent, twin.conv = [t.clone() for t in self.recurrent], [t.clone() for t in self.conv]
        return twin


def bytes_a_token(config: TextConfig, dtype: torch.dtype) -> int:
    """Bytes of keys and values that each token takes."""
    return 2 * config.layer_kinds.count("full_attention") * config.kv_heads * config.head_dim * dtype.itemsize


def fixed_bytes(config: TextConfig, dtype: torch.dtype) -> int:
    """Bytes of DeltaNet states, whatever the length; a snapshot takes as many."""
    linear = config.layer_kinds.count("linear_attention")
    recurrent = config.linear_value_heads * config.linear_key_dim * config.linear_value_dim * 4
    return linear * (recurrent + (config.conv_kernel - 1) * config.conv_channels * dtype.itemsize)

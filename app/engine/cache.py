"""What the model remembers of the tokens it has read: keys and values, DeltaNet states, where it stands.

Knows: sizes and copies. Does not know: the tokens, or when a state can be used again (`sessions`). Keys and values can
be cut short at any token; a DeltaNet state cannot, so going back needs a `Snapshot` taken on the way. A state's buffers
stay where they are for as long as it lives, because recorded CUDA graphs hold their addresses: going back copies into
them.
"""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from app.engine.byte_rows import ByteRows, to_bytes
from app.engine.config import TextConfig
from app.engine.sizes import spans

KvBits = Literal[16, 8]
"""What keys and values are kept in: the numbers that they are computed in, 16 bits on a GPU, or bytes."""

_ALIGNED = 64


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The part of a state that cannot be cut short, as it was after `length` tokens. `parts` belongs to its state."""

    length: int
    rope_delta: int
    parts: Any
    nbytes: int


class HostTensors:
    """Tensors in host memory that belong together, in one piece that is page-locked for a GPU, so that copies between
    the two run at the speed of the bus. Memory that cannot be locked is used as it is."""

    def __init__(self, shapes: Sequence[tuple[tuple[int, ...], torch.dtype]], device: torch.device) -> None:
        """Room for tensors of these shapes and element types, to be exchanged with `device`. Raises `MemoryError`."""
        sizes = [torch.Size(shape).numel() * dtype.itemsize for shape, dtype in shapes]
        places = [0]
        for size in sizes:
            places.append(places[-1] + -(-size // _ALIGNED) * _ALIGNED)
        try:
            memory = torch.empty(places[-1], dtype=torch.uint8)
        except RuntimeError as error:  # torch's name for it, which a device's failures share
            raise MemoryError(str(error)) from error
        self.nbytes = memory.nbytes
        self.tensors = [
            memory[begin : begin + size].view(dtype).view(shape)
            for begin, size, (shape, dtype) in zip(places, sizes, shapes, strict=False)
        ]
        if device.type == "cuda" and memory.nbytes and _locked(memory, device):
            # Bound to this object and not to the memory: whoever keeps a view beyond it has plain memory.
            weakref.finalize(self, _unlock, memory).atexit = False


def _locked(memory: Tensor, device: torch.device) -> bool:
    # Not torch's own pinned memory, which takes the next power of two: a snapshot would cost nearly twice its size.
    runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]  # torch does not annotate it
    if int(runtime.cudaHostRegister(memory.data_ptr(), memory.nbytes, 0)) == 0:
        return True
    with suppress(RuntimeError):
        torch.zeros(1, device=device)  # or torch would find the refusal later and take it for a broken device
    return False


def _unlock(memory: Tensor) -> None:
    torch.cuda.cudart().cudaHostUnregister(memory.data_ptr())  # type: ignore[no-untyped-call]


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
        """Go to where a snapshot of this state was taken, once the rows up to there are in place."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything."""

    @property
    def snapshot_bytes(self) -> int:
        """Bytes that a snapshot takes now."""
        return self.nbytes


class TensorState(State):
    """The state of Parley's own model. `keys` and `values` [kv heads, capacity, head_dim] for every full attention
    layer, `recurrent` fp32 [heads, key, value] and `conv` [kernel - 1, channels] for every DeltaNet layer. With 8
    `kv_bits`, `keys` and `values` are codes (`byte_rows`), and `key_scales` and `value_scales` are there as well.

    Rows are keys and values copied to host memory: a tensor [keys, then values, of all layers; kv heads, tokens,
    head_dim], and with 8 bits one of their scales. They are copied head by head: only what lies in one piece on both
    sides goes straight over the bus."""

    _SPARES = 2

    def __init__(
        self,
        config: TextConfig,
        capacity: int,
        device: torch.device,
        dtype: torch.dtype,
        kv_bits: KvBits = 16,
    ) -> None:
        super().__init__(capacity)
        self.kv_bits: KvBits = kv_bits
        self._device = device
        self._spares: list[HostTensors] = []
        full = config.layer_kinds.count("full_attention")
        linear = len(config.layer_kinds) - full
        heads, key, value = config.linear_value_heads, config.linear_key_dim, config.linear_value_dim
        kept_in = dtype if kv_bits == 16 else torch.int8
        row, marks = ((config.kv_heads, capacity, width) for width in (config.head_dim, spans(config.head_dim)))
        self.keys, self.values = ([torch.empty(row, device=device, dtype=kept_in) for _ in range(full)] for _ in "kv")
        self.key_scales, self.value_scales = (
            [torch.empty(marks, device=device, dtype=torch.bfloat16) for _ in range(full if kv_bits == 8 else 0)]
            for _ in "kv"
        )
        self.recurrent = [torch.zeros(heads, key, value, device=device) for _ in range(linear)]
        self.conv = [
            torch.zeros(config.conv_kernel - 1, config.conv_channels, device=device, dtype=dtype) for _ in range(linear)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return sum(t.nbytes for t in (*self.planes, *self.recurrent, *self.conv))

    @property
    def planes(self) -> tuple[Tensor, ...]:
        """All that is kept for each token: tensors [kv heads, capacity, …]."""
        return (*self.keys, *self.values, *self.key_scales, *self.value_scales)

    def layer(self, slot: int) -> tuple[Tensor, ...]:
        """One full attention layer's planes: keys, values, and with 8 bits their scales."""
        several = (
            (self.keys, self.values)
            if self.kv_bits == 16
            else (self.keys, self.values, self.key_scales, self.value_scales)
        )
        return tuple(planes[slot] for planes in several)

    def append(self, slot: int, k: Tensor, v: Tensor) -> None:
        """Put the keys and values [T, kv heads, head_dim] of the tokens behind `length` in their places in one full
        attention layer; with 8 bits they are rounded here, once. All layers have had theirs before `length` grows."""
        span = slice(self.length, self.length + len(k))
        k, v = k.transpose(0, 1), v.transpose(0, 1)
        if self.kv_bits == 16:
            self.keys[slot][:, span].copy_(k)
            self.values[slot][:, span].copy_(v)
            return
        for rows, codes, scales in ((k, self.keys, self.key_scales), (v, self.values, self.value_scales)):
            rounded = to_bytes(rows)
            codes[slot][:, span].copy_(rounded.codes)
            scales[slot][:, span].copy_(rounded.scales)

    def read(self, slot: int, end: int) -> tuple[Tensor, Tensor] | tuple[ByteRows, ByteRows]:
        """The keys and values of the first `end` tokens in one full attention layer, where they lie."""
        keys, values = self.keys[slot][:, :end], self.values[slot][:, :end]
        if self.kv_bits == 16:
            return keys, values
        return ByteRows(keys, self.key_scales[slot][:, :end]), ByteRows(values, self.value_scales[slot][:, :end])

    @property
    def snapshot_bytes(self) -> int:
        """Bytes of the DeltaNet states."""
        return sum(t.nbytes for t in (*self.recurrent, *self.conv))

    @property
    def row_bytes(self) -> int:
        """Bytes of keys and values for each token."""
        return sum(t[:, :1].nbytes for t in self.planes)

    def snapshot(self) -> Snapshot:
        """A copy of the DeltaNet states in host memory."""
        kept = self._spares.pop() if self._spares else self._snapshot_memory()
        for mine, copy in zip((*self.recurrent, *self.conv), kept.tensors, strict=True):
            copy.copy_(mine, non_blocking=True)
        self._wait()
        return Snapshot(self.length, self.rope_delta, kept, kept.nbytes)

    def restore(self, snapshot: Snapshot) -> None:
        """Go to where a snapshot was taken: the keys and values up to there are in place."""
        for mine, kept in zip((*self.recurrent, *self.conv), snapshot.parts.tensors, strict=True):
            mine.copy_(kept, non_blocking=True)
        self._wait()
        self.length, self.rope_delta = snapshot.length, snapshot.rope_delta

    def rows(self, begin: int, end: int) -> HostTensors:
        """A copy in host memory of the keys and values of tokens `begin`…`end`."""
        kept = HostTensors(self._shapes(end - begin), self._device)
        for planes, copies in zip(self._kinds(), kept.tensors, strict=True):
            for plane, copy in zip(planes, copies, strict=True):
                for mine, head in zip(plane, copy, strict=True):
                    head.copy_(mine[begin:end], non_blocking=True)
        self._wait()
        return kept

    def put_rows(self, begin: int, rows: Sequence[Tensor]) -> None:
        """Put a copy of keys and values in front of the length, from token `begin` on."""
        count = rows[0].shape[2]
        for planes, copies in zip(self._kinds(), rows, strict=True):
            for plane, copy in zip(planes, copies, strict=True):
                for mine, head in zip(plane, copy, strict=True):
                    mine[begin : begin + count].copy_(head, non_blocking=True)
        self._wait()

    def erase(self, begin: int, end: int) -> None:
        """Overwrite the keys and values of tokens `begin`…`end`, which nobody shall find any more, and give back the
        memory of old snapshots."""
        self._spares.clear()
        for plane in self.planes:
            plane[:, begin:end].zero_()

    def release(self, snapshot: Snapshot) -> None:
        """Keep the memory of a snapshot for the next one."""
        if len(self._spares) < self._SPARES:
            self._spares.append(snapshot.parts)

    def make_ready(self) -> None:
        """Page-locking memory takes longer than copying a snapshot into it, so some is locked beforehand."""
        while self._device.type == "cuda" and len(self._spares) < self._SPARES:
            self._spares.append(self._snapshot_memory())

    def load_snapshot(self, length: int, tensors: Sequence[Tensor]) -> Snapshot:
        """A snapshot made of tensors that come from elsewhere, in the order of a snapshot's own. How far positions are
        from indices is not part of it: the prompt knows, of which something is always left to read.

        Raises `ValueError` if they do not fit this state, and `MemoryError`."""
        kept = self._snapshot_memory()
        wanted = [(t.shape, t.dtype) for t in kept.tensors]
        if [(t.shape, t.dtype) for t in tensors] != wanted:
            raise ValueError("a snapshot of another model")
        for copy, tensor in zip(kept.tensors, tensors, strict=True):
            copy.copy_(tensor)
        return Snapshot(length, 0, kept, kept.nbytes)

    def fits_rows(self, rows: Sequence[Tensor], count: int) -> bool:
        """Whether this is a copy of the keys and values of `count` tokens of such a state."""
        return [(tuple(t.shape), t.dtype) for t in rows] == self._shapes(count)

    def _kinds(self) -> list[tuple[Tensor, ...]]:
        """The planes, those of one shape together: one tensor of a copy for each."""
        kinds = [(*self.keys, *self.values)]
        return kinds if self.kv_bits == 16 else [*kinds, (*self.key_scales, *self.value_scales)]

    def _shapes(self, count: int) -> list[tuple[tuple[int, ...], torch.dtype]]:
        """What a copy of the keys and values of `count` tokens looks like."""
        shapes: list[tuple[tuple[int, ...], torch.dtype]] = []
        for planes in self._kinds():
            heads, _, width = planes[0].shape if planes else (0, 0, 0)
            shapes.append(((len(planes), heads, count, width), planes[0].dtype if planes else torch.uint8))
        return shapes

    def _snapshot_memory(self) -> HostTensors:
        shapes = [(tuple(t.shape), t.dtype) for t in (*self.recurrent, *self.conv)]
        return HostTensors(shapes, self._device)

    def _wait(self) -> None:
        """Until the copies are done, which run beside the program."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()

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
        twin.kv_bits, twin._device, twin._spares = self.kv_bits, self._device, []
        twin.keys, twin.values = [t.clone() for t in self.keys], [t.clone() for t in self.values]
        twin.key_scales, twin.value_scales = (
            [t.clone() for t in scales] for scales in (self.key_scales, self.value_scales)
        )
        twin.recurrent, twin.conv = [t.clone() for t in self.recurrent], [t.clone() for t in self.conv]
        return twin


def bytes_a_token(config: TextConfig, dtype: torch.dtype, kv_bits: KvBits = 16) -> int:
    """Bytes of keys and values that each token takes, scales included."""
    width = config.head_dim
    each = width * dtype.itemsize if kv_bits == 16 else width + spans(width) * torch.bfloat16.itemsize
    return 2 * config.layer_kinds.count("full_attention") * config.kv_heads * each


def fixed_bytes(config: TextConfig, dtype: torch.dtype) -> int:
    """Bytes of DeltaNet states, whatever the length; a snapshot takes as many."""
    linear = config.layer_kinds.count("linear_attention")
    recurrent = config.linear_value_heads * config.linear_key_dim * config.linear_value_dim * 4
    return linear * (recurrent + (config.conv_kernel - 1) * config.conv_channels * dtype.itemsize)

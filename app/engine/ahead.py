"""Brings tensors from files to a GPU in a known order: threads read ahead into a ring of page-locked memory, and the
GPU fetches from there by itself.

Knows: pieces of files, one ring, copies that nobody waits for. Does not know: what the tensors mean. The order is that
of groups, such as all tensors of a layer; within a group they may be asked for in any order. What is asked for out of
turn is read directly: right, and slow. Only the thread that asks touches the GPU; the others read files.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from app.engine.cache import HostTensors
from app.engine.shards import Entry, read_bytes, read_tensor

RING = 256 * 2**20
PIECE = 8 * 2**20
"""Bytes that one thread reads at once: large enough for the disk, small enough that all threads have some."""
THREADS = 4
"""One thread copies 5 to 8 GB/s out of the page cache; four are as fast as the bus to most GPUs."""
_ALIGNMENT = 256


class ReadAhead:
    """A `Source` over groups of tensors for one device. `report(bytes so far)` is called for every piece that arrives.
    A context manager; leaving it lets go of everything."""

    def __init__(
        self,
        groups: Sequence[Sequence[Entry]],
        device: torch.device,
        report: Callable[[int], None],
        ring: int = RING,
    ) -> None:
        self._device, self._report, self._done = device, report, 0
        self._groups = deque(tuple(group) for group in groups)
        self._arrived: dict[Entry, Tensor] = {}
        self._unread = deque(piece for group in self._groups for entry in group for piece in _pieces(entry, ring))
        self._reading: deque[tuple[int, int, Future[None]]] = deque()
        self._copying: deque[tuple[int, Any]] = deque()
        self._head = self._tail = 0  # counted on and on; the place in the ring is what is left over by its size
        self._memory: HostTensors | None = HostTensors([((ring,), torch.uint8)], device)
        self._ring = self._memory.tensors[0]
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="read-ahead")
        self._read_on()

    def __enter__(self) -> "ReadAhead":
        return self

    def __exit__(self, *_: object) -> None:
        self._unread.clear()
        self._threads.shutdown(wait=True, cancel_futures=True)
        while self._copying:
            self._reclaim(wait=True)
        self._arrived.clear()
        self._memory = None

    def read(self, entry: Entry) -> Tensor:
        """All of a tensor, on the device. Raises `CheckpointError`."""
        if entry not in self._arrived and self._groups and entry in self._groups[0]:
            for member in self._groups.popleft():
                self._arrived[member] = self._fetched(member.nbytes).view(member.dtype).view(member.shape)
        found = self._arrived.pop(entry, None)
        return read_tensor(entry).to(self._device) if found is None else found

    def blocks(self, entry: Entry) -> Iterator[tuple[int, Tensor]]:
        """Its row blocks, each with its first row. Raises `CheckpointError`."""
        if len(entry.row_blocks) == 1 or not self._groups or self._groups[0] != (entry,):
            yield 0, self.read(entry)
            return
        self._groups.popleft()
        row = entry.nbytes // entry.shape[0]
        for begin, end in entry.row_blocks:
            yield begin, self._fetched((end - begin) * row).view(entry.dtype).view(-1, *entry.shape[1:])

    def _fetched(self, size: int) -> Tensor:
        """So many of the bytes that come next, on the device, or on their way there. Raises `ValueError` if there are
        not so many left, which is a mistake of whoever asks."""
        target = torch.empty(size, dtype=torch.uint8, device=self._device)
        done = 0
        while done < len(target):
            done += self._fetch(target[done:])
        return target

    def _fetch(self, target: Tensor) -> int:
        """Send the next piece on its way; its size."""
        self._read_on()
        while not self._reading:  # the ring is full of what the GPU has not fetched yet
            if not self._copying:
                raise ValueError("more was asked for than there is to read")
            self._reclaim(wait=True)
            self._read_on()
        place, size, reading = self._reading.popleft()
        reading.result()
        start = place % len(self._ring)
        target[:size].copy_(self._ring[start : start + size], non_blocking=True)
        fetched = None
        if self._device.type == "cuda":
            fetched = torch.cuda.Event()  # type: ignore[no-untyped-call]
            fetched.record()
        self._copying.append((place + size, fetched))
        self._done += size
        self._report(self._done)
        return size

    def _read_on(self) -> None:
        """Give the threads what there is room for."""
        self._reclaim(wait=False)
        while self._unread:
            entry, begin, size = self._unread[0]
            place = self._room_for(size)
            if place is None:
                return
            self._unread.popleft()
            self._head = place + -(-size // _ALIGNMENT) * _ALIGNMENT
            start = place % len(self._ring)
            reading = self._threads.submit(read_bytes, entry, begin, self._ring[start : start + size])
            self._reading.append((place, size, reading))

    def _room_for(self, size: int) -> int | None:
        """Where in the ring so many bytes can go in one piece, or None while there is no room."""
        ring = len(self._ring)
        place = self._head
        if place % ring + size > ring:
            place += ring - place % ring
        idle = not self._reading and not self._copying
        return place if idle or place + size - self._tail <= ring else None

    def _reclaim(self, *, wait: bool) -> None:
        """Take back what the GPU has fetched; wait for at least one piece if so wished."""
        while self._copying:
            place, fetched = self._copying[0]
            if fetched is not None and not fetched.query():
                if not wait:
                    return
                fetched.synchronize()
            wait = False
            self._copying.popleft()
            self._tail = place


def _pieces(entry: Entry, ring: int) -> Iterator[tuple[Entry, int, int]]:
    """The tensor cut into pieces, none of them across two row blocks: itself, first byte, size."""
    most = min(PIECE, ring // 4)
    row = entry.nbytes // max(1, entry.shape[0]) if entry.shape else 0
    for first, last in entry.row_blocks:
        end = last * row if row else entry.nbytes
        for begin in range(first * row, end, most):
            yield entry, begin, min(most, end - begin)

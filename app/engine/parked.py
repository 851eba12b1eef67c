"""Weights that lie on the device, or wait in the computer's memory and are fetched whenever they are used.

Knows: tensors and copies. Does not know: what they are for. Also the lookup of a few rows in a table outside.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.cache import HostTensors


class Weights:
    """A few tensors that are used together. `parked`: they lie in the computer's memory, and `fetch` brings them to the
    device on the current stream, which lets go of them like of any other tensor. Otherwise they stay on the device."""

    def __init__(self, tensors: Sequence[Tensor], device: torch.device, *, parked: bool) -> None:
        self._device = device
        self._resident = [] if parked else list(tensors)
        self._parked: HostTensors | None = None
        if parked:
            self._parked = HostTensors([(tuple(tensor.shape), tensor.dtype) for tensor in tensors], device)
            for mine, tensor in zip(self._parked.tensors, tensors, strict=True):
                mine.copy_(tensor)

    @property
    def nbytes(self) -> int:
        """Bytes that they take on the device all the time."""
        return sum(tensor.nbytes for tensor in self._resident)

    def fetch(self) -> list[Tensor]:
        """The tensors on the device, in order."""
        if self._parked is None:
            return self._resident
        return [tensor.to(self._device, non_blocking=True) for tensor in self._parked.tensors]


def look_up(table: Tensor, ids: Tensor, device: torch.device) -> Tensor:
    """Rows of a table [n, width] for ids [T], on `device`: [T, width]. Of a table outside the device only these rows
    travel, through pinned memory that torch does not give to anyone else before the copy is over."""
    if table.device.type == device.type:
        return fn.embedding(ids.to(device), table)
    rows = torch.empty(ids.numel(), table.shape[1], dtype=table.dtype, pin_memory=device.type == "cuda")
    torch.index_select(table, 0, ids.cpu(), out=rows)
    return rows.to(device, non_blocking=True)

"""What the device's memory holds, measured where the driver or the system says it and not guessed from sizes.

Knows: NVML and psutil. Does not know: models, contexts, messages.
"""

import os
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import psutil
import torch

from app.engine.devices import free_memory


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a device: all it has, those of this process, those of all other programs."""

    total: int
    own: int
    other: int


class Gauge(Protocol):
    """Reads one device's memory."""

    def read(self) -> Memory:
        """As it is now."""


class SystemGauge:
    """The machine's memory. What every other program uses is what is not available and not this process's."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def read(self) -> Memory:
        """As it is now."""
        machine = psutil.virtual_memory()
        own = self._process.memory_info().rss
        return Memory(machine.total, own, max(0, machine.total - machine.available - own))


class CudaGauge:
    """One GPU's memory as the driver counts it, so that it agrees with nvidia-smi.

    In a container or on Windows the driver may not say how much of it is this process's; then what torch has reserved
    is taken for it, and the rest of this process, some hundred megabytes of CUDA itself, counts as other programs'.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def read(self) -> Memory:
        """As it is now."""
        free, total = torch.cuda.mem_get_info(self._device)
        own = self._own_by_driver() or torch.cuda.memory_reserved(self._device)
        return Memory(total, own, max(0, total - free - own))

    def _own_by_driver(self) -> int:
        nvml = _nvml()
        if nvml is None:
            return 0
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(_uuid(self._device))
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if process.pid == os.getpid():
                    return int(process.usedGpuMemory or 0)
        except nvml.NVMLError:
            return 0
        return 0


def gauge_for(device: torch.device) -> Gauge:
    """What reads the memory that a model on `device` uses."""
    return CudaGauge(device) if device.type == "cuda" else SystemGauge()


def gpu_at_rest(device: torch.device) -> tuple[int, int]:
    """Bytes that are free and that there are on a GPU, as the driver says it to a process that does not use the GPU."""
    nvml = _nvml()
    if nvml is not None:
        try:
            said = nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByUUID(_uuid(device)))
            return int(said.free), int(said.total)
        except nvml.NVMLError:
            pass
    return torch.cuda.mem_get_info(device)


def free_bytes(device: torch.device) -> int:
    """Bytes that this process could still take on a device. On a GPU what torch keeps for later is given back first;
    what it cannot give back lies in gaps that nothing large fits into, and does not count. 0 for a GPU so full that
    the process cannot even begin to use it."""
    if device.type != "cuda":
        return free_memory(device)
    try:
        torch.cuda.empty_cache()
        return free_memory(device)
    except RuntimeError as error:  # torch's own kinds are of it
        if "out of memory" not in str(error):
            raise
        return 0


def _uuid(device: torch.device) -> str:
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


@cache
def _nvml() -> Any:
    """NVIDIA's management library, or None where there is none."""
    try:
        import pynvml  # noqa: PLC0415 - there may be no driver, and a CPU build does not ship it

        pynvml.nvmlInit()
    except (ImportError, OSError):
        return None
    except pynvml.NVMLError:
        return None
    return pynvml

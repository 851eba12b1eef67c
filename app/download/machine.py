"""What this computer has for a model: the GPU as its driver describes it, memory, a disk. Knows no model.

Asked here and not in the window, because a driver may take seconds to wake up; asked of the driver and not of torch,
because torch takes longer still.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.protocol import Survey, Surveyed

_DEVICES = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
"""How Linux names the maker and the class of a graphics card."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """As in `Surveyed`; nothing at all where there is none."""

    name: str = ""
    driver: str = ""
    cuda: int = 0
    capability: int = 0
    total: int = 0
    free: int = 0


def surveyed(order: Survey, devices: Path = _DEVICES) -> Surveyed:
    """What there is now. `devices` is where Linux lists what is plugged in."""
    gpu = _gpu()
    memory = psutil.virtual_memory()
    return Surveyed(
        request=order.request,
        folder=order.folder,
        gpu=gpu.name,
        driver=gpu.driver,
        driverless=not gpu.name and _is_plugged_in(devices),
        cuda=gpu.cuda,
        capability=gpu.capability,
        gpu_total=gpu.total,
        gpu_free=gpu.free,
        memory_total=int(memory.total),
        memory_free=int(memory.available),
        disk_free=_disk_free(Path(order.folder)),
    )


def _gpu() -> Gpu:
    """The GPU with the most memory."""
    try:
        import pynvml  # noqa: PLC0415 - a build for the processor alone does not ship it

        pynvml.nvmlInit()
    except (ImportError, OSError):
        return Gpu()
    except pynvml.NVMLError:
        return Gpu()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        found = [(pynvml.nvmlDeviceGetMemoryInfo(handle), handle) for handle in handles]
        if not found:
            return Gpu()
        memory, handle = max(found, key=lambda each: int(each[0].total))
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        return Gpu(
            name=str(pynvml.nvmlDeviceGetName(handle)),
            driver=str(pynvml.nvmlSystemGetDriverVersion()),
            cuda=int(pynvml.nvmlSystemGetCudaDriverVersion()),
            capability=10 * int(major) + int(minor),
            total=int(memory.total),
            free=int(memory.free),
        )
    except pynvml.NVMLError:
        return Gpu()
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _is_plugged_in(devices: Path) -> bool:
    """Whether Linux sees a graphics card of NVIDIA's, driver or not."""
    with suppress(OSError):
        for device in devices.iterdir():
            with suppress(OSError):
                kind, maker = ((device / name).read_text().strip() for name in ("class", "vendor"))
                if maker == _NVIDIA and kind.startswith(_DISPLAY):
                    return True
    return False


def _disk_free(folder: Path) -> int:
    """Bytes free on the disk that holds the folder, or would; 0 if that cannot be said."""
    for place in (folder, *folder.parents):
        with suppress(OSError):
            return shutil.disk_usage(place).free
    return 0

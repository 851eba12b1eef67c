"""Where a model can run: the device that a choice means, its name, its free memory.

Knows: torch's devices and this computer's memory. Does not know: models.
"""

from typing import Literal

import psutil
import torch

from app.engine.errors import DeviceError

DeviceChoice = Literal["auto", "cuda", "cpu"]

_SMALL = 100_000_000


def choose_device(device: DeviceChoice) -> torch.device:
    """The device that a choice means here. Raises `DeviceError` if CUDA is asked for and absent."""
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError("No CUDA GPU can be used here; choose the CPU, or check the GPU's driver.")
    return torch.device("cuda", torch.cuda.current_device())


def device_name(device: torch.device) -> str:
    """The device as the person knows it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, for any program."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def use_cores(weights: int) -> None:
    """Let torch use as many CPU cores as pay for a model with this many weights.

    A small model gains a tenth from a second core, and loses all its speed when another program keeps that core busy,
    because torch's threads wait for each other after every product.
    """
    torch.set_num_threads(1 if weights < _SMALL else psutil.cpu_count(logical=False) or 1)

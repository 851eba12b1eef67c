"""What went wrong, as a message: the kind, one sentence with a way out, and the details for the log.

Knows every exception that the engine expects, and how torch says that memory is short or a device is broken. Does not
know: who was doing what.
"""

import re
import traceback
from collections.abc import Callable

import torch

from app.engine.errors import CheckpointError, DeviceError, MediaError, NotEnoughMemoryError
from app.engine.kernels.runtime import KernelError
from app.engine.prompt import PromptError, TooLongError
from app.engine.sampling import NotFiniteError
from app.protocol import Failed, FailureKind

_SHORT = ("out of memory", "OUT_OF_MEMORY", "ALLOC_FAILED")
"""What CUDA and its libraries call it when they, and not torch's allocator, find no memory; nothing is broken then."""
_ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+) ?(bytes|[KMG]iB)")
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def failed(request: str, error: Exception, free: Callable[[], int]) -> Failed:
    """The message for an exception; `free()` are the bytes that are left, asked for only when memory was short. Without
    a `request` it was a load that failed."""
    detail = "".join(traceback.format_exception(error))
    kind, sentence = _told(error, free, loading=not request)
    return Failed(request, kind, sentence, detail)


def _told(  # noqa: PLR0911 - a table
    error: Exception, free: Callable[[], int], *, loading: bool
) -> tuple[FailureKind, str]:
    match error:
        case TooLongError():
            return "context", str(error)
        case PromptError() | MediaError():
            return "bad_input", str(error)
        case CheckpointError():
            return "checkpoint", str(error)
        case NotEnoughMemoryError():
            return "memory", str(error)
        case DeviceError():
            return "device", str(error)
        case NotFiniteError():
            return "internal", (
                "The model computed something that is no number, so the checkpoint may be damaged; "
                "try again, or download it again."
            )
    if _is_memory(error):
        return "memory", _short_of_memory(error, free(), loading=loading)
    if _is_device(error):
        return "device", "The GPU reported an error and the engine had to end; restart the engine and ask again."
    return "internal", f"Something went wrong inside the engine ({type(error).__name__}); try again, or restart it."


def _is_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if not isinstance(error, RuntimeError | KernelError):
        return False
    return "DefaultCPUAllocator" in str(error) or any(words in str(error) for words in _SHORT)


def _is_device(error: Exception) -> bool:
    if isinstance(error, torch.AcceleratorError | KernelError):
        return True  # kernels that cannot even start are told and left alone when a model is loaded
    return isinstance(error, RuntimeError) and "CUDA" in str(error)


def _short_of_memory(error: Exception, free: int, *, loading: bool) -> str:
    found = _ASKED.search(str(error))
    asked = f"{float(found[1]) * _UNITS[found[2]] / 1e9:.1f} GB more were needed and " if found else ""
    if loading:
        return (
            f"Memory ran out while the model was loaded: {asked}{free / 1e9:.1f} GB are free; close other programs, or "
            "choose a smaller context."
        )
    return (
        f"Memory ran out: {asked}{free / 1e9:.1f} GB are free; send less at once, close other programs, "
        "or load the model with a smaller context."
    )

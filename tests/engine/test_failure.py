"""Every kind of trouble gets its kind and a sentence with a way out."""

import pytest
import torch

from app.engine.errors import CheckpointError, DeviceError, MediaError, NotEnoughMemoryError
from app.engine.failure import failed
from app.engine.kernels.runtime import KernelError
from app.engine.prompt import PromptError, TooLongError
from app.engine.sampling import NotFiniteError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PromptError("Do x."), "bad_input"),
        (MediaError("Do x."), "bad_input"),
        (TooLongError("Do x."), "context"),
        (CheckpointError("Do x."), "checkpoint"),
        (NotEnoughMemoryError("Do x."), "memory"),
        (DeviceError("Do x."), "device"),
        (NotFiniteError(), "internal"),
        (MemoryError(), "memory"),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), "device"),
        (torch.AcceleratorError("CUDA error: out of memory"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "memory"),
        (KernelError("cuLaunchKernel failed with CUDA_ERROR_ILLEGAL_ADDRESS."), "device"),
        (KernelError("cuLaunchKernel failed with CUDA_ERROR_OUT_OF_MEMORY."), "memory"),
        (KeyError("x"), "internal"),
    ],
)
def test_the_kind_follows_from_the_error(error: Exception, kind: str) -> None:
    message = failed("r", error, int)
    assert (message.request, message.kind) == ("r", kind)
    assert message.message.endswith(".")
    assert "Traceback" not in message.message
    assert type(error).__name__ in message.detail


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB. GPU 0 has a total capacity of"),
        RuntimeError(
            "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 3221225472 bytes."
        ),
    ],
)
def test_short_memory_is_said_in_numbers(error: Exception) -> None:
    message = failed("r", error, lambda: 500_000_000)
    assert message.kind == "memory"
    assert "3.2 GB more were needed and 0.5 GB are free; send less at once" in message.message
    load = failed("", error, lambda: 500_000_000).message
    assert load.startswith("Memory ran out while the model was loaded: 3.2 GB more were needed and 0.5 GB are free;")
    assert "send less" not in load

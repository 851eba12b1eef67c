"""Puts a loaded text model onto the kernels, if this GPU and this model allow it: the engine's one door to them.

Knows: what can go wrong and how to say it. Does not know: the protocol, files of a model. Whatever goes wrong, the
plain path is still there.
"""

from collections.abc import Callable
from pathlib import Path

from app.engine.kernels.check import self_check
from app.engine.kernels.decode import Decoder
from app.engine.kernels.linear import UnsuitableError
from app.engine.kernels.runtime import CudaKernels, KernelError
from app.engine.model import TextModel


def start(
    model: TextModel, cache: Path | None, progress: Callable[[int, int], None]
) -> tuple[Decoder | None, str | None]:
    """A decoder over the model's weights, which it packs anew, or None with a sentence for the person. `cache` is the
    folder in which compiled kernels are kept; `progress(done, total)` is called while they are compiled."""
    group = model.config.heads // model.config.kv_heads
    try:
        kernels = CudaKernels(model.device, group, cache, progress)
        wrong = self_check(kernels, model.device, group)
        if wrong is not None:
            return None, wrong
        return Decoder(model, kernels), None
    except KernelError as error:
        return None, str(error)
    except ImportError:
        return None, "The fast kernels need NVIDIA's cuda-bindings, which are missing, so answers come slowly."
    except UnsuitableError as error:
        return None, f"The fast kernels do not take this model's weights ({error}), so answers come slowly."

"""How many tokens of context a loaded model gets. Knows sizes only: no device, no driver, no message."""

import torch

from app.engine.cache import bytes_a_token, fixed_bytes
from app.engine.errors import NotEnoughMemoryError
from app.engine.load import LoadedModel
from app.engine.prompt import PromptError

CPU_CONTEXT = 32_768
"""On a CPU a longer prompt takes minutes to read, so more is given only when it is asked for."""
GPU_RESERVE = 3 * 2**29
"""Bytes that stay free on a GPU for the activations of a chunk, an expanded weight and a large picture."""
LEAST = 256


def choose_context(model: LoadedModel, wanted: int | None, free: int) -> int:
    """Tokens of context: what is wanted, or the most that fits into `free` bytes, up to the model's own.

    Raises `NotEnoughMemoryError` if it does not fit, `PromptError` for a size that cannot be.
    """
    config = model.config
    if wanted is not None and not LEAST <= wanted <= config.native_context:
        raise PromptError(
            f"{config.name} takes a context of {LEAST} to {config.native_context:,} tokens and {wanted:,} were asked "
            "for; choose a size between them."
        )
    dtype = model.embed(torch.zeros(1, dtype=torch.long)).dtype
    spare = free - GPU_RESERVE if model.device.type == "cuda" else free // 2
    fits = (spare - fixed_bytes(config.text, dtype)) // max(1, bytes_a_token(config.text, dtype))
    usual = config.native_context if model.device.type == "cuda" else min(config.native_context, CPU_CONTEXT)
    context = min(usual, fits) if wanted is None else wanted
    if context > fits or context < min(LEAST, config.native_context):
        raise NotEnoughMemoryError(
            f"A context of {max(context, LEAST):,} tokens does not fit into the {max(free, 0) / 1e9:.1f} GB that are "
            f"free, {max(fits, 0):,} would; choose a smaller context or close other programs."
        )
    return int(context)

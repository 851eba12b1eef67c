"""How a model is placed in the memory there is, and how many tokens of context it gets.

Knows: a checkpoint's sizes, free bytes, what the person asked for. Does not know: the driver, messages. On a GPU the
whole plan is made before anything is read (`gpu_plan`), so that what cannot fit is refused at once and with figures. A
context that was asked for is given or refused, never made smaller.
"""

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from app.engine.cache import KvBits, bytes_a_token, fixed_bytes
from app.engine.checkpoint import Checkpoint
from app.engine.config import ModelConfig, stretched
from app.engine.errors import NotEnoughMemoryError
from app.engine.pixels import read_processors
from app.engine.prompt import PromptError
from app.engine.sizes import CONTEXT, Contents, gpu_sizes
from app.plan import LEAST, Plan, make_plan

CPU_CONTEXT = 32_768
"""On a CPU a longer prompt takes minutes to read, so more is given only when it is asked for."""
UNPLANNED = 3 * 2**29
"""Bytes that stay free for the computation of an engine whose memory is not planned."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person wants of a model's memory: tokens of context, None for the largest that fits, by what factor
    YaRN shall stretch its positions, and what keys and values shall be kept in."""

    context: int | None = None
    yarn: Literal[1, 2, 4] = 1
    kv_bits: KvBits = 16


ANYTHING = Wanted()
_FURTHEST = 4
_MUCH = 2 * 10**9
"""Bytes that other programs have to use to be mentioned; a desktop alone has less."""


class Model(Protocol):
    """What of a loaded model decides its context."""

    config: ModelConfig
    device: torch.device
    plan: Plan | None

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [T] → embeddings [T, hidden]."""


def contents_of(checkpoint: Checkpoint) -> Contents:
    """What decides a checkpoint's sizes. Raises `CheckpointError`."""
    eora, vision = checkpoint.eora, checkpoint.config.vision
    rank = (lambda _linear: 0) if eora is None else eora.rank
    pixels = read_processors(checkpoint.folder, vision).image.most if vision is not None else 0
    return Contents(checkpoint.config, checkpoint.packed_bits, rank, pixels)


def gpu_plan(checkpoint: Checkpoint, wanted: int | None, free: int, kv_bits: KvBits = 16) -> Plan:
    """How the model will lie in a GPU with `free` bytes, the driver's share for this process already taken.

    Raises `NotEnoughMemoryError` if it does not fit, `PromptError` for a context that cannot be.
    """
    wanted_fits(checkpoint.config, wanted)
    contents = contents_of(checkpoint)
    plan = make_plan(gpu_sizes(contents, kv_bits=kv_bits, context_taken=True), free, wanted)
    if not plan.fits:
        in_bytes = kv_bits == 16 and make_plan(gpu_sizes(contents, kv_bits=8, context_taken=True), free, wanted).fits
        raise NotEnoughMemoryError(refusal(plan, in_bytes=in_bytes))
    return plan


def too_full(checkpoint: Checkpoint, free: int, kv_bits: KvBits = 16) -> bool:
    """Whether a GPU with `free` bytes cannot hold the model, however small its context."""
    return not make_plan(gpu_sizes(contents_of(checkpoint), kv_bits=kv_bits, context_taken=True), free, None).fits


def refusal(plan: Plan, *, in_bytes: bool) -> str:
    """Why a plan does not fit: what it needs, what is missing, what would fit; `in_bytes` says whether it would fit
    with keys and values in 8 bits."""
    figures = (
        f"{plan.needed / 1e9:.1f} GB of GPU memory and {max(plan.free, 0) / 1e9:.1f} GB are free, "
        f"{plan.missing / 1e9:.1f} GB too little"
    )
    if not plan.largest:
        return (
            f"The model with the smallest context needs {figures}; close other programs, choose a smaller model, "
            "or let the processor compute."
        )
    return (
        f"The model with a context of {plan.context:,} tokens needs {figures}; choose a context of at most "
        f"{plan.largest:,} tokens, {'keep keys and values in 8 bits, ' if in_bytes else ''}or close other programs."
    )


def crowded(plan: Plan, wanted: int | None, total: int) -> tuple[str, ...]:
    """A sentence for the person if the context is as large as fits on a GPU of `total` bytes, and other programs keep
    it small."""
    others = total - plan.free - CONTEXT
    if wanted is not None or plan.context == plan.sizes.most or others < _MUCH:
        return ()
    return (
        f"Other programs use {others / 1e9:.1f} GB of the GPU, so a context of {plan.context:,} tokens fits and no "
        "more; close them and load the model again for a larger one.",
    )


def still_fits(plan: Plan, wanted: int | None, free: int, taken: int) -> tuple[Plan, tuple[str, ...]]:
    """Compare a plan with the `free` bytes there are once the model is loaded and has `taken` some of its working space
    already. If another program took memory meanwhile, more than the reserve is there for, a context that was asked for
    is refused (`NotEnoughMemoryError`); otherwise it shrinks, and a sentence for the person says so."""
    sizes = plan.sizes
    beside = sizes.state + sizes.library + max(0, sizes.workspace - taken)
    short = beside + plan.context * sizes.token - free
    if short <= 0:
        return plan, ()
    fits = max(0, free - beside - plan.reserve) // max(1, sizes.token)
    gone = f"{short / 1e9:.2f} GB of the GPU that were planned for the context were gone when the model was loaded"
    if wanted is not None or fits < min(LEAST, sizes.most):
        most = f"a context of at most {fits:,} tokens" if fits >= LEAST else "a smaller model"
        raise NotEnoughMemoryError(
            f"{gone}, so {plan.context:,} tokens do not fit any more; close other programs, or choose {most}."
        )
    note = (
        f"{gone}, so it has {fits:,} tokens and not {plan.context:,}; close other programs and load the model again "
        "for more."
    )
    return replace(plan, context=fits, largest=fits), (note,)


def choose_context(model: Model, wanted: int | None, free: int, kv_bits: KvBits = 16) -> int:
    """Tokens of context of a model that is loaded: as planned, or without a plan what is wanted, or the most that fits
    into the `free` bytes beside it, up to the model's own. Raises as `gpu_plan` does."""
    if model.plan is not None:
        return model.plan.context
    config = model.config
    wanted_fits(config, wanted)
    dtype = model.embed(torch.zeros(1, dtype=torch.long)).dtype
    gpu = model.device.type == "cuda"
    each = max(1, bytes_a_token(config.text, dtype, kv_bits))
    state = fixed_bytes(config.text, dtype)
    spare = free - UNPLANNED - state if gpu else free // 2 - state
    fits = max(0, spare // each)
    usual = config.native_context if gpu else min(config.native_context, CPU_CONTEXT)
    context = min(usual, fits) if wanted is None else wanted
    if context > fits or context < min(LEAST, config.native_context):
        context = max(context, LEAST)
        missing = (context - fits) * each if fits else (context * each - spare)
        raise NotEnoughMemoryError(
            f"A context of {context:,} tokens needs {missing / 1e9:.1f} GB more than the {max(free, 0) / 1e9:.1f} GB "
            f"that are free, {fits:,} would fit; choose a smaller context or close other programs."
        )
    return int(context)


def wanted_fits(config: ModelConfig, wanted: int | None) -> None:
    """Raise `PromptError` for a context that the model cannot have, however much memory there is."""
    if wanted is not None and not LEAST <= wanted <= config.native_context:
        yarn = config.text.yarn is None and LEAST < wanted <= stretched(config, _FURTHEST).native_context
        raise PromptError(
            f"{config.name} takes a context of {LEAST} to {config.native_context:,} tokens and {wanted:,} were asked "
            f"for; choose a size between them{', or stretch its positions with YaRN' if yarn else ''}."
        )

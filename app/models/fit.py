"""What follows from what this computer has, in plain words. Pure: knows figures and sentences, asks nobody."""

from dataclasses import dataclass
from typing import Literal

from app.plan import Sizes, make_plan
from app.protocol import Surveyed

OLDEST_CUDA = 13_000
"""The CUDA that torch was built with: an older driver cannot run it."""
OLDEST_CAPABILITY = 80
"""The first generation that Parley's own kernels run on."""
ROOM = 2**30
"""What the downloader leaves free on a disk."""
_GIB = 2**30

Outcome = Literal["fits", "tight", "small", "driver", "none"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a model can run here: `fits`; `tight`, if other programs let go of memory; `small`, never on this GPU;
    `driver`, not before the driver is mended; `none`, there is no GPU for it. `context` is in tokens."""

    outcome: Outcome
    sentence: str
    context: int = 0

    @property
    def runs(self) -> bool:
        """Whether fetching it makes sense."""
        return self.outcome in {"fits", "tight"}


def verdict(found: Surveyed, name: str, sizes: Sizes, own: int = 0) -> Verdict:
    """What becomes of a model called `name` here. `own` bytes of the GPU are the loaded model's, which the next one
    gets back."""
    if found.driverless:
        return Verdict(
            "driver",
            f"There is an NVIDIA GPU, but its driver is missing: install NVIDIA's driver, version 580 or newer, for "
            f"{name}. Until then the demo model runs on the processor.",
        )
    if not found.gpu:
        return Verdict(
            "none",
            f"No NVIDIA GPU was found. {name} needs one; only the demo model runs here, on the processor.",
        )
    if found.cuda and found.cuda < OLDEST_CUDA:
        return Verdict(
            "driver",
            f"The GPU's driver ({found.driver}) is too old for Parley: update it to 580 or newer to run {name}.",
        )
    return _on_gpu(found, name, sizes, own)


def context_that_fits(found: Surveyed, sizes: Sizes, own: int = 0) -> int:
    """Tokens of context that fit at the moment; 0 without a GPU that can run it."""
    if not found.gpu or (found.cuda and found.cuda < OLDEST_CUDA):
        return 0
    return make_plan(sizes, min(found.gpu_total, found.gpu_free + own), None).largest


def short_disk(found: Surveyed, size: int) -> str:
    """A sentence if the disk has no room for so many bytes more; empty if it has, or if nothing is known of it."""
    if not found.disk_free or found.disk_free >= size + ROOM:
        return ""
    return (
        f"The folder's disk has {found.disk_free / 1e9:.1f} GB free, and {size / 1e9:.1f} GB have to come: make room, "
        "or choose a folder on another disk."
    )


def _on_gpu(found: Surveyed, name: str, sizes: Sizes, own: int) -> Verdict:
    least = make_plan(sizes, found.gpu_total, None)
    if not least.fits:
        needed = f"{least.needed / _GIB:.0f} GiB"
        return Verdict(
            "small",
            f"{name} needs a GPU with at least {needed}, and this one has {found.gpu_total / _GIB:.0f}: the demo model "
            "runs here, or another, smaller model of this family.",
        )
    plan = make_plan(sizes, min(found.gpu_total, found.gpu_free + own), None)
    if not plan.fits:
        return Verdict(
            "tight",
            f"{name} runs on this GPU, but {plan.missing / _GIB:.1f} GiB too little are free now: close other programs "
            "that use the GPU before it is loaded.",
        )
    old = found.capability < OLDEST_CAPABILITY
    slow = " This GPU is too old for Parley's own kernels, so it answers slowly." if old else ""
    return Verdict("fits", f"{name} fits, with about {_tokens(plan.context)} tokens of context.{slow}", plan.context)


def _tokens(count: int) -> str:
    return f"{count // 1000}K" if count >= 1000 else str(count)

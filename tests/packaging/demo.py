"""The demo model's scripts with the libraries they stand on, whose own warnings are not ours to fix.

Importing this takes ten seconds.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from demo_model import (
        batches,
        conversations,
        drawing,
        evaluate,
        held_out,
        kernels,
        model,
        optimizer,
        pictures,
        prompts,
        train,
        videos,
        vocabulary,
    )
    from transformers import AutoProcessor
    from transformers.video_utils import VideoMetadata

    import tests.foreign  # noqa: F401  (sets what GPTQModel reads when it is imported)

__all__ = [
    "AutoProcessor",
    "VideoMetadata",
    "batches",
    "conversations",
    "drawing",
    "evaluate",
    "held_out",
    "kernels",
    "model",
    "optimizer",
    "pictures",
    "prompts",
    "train",
    "videos",
    "vocabulary",
]

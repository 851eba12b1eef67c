"""How torch takes memory from a GPU. It is told by the environment, before it is imported.

A model's packed weights are made out of temporary tensors many times their size. In blocks of a fixed size they would
be cut out of what such a temporary left, and two or three GiB between them could never be given back. Segments that
grow have no such blocks: whatever page is empty goes back to the driver. Knows nothing else; imports nothing.
"""

import sys
from collections.abc import MutableMapping

_NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""torch's newer name for it and its older one. It reads both, and either is enough."""


def let_segments_grow(environment: MutableMapping[str, str], platform: str = sys.platform) -> None:
    """Ask for segments that grow where torch has them, unless the person has settled how memory is taken."""
    if platform == "linux" and not any(name in environment for name in _NAMES):
        environment[_NAMES[0]] = "expandable_segments:True"

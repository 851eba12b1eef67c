"""What identifies each token of a prompt, so that prompts can be compared: its id, or the pixels that it stands for.

Knows: prompts, files of pixels. Does not know: what the comparison is good for.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.engine.errors import MediaError
from app.engine.prompt import Prompt
from app.protocol import Media

Keys = NDArray[np.int64]

_BLOCK = 2**24
_FILES = 1024


def no_tick() -> None:
    """Nobody wants to know."""


class Naming:
    """Gives tokens their keys. It remembers the digests of files, for as long as these stay as they are."""

    def __init__(self) -> None:
        self._digests: dict[tuple[str, int, int, int], str] = {}

    def keys_of(self, prompt: Prompt, tick: Callable[[], None] = no_tick) -> Keys:
        """One number for each token of a prompt: its id, or for a vision token a negative one that stands for the very
        pixels and its place among them. Equal keys up to some token mean that the model reads the same up to there.

        `tick` is called while files are read. Raises `MediaError` if pixels are gone.
        """
        keys = np.array(prompt.ids, np.int64)
        firsts: dict[int, int] = {}
        for span in prompt.spans:
            if span.item not in firsts:
                item = prompt.media[span.item]
                seen = f"{self._digest(item.media, tick)} {item.kind} {item.grid_thw} {item.size_seen}"
                firsts[span.item] = int.from_bytes(hashlib.sha256(seen.encode()).digest()[:7], "big")
            begin = firsts[span.item] + span.offset
            keys[span.start : span.start + span.count] = -1 - np.arange(begin, begin + span.count, dtype=np.int64)
        return keys

    def _digest(self, media: Media, tick: Callable[[], None]) -> str:
        """What a picture or clip shows, whatever its name."""
        try:
            found = Path(media.pixels).stat()
            stamp = (media.pixels, found.st_ino, found.st_size, found.st_mtime_ns)
            if stamp not in self._digests:
                if len(self._digests) >= _FILES:
                    self._digests.clear()
                self._digests[stamp] = _file_digest(Path(media.pixels), tick)
        except OSError as error:
            raise MediaError(f"The decoded pixels of {media.name} are gone; attach it again.") from error
        return f"{self._digests[stamp]} {media.frames} {media.height} {media.width}"


def _file_digest(path: Path, tick: Callable[[], None]) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            tick()
    return sha256.hexdigest()

"""Rotary positions in three axes (time, height, width), as Qwen3.5 interleaves them.

Knows: where each token of a prompt stands, how a position turns queries and keys, how YaRN stretches positions.
Does not know: what the tokens are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.engine.config import TextConfig, Yarn

_FAST, _SLOW = 32, 1
"""Turns within the trained context from which on a frequency is kept, and up to which it is slowed down fully."""

YARN_WARNING = "YaRN stretches positions for very long texts; answers to short ones may be worse with it."


@dataclass(frozen=True, slots=True)
class VisionSpan:
    """A run of vision tokens in a prompt: the index of the first, and its grid of patches before merging. A picture is
    one span; every frame pair of a video is one."""

    start: int
    height: int
    width: int


def prompt_positions(length: int, spans: Sequence[VisionSpan], merge: int) -> tuple[Tensor, int]:
    """The positions of a whole prompt of `length` tokens: int64 [3, length], and the rope delta.

    Text counts on by one in all three axes. A span of h × w merged patches stands at one time, spreads over height and
    width from the current position on, and moves it by max(h, w). The token at index n ≥ length, which was generated,
    stands at n + delta in all axes. Same results as transformers' `Qwen3_5Model.get_rope_index`. Spans come in order.
    """
    positions = torch.empty(3, length, dtype=torch.long)
    index = current = 0
    for span in spans:
        text = span.start - index
        positions[:, index : span.start] = torch.arange(current, current + text)
        current += text
        rows, columns = span.height // merge, span.width // merge
        index = span.start + rows * columns
        grid = positions[:, span.start : index].view(3, rows, columns)
        grid[0] = current
        grid[1] = torch.arange(current, current + rows).unsqueeze(1)
        grid[2] = torch.arange(current, current + columns)
        current += max(rows, columns)
    positions[:, index:] = torch.arange(current, current + length - index)
    top = int(positions.max()) + 1 if length else 0
    return positions, top - length


def text_positions(begin: int, end: int, delta: int) -> Tensor:
    """The positions of the tokens at indices `begin`…`end` that follow a prompt with this rope delta: [3, n]."""
    return torch.arange(begin + delta, end + delta).expand(3, -1)


class Rope:
    """Turns the first `rotary_dim` channels of queries and keys by their positions. With YaRN these
    are also to be multiplied by a factor, which `louder` does beforehand, so that it costs nothing in any step."""

    def __init__(self, config: TextConfig, device: torch.device) -> None:
        exponents = torch.arange(0, config.rotary_dim, 2, dtype=torch.float32, device=device) / config.rotary_dim
        self.frequencies = 1.0 / config.rope_theta**exponents
        if config.yarn is not None:
            self.frequencies = slowed(self.frequencies, config, config.yarn)
        axes = torch.zeros(config.rotary_dim // 2, dtype=torch.long, device=device)
        for axis in (1, 2):  # frequencies 1, 4, 7… turn with the height, 2, 5, 8… with the width, the rest with time
            axes[axis : config.mrope_section[axis] * 3 : 3] = axis
        self.axes = axes

    def turns(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [T, 1, rotary_dim], fp32, of positions [3, T]."""
        angles = positions[self.axes].T.float() * self.frequencies
        angles = torch.cat((angles, angles), dim=-1).unsqueeze(1)
        return angles.cos(), angles.sin()


def slowed(frequencies: Tensor, config: TextConfig, yarn: Yarn) -> Tensor:
    """YaRN's frequencies: fast ones stay, slow ones are divided by the factor, those between are mixed.

    Source: Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models" (2023), section 3.2, with
    the bounds rounded outwards as transformers rounds them.
    """
    first, last = (
        config.rotary_dim * math.log(yarn.trained / (turns * 2 * math.pi)) / (2 * math.log(config.rope_theta))
        for turns in (_FAST, _SLOW)
    )
    low, high = max(math.floor(first), 0), min(math.ceil(last), config.rotary_dim - 1)
    places = torch.arange(len(frequencies), dtype=torch.float32, device=frequencies.device)
    slow = ((places - low) / max(high - low, 1e-3)).clamp(0, 1)
    return frequencies / yarn.factor * slow + frequencies * (1 - slow)


def attention_factor(yarn: Yarn | None) -> float:
    """What YaRN multiplies turned queries and keys by, each: 0.1 ln(factor) + 1; section 3.4 of the same source."""
    return 1.0 if yarn is None else 0.1 * math.log(yarn.factor) + 1.0


def louder(weight: Tensor, config: TextConfig) -> Tensor:
    """The weight [head_dim] of the norm of queries or keys with YaRN's attention factor in its turned channels: turning
    is linear within them, so the factor can as well come before it."""
    if config.yarn is None:
        return weight
    weight = weight.clone()
    weight[: config.rotary_dim] *= attention_factor(config.yarn)
    return weight


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [T, heads, head_dim] fp32 with its first channels turned: pairs are (i, i + rotary_dim/2)."""
    rotary = cos.shape[-1]
    rotated, rest = x[..., :rotary], x[..., rotary:]
    first, second = rotated.chunk(2, dim=-1)
    turned = rotated * cos + torch.cat((-second, first), dim=-1) * sin
    return torch.cat((turned, rest), dim=-1)

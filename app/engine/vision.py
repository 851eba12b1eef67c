"""The vision tower: from a decoded picture or clip to embeddings that stand in the prompt like tokens.

Knows: the tower's architecture. Does not know: prompts, the language model, how pixels become patches (`pixels`).
Frame pairs do not see each other in the tower, so a clip goes through it a few pairs at a time. The architecture
follows transformers' `Qwen3_5VisionModel` (Apache 2.0), against which the tests compare it.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.config import VisionConfig
from app.engine.pixels import PreparedMedia, Processors, check_pixels, patches, plan
from app.protocol import Media, VideoLimits

_PATCHES_AT_ONCE = 16_384
_CPU_PRODUCTS = 2**34
"""Multiplications that a slow CPU does in a second or two; one layer's attention over a photo takes a hundredfold."""
_EPS = 1e-6
_Affine = tuple[Tensor, Tensor]


def _no_tick() -> None:
    """Nobody wants to know."""


class Vision:
    """The tower with its processors. `tensor(name)` gives a stored tensor below `model.visual.`, on the device."""

    def __init__(
        self,
        config: VisionConfig,
        processors: Processors,
        tensor: Callable[[str], Tensor],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.config, self.processors, self.device, self.dtype = config, processors, device, dtype
        self.video_limits: VideoLimits = processors.limits

        def affine(name: str) -> _Affine:
            return tensor(f"{name}.weight"), tensor(f"{name}.bias")

        weight, bias = affine("patch_embed.proj")
        self.embed = weight.flatten(1), bias
        self.grid = tensor("pos_embed.weight").view(config.position_grid, config.position_grid, -1)
        self.blocks = [
            {name: affine(f"blocks.{index}.{name}") for name in _BLOCK_PARTS} for index in range(config.depth)
        ]
        self.merger = [affine(f"merger.{name}") for name in ("norm", "linear_fc1", "linear_fc2")]

    @property
    def nbytes(self) -> int:
        """Bytes of the tower on its device."""
        affines = [self.embed, *self.merger, *(pair for block in self.blocks for pair in block.values())]
        return self.grid.nbytes + sum(tensor.nbytes for pair in affines for tensor in pair)

    def measure(self, media: Media) -> PreparedMedia:
        """How a picture or clip will enter the prompt; its file is not touched. Raises `MediaError`."""
        return plan(media, self.processors, self.config)

    def prepare(self, media: Media) -> PreparedMedia:
        """As `measure`, and check that the pixels are there. Raises `MediaError`."""
        check_pixels(media)
        return self.measure(media)

    @torch.no_grad()
    def encode(self, prepared: PreparedMedia, tick: Callable[[], None] = _no_tick) -> Tensor:
        """Embeddings [tokens, hidden] of all chunks in order. `tick` is called between blocks and pairs, often enough
        to report or to stop by raising. Raises `MediaError` if the pixels are gone."""
        _, rows, columns = prepared.grid_thw
        at_once = max(1, _PATCHES_AT_ONCE // (rows * columns))
        encoded: list[Tensor] = []
        waiting: list[Tensor] = []
        for pair in patches(prepared, self.processors, self.config):
            waiting.append(pair)
            tick()
            if len(waiting) == at_once:
                encoded.append(self._tower(torch.stack(waiting), rows, columns, tick))
                waiting = []
        if waiting:
            encoded.append(self._tower(torch.stack(waiting), rows, columns, tick))
        return torch.cat(encoded)

    def _tower(self, pixels: Tensor, rows: int, columns: int, tick: Callable[[], None]) -> Tensor:
        """Patches [pairs, rows · columns, values] → embeddings [pairs · tokens, hidden]."""
        pixels = pixels.to(self.device, self.dtype)
        order = self._merge_order(rows, columns)
        x = fn.linear(pixels, *self.embed) + self._positions(rows, columns)[order].to(self.dtype)
        turns = self._turns(columns, order)
        for block in self.blocks:
            x = self._block(x, block, turns, tick)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # or the ticks would come all at once and the wait after them
            tick()
        norm, first, second = self.merger
        x = fn.layer_norm(x, (x.shape[-1],), *norm, eps=_EPS)
        x = x.reshape(-1, self.config.merge**2 * x.shape[-1])

        def merge(x: Tensor) -> Tensor:
            return fn.linear(fn.gelu(fn.linear(x, *first)), *second)

        return self._in_pieces(x, 0, first[0].numel() + second[0].numel(), merge, tick)

    def _block(
        self, x: Tensor, block: dict[str, _Affine], turns: tuple[Tensor, Tensor], tick: Callable[[], None]
    ) -> Tensor:
        pairs, count, width = x.shape
        heads = self.config.heads

        def projected(x: Tensor) -> Tensor:
            return fn.linear(fn.layer_norm(x, (width,), *block["norm1"], eps=_EPS), *block["attn.qkv"])

        def attended(q: Tensor) -> Tensor:
            return fn.scaled_dot_product_attention(q, k, v)

        def fed_forward(x: Tensor) -> Tensor:
            y = fn.linear(fn.layer_norm(x, (width,), *block["norm2"], eps=_EPS), *block["mlp.linear_fc1"])
            return fn.linear(fn.gelu(y, approximate="tanh"), *block["mlp.linear_fc2"])

        qkv = self._in_pieces(x, 1, pairs * 3 * width**2, projected, tick)
        q, k, v = qkv.view(pairs, count, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        q, k = _turn(q, *turns), _turn(k, *turns)
        y = self._in_pieces(q, 2, pairs * 2 * count * width, attended, tick)
        x = x + fn.linear(y.transpose(1, 2).flatten(2), *block["attn.proj"])
        return x + self._in_pieces(x, 1, pairs * 2 * width * self.config.intermediate_size, fed_forward, tick)

    def _in_pieces(
        self, x: Tensor, dim: int, products: int, work: Callable[[Tensor], Tensor], tick: Callable[[], None]
    ) -> Tensor:
        """`work(x)`, on a CPU for so many places along `dim` at a time that it can report and stop in between; each
        place takes `products` multiplications."""
        length = x.shape[dim]
        at_once = length if self.device.type == "cuda" else min(length, max(1, _CPU_PRODUCTS // products))
        pieces: list[Tensor] = []
        for piece in torch.split(x, at_once, dim):
            if pieces:
                tick()
            pieces.append(work(piece))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)

    def _merge_order(self, rows: int, columns: int) -> Tensor:
        """For every patch in the tower's order, where it is row by row: patches of one token follow each other."""
        merge = self.config.merge
        index = torch.arange(rows * columns, device=self.device)
        return index.view(rows // merge, merge, columns // merge, merge).transpose(1, 2).flatten()

    def _positions(self, rows: int, columns: int) -> Tensor:
        """The learned square grid of positions, stretched over the picture: [rows · columns, width], fp32."""
        side = self.config.position_grid
        low_r, high_r, part_r = _between(rows, side, self.device)
        low_c, high_c, part_c = _between(columns, side, self.device)
        grid, part_r, part_c = self.grid.float(), part_r.view(-1, 1, 1), part_c.view(1, -1, 1)
        upper = grid[low_r][:, low_c] * (1 - part_c) + grid[low_r][:, high_c] * part_c
        lower = grid[high_r][:, low_c] * (1 - part_c) + grid[high_r][:, high_c] * part_c
        return (upper * (1 - part_r) + lower * part_r).flatten(0, 1)

    def _turns(self, columns: int, order: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [patches, head_dim], fp32: the first quarter of the channels turns with the row."""
        half = self.config.hidden_size // self.config.heads // 2
        exponents = torch.arange(0, half, 2, dtype=torch.float32, device=self.device) / half
        frequencies = 1.0 / self.config.rope_theta**exponents
        places = torch.stack((order // columns, order % columns), dim=1)
        angles = (places.unsqueeze(-1).float() * frequencies).flatten(1)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()


_BLOCK_PARTS = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.linear_fc1", "mlp.linear_fc2")


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [pairs, heads, patches, head_dim] turned by its place, computed in fp32."""
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


def _between(count: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For `count` places spread over a line of `side` points, ends on ends: the points below and above, and how far
    each place is from the lower one."""
    place = torch.arange(count, dtype=torch.float32, device=device) * (side - 1) / max(count - 1, 1)
    low = place.floor().long()
    return low, (low + 1).clamp(max=side - 1), place - low

"""The vision tower: from a decoded picture or clip to embeddings that stand in the prompt like tokens.

Knows: the tower's architecture. Does not know: prompts, the language model, how pixels become patches (`pixels`).
Frame pairs do not see each other in the tower, so a clip goes through it a few pairs at a time. Whatever is not
attention is done for some patches at a time, and attention in place, so that the largest picture takes little more
memory than its queries, keys and values (`sizes.vision_bytes`). The architecture follows transformers'
`Qwen3_5VisionModel` (Apache 2.0), against which the tests compare it.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.config import VisionConfig
from app.engine.parked import Weights
from app.engine.pixels import PreparedMedia, Processors, check_pixels, patches, plan
from app.engine.sizes import FEWEST_PATCHES, HEAD_GROUPS, PATCHES_AT_ONCE
from app.protocol import Media, VideoLimits

_CPU_PRODUCTS = 2**34
"""Multiplications that a slow CPU does in a second or two; one layer's attention over a photo takes a hundredfold."""
_KEPT_TOKENS = 16_384
"""Embeddings of more tokens than the largest picture has are kept in the computer's memory."""
_EPS = 1e-6
_Affine = tuple[Tensor, Tensor]


def _no_tick() -> None:
    """Nobody wants to know."""


class Vision:
    """The tower with its processors. `tensor(name)` gives a stored tensor below `model.visual.`; of a `parked` tower
    each layer is brought to the device when a picture passes it."""

    def __init__(
        self,
        config: VisionConfig,
        processors: Processors,
        tensor: Callable[[str], Tensor],
        device: torch.device,
        dtype: torch.dtype,
        *,
        parked: bool = False,
    ) -> None:
        self.config, self.processors, self.device, self.dtype = config, processors, device, dtype
        self.video_limits: VideoLimits = processors.limits
        self.parked = parked

        def weights(*names: str) -> Weights:
            tensors = [tensor(f"{name}.{part}") for name in names for part in ("weight", "bias")]
            return Weights(tensors, device, parked=parked)

        self._stem = weights("patch_embed.proj")
        self._grid = Weights([tensor("pos_embed.weight")], device, parked=parked)
        self._blocks = [weights(*(f"blocks.{index}.{name}" for name in _PARTS)) for index in range(config.depth)]
        self._merger = weights("merger.norm", "merger.linear_fc1", "merger.linear_fc2")

    @property
    def nbytes(self) -> int:
        """Bytes of the tower on its device; 0 while it is parked."""
        return sum(weights.nbytes for weights in (self._stem, self._grid, self._merger, *self._blocks))

    def measure(self, media: Media) -> PreparedMedia:
        """How a picture or clip will enter the prompt; its file is not touched. Raises `MediaError`."""
        return plan(media, self.processors, self.config)

    def prepare(self, media: Media) -> PreparedMedia:
        """As `measure`, and check that the pixels are there. Raises `MediaError`."""
        check_pixels(media)
        return self.measure(media)

    @torch.no_grad()
    def encode(self, prepared: PreparedMedia, tick: Callable[[], None] = _no_tick) -> Tensor:
        """Embeddings [tokens, hidden] of all chunks in order, on the device, or in the computer's memory if they are
        very many. `tick` is called between blocks and pairs, often enough to report or to stop by raising. Raises
        `MediaError` if the pixels are gone."""
        _, rows, columns = prepared.grid_thw
        at_once = max(1, FEWEST_PATCHES // (rows * columns))
        place = self.device if prepared.tokens <= _KEPT_TOKENS else torch.device("cpu")
        encoded: list[Tensor] = []
        waiting: list[Tensor] = []
        for pair in patches(prepared, self.processors, self.config):
            waiting.append(pair)
            tick()
            if len(waiting) == at_once:
                encoded.append(self._tower(torch.stack(waiting), rows, columns, tick).to(place))
                waiting = []
        if waiting:
            encoded.append(self._tower(torch.stack(waiting), rows, columns, tick).to(place))
        return encoded[0] if len(encoded) == 1 else torch.cat(encoded)

    def _tower(self, pixels: Tensor, rows: int, columns: int, tick: Callable[[], None]) -> Tensor:
        """Patches [pairs, rows · columns, values] → embeddings [pairs · tokens, hidden]."""
        order = self._merge_order(rows, columns)
        x = self._embedded(pixels, order, rows, columns)
        turns = self._turns(columns, order)
        for weights in self._blocks:
            self._block(x, weights.fetch(), turns, tick)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # or the ticks would come all at once and the wait after them
            tick()
        return self._merged(x.flatten(0, 1), tick)

    def _embedded(self, pixels: Tensor, order: Tensor, rows: int, columns: int) -> Tensor:
        """[pairs, patches, values] → [pairs, patches, width], with the places added."""
        pairs, count, _ = pixels.shape
        x = torch.empty(pairs, count, self.config.hidden_size, dtype=self.dtype, device=self.device)
        weight, bias = self._stem.fetch()
        (grid,) = self._grid.fetch()
        grid = grid.view(self.config.position_grid, self.config.position_grid, -1).float()
        for piece in self._pieces(count, pairs, weight.numel()):
            seen = pixels[:, piece].to(self.device, self.dtype)
            places = self._positions(grid, order[piece], rows, columns).to(self.dtype)
            x[:, piece] = fn.linear(seen, weight.flatten(1), bias) + places
        return x

    def _block(self, x: Tensor, weights: list[Tensor], turns: tuple[Tensor, Tensor], tick: Callable[[], None]) -> None:
        """One layer, in place: what each patch sees of all others, some heads at a time, then patch after patch what it
        makes of that."""
        pairs, count, width = x.shape
        norm1, qkv, proj, norm2, first, second = _paired(weights)
        seen = torch.empty_like(x)
        for heads in self._head_groups(pairs * count):
            self._attend(x, (norm1, qkv), turns, seen, heads=heads, tick=tick)
        products = width * (width + 2 * self.config.intermediate_size)
        for number, piece in enumerate(self._pieces(count, pairs, products)):
            _between_pieces(number, tick)
            stream = x[:, piece] + fn.linear(seen[:, piece], *proj)
            y = fn.linear(fn.layer_norm(stream, (width,), *norm2, eps=_EPS), *first)
            x[:, piece] = stream + fn.linear(fn.gelu(y, approximate="tanh"), *second)

    def _attend(
        self,
        x: Tensor,
        weights: tuple[_Affine, _Affine],
        turns: tuple[Tensor, Tensor],
        seen: Tensor,
        *,
        heads: slice,
        tick: Callable[[], None],
    ) -> None:
        """Attention of some heads, into their channels of `seen` [pairs, patches, width]."""
        pairs, count, width = x.shape
        every, size = self.config.heads, width // self.config.heads
        norm, (weight, bias) = weights
        weight = weight.view(3, every, size, width)[:, heads].flatten(0, 2)
        bias = bias.view(3, every, size)[:, heads].flatten()
        number = heads.stop - heads.start
        q, k, v = torch.empty(3, pairs, number, count, size, dtype=x.dtype, device=x.device)
        for index, piece in enumerate(self._pieces(count, pairs, 3 * number * size * width)):
            _between_pieces(index, tick)
            y = fn.linear(fn.layer_norm(x[:, piece], (width,), *norm, eps=_EPS), weight, bias)
            part = y.view(pairs, -1, 3, number, size).permute(2, 0, 3, 1, 4)
            cos, sin = turns[0][piece], turns[1][piece]
            q[:, :, piece], k[:, :, piece], v[:, :, piece] = _turn(part[0], cos, sin), _turn(part[1], cos, sin), part[2]
        channels = slice(heads.start * size, heads.stop * size)
        for index, piece in enumerate(self._pieces(count, pairs, 2 * count * number * size)):
            _between_pieces(index, tick)
            y = fn.scaled_dot_product_attention(q[:, :, piece], k, v)
            seen[:, piece, channels] = y.transpose(1, 2).flatten(2)

    def _head_groups(self, patches: int) -> list[slice]:
        """All heads at once, or a quarter of them where there are very many patches."""
        heads = self.config.heads
        at_once = heads if patches <= FEWEST_PATCHES else max(1, heads // HEAD_GROUPS)
        return [slice(begin, min(begin + at_once, heads)) for begin in range(0, heads, at_once)]

    def _merged(self, x: Tensor, tick: Callable[[], None]) -> Tensor:
        """[patches, width] → [tokens, hidden]: the patches of a token side by side, through two linears."""
        norm, first, second = _paired(self._merger.fetch())
        together = self.config.merge**2
        tokens = x.shape[0] // together
        merged = torch.empty(tokens, self.config.out_hidden_size, dtype=x.dtype, device=x.device)
        for number, piece in enumerate(self._pieces(tokens, 1, first[0].numel() + second[0].numel())):
            _between_pieces(number, tick)
            y = fn.layer_norm(x.view(tokens, together, -1)[piece], (x.shape[-1],), *norm, eps=_EPS)
            merged[piece] = fn.linear(fn.gelu(fn.linear(y.flatten(1), *first)), *second)
        return merged

    def _pieces(self, count: int, pairs: int, products: int) -> Iterator[slice]:
        """`count` places of each pair in pieces: on a GPU of so many that what is made of them stays small, on a CPU of
        so few that it can report and stop in between; each place of one pair takes `products` multiplications."""
        at_once = PATCHES_AT_ONCE if self.device.type == "cuda" else _CPU_PRODUCTS // products
        at_once = max(1, at_once // pairs)
        for begin in range(0, count, at_once):
            yield slice(begin, min(begin + at_once, count))

    def _merge_order(self, rows: int, columns: int) -> Tensor:
        """For every patch in the tower's order, where it is row by row: patches of one token follow each other."""
        merge = self.config.merge
        index = torch.arange(rows * columns, device=self.device)
        return index.view(rows // merge, merge, columns // merge, merge).transpose(1, 2).flatten()

    def _positions(self, grid: Tensor, order: Tensor, rows: int, columns: int) -> Tensor:
        """The learned square grid of places, stretched over the picture, for some of its patches: [n, width], fp32."""
        side = self.config.position_grid
        low_r, high_r, part_r = (line[order // columns] for line in _between(rows, side, self.device))
        low_c, high_c, part_c = (line[order % columns] for line in _between(columns, side, self.device))
        part_r, part_c = part_r.unsqueeze(1), part_c.unsqueeze(1)
        upper = grid[low_r, low_c] * (1 - part_c) + grid[low_r, high_c] * part_c
        lower = grid[high_r, low_c] * (1 - part_c) + grid[high_r, high_c] * part_c
        return upper * (1 - part_r) + lower * part_r

    def _turns(self, columns: int, order: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines [patches, head_dim], fp32: the first quarter of the channels turns with the row."""
        half = self.config.hidden_size // self.config.heads // 2
        exponents = torch.arange(0, half, 2, dtype=torch.float32, device=self.device) / half
        frequencies = 1.0 / self.config.rope_theta**exponents
        places = torch.stack((order // columns, order % columns), dim=1)
        angles = (places.unsqueeze(-1).float() * frequencies).flatten(1)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()


_PARTS = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.linear_fc1", "mlp.linear_fc2")


def _paired(weights: list[Tensor]) -> list[_Affine]:
    """Weights and biases that take turns, as pairs."""
    return list(zip(weights[::2], weights[1::2], strict=True))


def _between_pieces(number: int, tick: Callable[[], None]) -> None:
    if number:
        tick()


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

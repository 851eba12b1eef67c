"""Draws scenes with signed distances, many pictures at once, on a GPU or a CPU.

`Sketch` holds a batch of scenes of one size as plain arrays, so that it crosses processes cheaply. Edges are as soft as
the scene says, and what a JPEG or a video codec does to a picture is imitated: colour at half resolution and rounded
cosine coefficients. It knows nothing of questions.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from demo_model.pictures import SHAPES, Scene, Thing

PIXELS_AT_ONCE = 24_000_000
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99,) * 8,
    (99,) * 8,
    (99,) * 8,
    (99,) * 8,
)
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@dataclass(slots=True)
class Sketch:
    """Scenes of one size: [N, 3] backgrounds, [M, 13] things with their scene and their place in its order."""

    height: int
    width: int
    backgrounds: npt.NDArray[np.float32]
    finish: npt.NDArray[np.float32]
    things: npt.NDArray[np.float32]
    owners: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]


def row(thing: Thing) -> list[float]:
    """A thing as numbers."""
    outline = thing.outline or thing.rgb
    place = [thing.x, thing.y, thing.radius, thing.angle, thing.stretch, thing.outline_width if thing.outline else 0.0]
    return [SHAPES.index(thing.shape), *thing.rgb, *outline, *place]


def sketch(scenes: list[Scene]) -> Sketch:
    """The arrays of scenes that share one size."""
    frame = scenes[0].frame
    pairs = [(i, k, thing) for i, scene in enumerate(scenes) for k, thing in enumerate(scene.things)]
    return Sketch(
        frame.height,
        frame.width,
        np.array([scene.background for scene in scenes], np.float32),
        np.array([(scene.softness, scene.noise, scene.quality) for scene in scenes], np.float32),
        np.array([row(thing) for _, _, thing in pairs], np.float32).reshape(-1, 13),
        np.array([i for i, _, _ in pairs], np.int64),
        np.array([k for _, k, _ in pairs], np.int64),
    )


def distance(shape: int, x: Tensor, y: Tensor, stretch: Tensor) -> Tensor:
    """Signed distance, in radii, of points to the edge of a shape in its own coordinates; negative inside."""
    if shape == 0:
        return (x * x + y * y).sqrt() - 1
    if shape == 1:
        return torch.maximum(x.abs(), y.abs()) - 0.8
    if shape == 2:
        y = y / stretch
        return torch.maximum(y - 0.5, x.abs() * (3**0.5 / 2) - y * 0.5 - 0.5)
    inner = 0.4 * stretch
    ix, iy = inner * math.cos(math.pi / 5), inner * math.sin(math.pi / 5)
    sector = 2 * math.pi / 5
    angle = (torch.remainder(torch.atan2(x, -y) + sector / 2, sector) - sector / 2).abs()
    length = (x * x + y * y).sqrt()
    across = (length * angle.cos() - 1) * iy + length * angle.sin() * (1 - ix)
    return across / (iy * iy + (1 - ix) * (1 - ix)).sqrt()


def coverage(shape: int, things: Tensor, softness: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """[M, H, W] each: how far a thing covers each pixel with its outline, and within it."""
    px = torch.arange(width, device=things.device) + 0.5
    py = torch.arange(height, device=things.device) + 0.5
    x, y, radius, angle, stretch, outline = (value[:, None, None] for value in things[:, 7:].unbind(1))
    dx, dy = (px[None, None, :] - x) / radius, (py[None, :, None] - y) / radius
    cos, sin = angle.cos(), angle.sin()
    pixels = distance(shape, dx * cos + dy * sin, dy * cos - dx * sin, stretch) * radius
    soft = softness[:, None, None]
    outer = (0.5 - pixels / soft).clamp(0, 1)
    return outer, (0.5 - (pixels + outline) / soft).clamp(0, 1)


def paint(part: Sketch, device: torch.device) -> Tensor:
    """[N, 3, H, W] in 0…1: backgrounds with things laid over them in order."""
    canvas = torch.from_numpy(part.backgrounds).to(device)[:, :, None, None].repeat(1, 1, part.height, part.width)
    if not len(part.things):
        return canvas
    shapes = part.things[:, 0].astype(np.int64)
    order = np.argsort(shapes, kind="stable")
    things = torch.from_numpy(part.things[order]).to(device)
    softness = torch.from_numpy(part.finish[part.owners[order], 0]).to(device)
    covers, start = [], 0
    for shape in range(len(SHAPES)):
        stop = start + int((shapes == shape).sum())
        if stop > start:
            covers.append(coverage(shape, things[start:stop], softness[start:stop], part.height, part.width))
        start = stop
    outer, inner = (torch.cat(parts) for parts in zip(*covers, strict=True))
    slots, owners = part.slots[order], part.owners[order]
    for slot in range(int(slots.max()) + 1):
        chosen = np.flatnonzero(slots == slot)
        index, owner = torch.from_numpy(chosen).to(device), torch.from_numpy(owners[chosen]).to(device)
        fill, edge = things[index, 1:4, None, None], things[index, 4:7, None, None]
        below = canvas[owner]
        below = below + (edge - below) * outer[index][:, None]
        canvas[owner] = below + (fill - below) * inner[index][:, None]
    return canvas


def cosine_blocks(plane: Tensor, table: Tensor, scale: Tensor) -> Tensor:
    """[N, C, H, W] with every 8×8 block rounded in cosine space by `table` × `scale` [N]."""
    steps = torch.arange(8, device=plane.device, dtype=plane.dtype)
    basis = torch.cos(math.pi / 8 * (steps[None, :] + 0.5) * steps[:, None]) * 0.5
    basis[0] *= 0.5**0.5
    n, c, h, w = plane.shape
    blocks = plane.reshape(n, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    divisor = ((table * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)[:, None, None, None]
    rounded = ((basis @ blocks @ basis.T) / divisor).round() * divisor
    return (basis.T @ rounded @ basis).transpose(3, 4).reshape(n, c, h, w)


def squeeze(images: Tensor, quality: Tensor) -> Tensor:
    """[N, 3, H, W] in 0…255 as they come back from a JPEG of this quality [N]; 0 leaves a picture alone."""
    height, width = images.shape[-2:]
    padded = functional.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    matrix = torch.tensor(TO_YCC, device=images.device)
    planes = torch.einsum("ij,njhw->nihw", matrix, padded)
    scale = torch.where(quality < 50, 5000 / quality.clamp(min=1), 200 - 2 * quality)
    luma, chroma = (torch.tensor(table, device=images.device, dtype=images.dtype) for table in (LUMA, CHROMA))
    bright = cosine_blocks(planes[:, :1] - 128, luma, scale) + 128
    colour = functional.interpolate(
        cosine_blocks(functional.avg_pool2d(planes[:, 1:], 2), chroma, scale), scale_factor=2, mode="bilinear"
    )
    back = torch.einsum("ij,njhw->nihw", torch.linalg.inv(matrix), torch.cat([bright, colour], 1))[..., :height, :width]
    return torch.where(quality[:, None, None, None] > 0, back, images)


def slices(whole: Sketch) -> list[Sketch]:
    """The sketch in parts small enough to paint at once."""
    count = len(whole.backgrounds)
    size = max(1, min(count, PIXELS_AT_ONCE // (whole.height * whole.width)))
    parts = []
    for start in range(0, count, size):
        mine = (whole.owners >= start) & (whole.owners < start + size)
        part = slice(start, start + size)
        parts.append(
            Sketch(
                whole.height,
                whole.width,
                whole.backgrounds[part],
                whole.finish[part],
                whole.things[mine],
                whole.owners[mine] - start,
                whole.slots[mine],
            )
        )
    return parts


def draw(whole: Sketch, device: torch.device) -> Tensor:
    """[N, 3, H, W] bytes: the pictures as a program would read them from their files."""
    drawn = []
    for part in slices(whole):
        images = paint(part, device) * 255
        finish = torch.from_numpy(part.finish).to(device)
        if part.finish[:, 1].any():
            images = images + torch.randn_like(images) * finish[:, 1, None, None, None]
        if part.finish[:, 2].any():
            images = squeeze(images.round().clamp(0, 255), finish[:, 2])
        drawn.append(images.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(drawn)

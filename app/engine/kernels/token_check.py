"""Compares `token.cu` with plain torch in float64 on fresh random inputs: at the start on a GPU, and in the tests.

Knows: what a linear that makes its own input should compute, how far rounding may take it. Does not know: models.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as fn

from app.engine.kernels.check import BF16, Checked, Shape, dense_weight, error, random_eora, random_weight, sentence
from app.engine.kernels.linear import Tiled, tile
from app.engine.kernels.runtime import Kernels
from app.engine.kernels.token import Correction, Given, multiply_one, parts
from app.engine.quantized import Eora, PackedWeight

DIGITS = 5e-4
"""What is lost where x is rounded to 15 bits a number, sums being fp32."""
_EPS = 1e-6


def self_check_one(kernels: Kernels, device: torch.device) -> str | None:
    """Why the kernels cannot be used on this device, as a sentence, or None if everything small comes out right."""
    return sentence(token_checks(kernels, torch.Generator(device).manual_seed(int(torch.randint(2**31, ()).item()))))


class _Case:
    """Linears of one input, and room for t in launches that follow each other."""

    def __init__(self, kernels: Kernels, generator: torch.Generator, shape: Shape) -> None:
        self.kernels, self.generator, self.shape = kernels, generator, shape
        self.name = f"{shape.bits} bits, {shape.out} × {shape.into}, rank {shape.rank}, one token"
        self.turn = 0

    def weights(self, count: int) -> list[tuple[PackedWeight, Eora | None]]:
        """So many linears, each with an order of its own."""
        out, into, bits, rank = self.shape.out, self.shape.into, self.shape.bits, self.shape.rank
        return [
            (random_weight(self.generator, out, into, bits), random_eora(self.generator, out, into, rank))
            for _ in range(count)
        ]

    def exact(self, parts_of_it: list[tuple[PackedWeight, Eora | None]], x: Tensor) -> Tensor:
        """W x in float64, x [inputs]."""
        rows = []
        for packed, eora in parts_of_it:
            row = dense_weight(packed) @ x
            if eora is not None:
                b = eora.b.bfloat16().double()
                row += x @ eora.a.bfloat16().double() @ b
            rows.append(row)
        return torch.cat(rows)

    def normal(self, *shape: int) -> Tensor:
        """Numbers of unit size."""
        return torch.randn(shape, generator=self.generator, device=self.generator.device)

    def run(self, tiled: Tiled, given: Given, correction: Correction, dtype: torch.dtype) -> Tensor:
        """What the kernel makes, out of NaNs: bf16, or fp32 [parts, outputs]."""
        outputs = tiled.outputs // 2 if tiled.paired else tiled.outputs
        shape = (parts(self.kernels.gpu), outputs) if dtype == torch.float32 else (outputs,)
        y = torch.full(shape, float("nan"), device=self.generator.device, dtype=dtype)
        multiply_one(self.kernels, tiled, given, correction, y, turn=self.turn)
        self.turn += 1
        return y


def token_checks(kernels: Kernels, generator: torch.Generator, shapes: tuple[Shape, ...] = ()) -> Iterator[Checked]:
    """Every way in which one token is multiplied, on small and odd shapes or those that are given."""
    for shape in shapes or (Shape(144, 384, 4, 64), Shape(48, 256, 8, 40), Shape(16, 128, 4, 0), Shape(32, 640, 8, 32)):
        case = _Case(kernels, generator, shape)
        for check in (_normed, _gated, _plain):
            yield from check(case)


def _normed(case: _Case) -> Iterator[Checked]:
    """h = before + partials, its norm through two linears in different orders, with rows beside them; and a pair."""
    into, device = case.shape.into, case.generator.device
    before, partials, weight = case.normal(into) * 3, case.normal(2, into), 1 + 0.3 * case.normal(into)
    rows = (case.normal(16, into) / into**0.5).bfloat16()
    linears = case.weights(2)
    (one, correction_of_one), (other, correction_of_other) = linears
    pair = [(one, correction_of_one), (replace(other, group_of=one.group_of), correction_of_other)]
    for count in (0, 2):
        hidden = before.double() + partials[:count].double().sum(0)
        x = fn.rms_norm(hidden, (into,), weight.double(), _EPS)
        tiled = tile(linears, more=rows)
        correction = Correction(tiled.a.shape[0], device)
        after = torch.full_like(before, float("nan"))
        given = Given("normed", before, partials, weight, _EPS, after, count)
        y = case.run(tiled, given, correction, torch.bfloat16)
        name = f"{case.name}, normed, {count} partials"
        yield Checked(name, error(y, case.exact(linears, x)), BF16)
        yield Checked(f"{name}: the residual stream", error(after, hidden), 1e-6)
        beside = correction.t[tiled.a.shape[0] - 16 : tiled.a.shape[0]]
        yield Checked(f"{name}: rows beside", error(beside, rows.double() @ x), 1e-5)
        again = case.run(tiled, given, correction, torch.bfloat16)
        yield Checked(f"{name}: the same bits again", float((again != y).sum()), 0.0)
        tiled = tile(pair, paired=True)
        y = case.run(tiled, given, Correction(tiled.a.shape[0], device), torch.bfloat16)
        gate, up = case.exact(pair, x).chunk(2)
        yield Checked(f"{case.name}, paired", error(y, fn.silu(gate) * up), BF16)


def _gated(case: _Case) -> Iterator[Checked]:
    """DeltaNet's read, its norm and gate, and the window that moves on."""
    into, channels, device = case.shape.into, 64, case.generator.device
    read, weight = case.normal(into), 1 + 0.3 * case.normal(128)
    mixed, window = case.normal(channels + into).bfloat16(), case.normal(3, channels).bfloat16()
    moved = torch.cat((window[1:], mixed[None, :channels])).double()
    heads = fn.rms_norm(read.double().view(-1, 128), (128,), weight.double(), _EPS).flatten()
    x, linears = heads * fn.silu(mixed[channels:].double()), case.weights(1)
    tiled = tile(linears)
    given = Given("gated", read, mixed, weight, _EPS, window, channels)
    y = case.run(tiled, given, Correction(tiled.a.shape[0], device), torch.float32)
    yield Checked(f"{case.name}, gated", error(y.sum(0), case.exact(linears, x)), DIGITS)
    yield Checked(f"{case.name}: the convolution's window", error(window, moved), 0.0)


def _plain(case: _Case) -> Iterator[Checked]:
    """An input that is there, in its own order and in that of the weights; and one with large and with no numbers."""
    linears, into, device = case.weights(1), case.shape.into, case.generator.device
    tiled = tile(linears)
    order = tiled.orders[0].long()
    sorted_one = replace(tiled, a=tiled.a[:, order].contiguous())
    x = case.normal(into).bfloat16()
    x[order[-128:]] = 0
    x[order[3]] = 3e4
    expected = case.exact(linears, x.double())
    ways: tuple[tuple[str, Callable[[], Given], Tiled], ...] = (
        ("ordered", lambda: Given("ordered", x), tiled),
        ("ready", lambda: Given("ready", x[order].contiguous()), sorted_one),
    )
    for name, given, matrix in ways:
        correction = Correction(tiled.a.shape[0], device)
        y = case.run(matrix, given(), correction, torch.float32)
        yield Checked(f"{case.name}, {name}", error(y.sum(0), expected), DIGITS)
        again = case.run(matrix, given(), correction, torch.float32)
        yield Checked(f"{case.name}, {name}: the same bits again", float((again != y).sum()), 0.0)

"""GPTQ weights: from packed integers to numbers, and linears over them with their EoRA correction.

Knows: the packing, the arithmetic, devices. Does not know: files, or which layers are quantized. Every linear of the
model is a `Linear`, a callable from [T, in] to [T, out]: this is the seam where faster kernels take over, by returning
another callable from `linear_for`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as fn

Linear = Callable[[Tensor], Tensor]

_COLUMNS_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class Eora:
    """A low-rank correction of one linear: y += (x @ a) @ b. a [in, r], b [r, out]; b is already scaled."""

    a: Tensor
    b: Tensor


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """One GPTQ linear as stored. `codes` int32 [in·bits/32, out], packed along the input; `zeros` int32
    [groups, out·bits/32], packed along the output, holding the true zero points; `scales` fp16 [groups, out];
    `group_of` int32 [in], the group of every input channel (any order: act-order).
    """

    codes: Tensor
    zeros: Tensor
    scales: Tensor
    group_of: Tensor
    bits: int

    def columns(self, begin: int, end: int) -> Tensor:
        """Dequantized weights of outputs `begin`…`end`, [in, end - begin], fp16: (code − zero) · scale.

        The product is rounded to fp16, which is how GPTQModel computes it: both give the same bits.
        """
        per_word = 32 // self.bits
        zeros = unpack_columns(self.zeros[:, begin // per_word : -(-end // per_word)], self.bits)
        zeros = zeros[:, begin % per_word : begin % per_word + end - begin]
        group_of = self.group_of.long()
        difference = unpack_rows(self.codes[:, begin:end], self.bits).to(torch.int16) - zeros.to(torch.int16)[group_of]
        return difference.to(torch.float16) * self.scales[:, begin:end][group_of]

    @property
    def out_features(self) -> int:
        """How many outputs the linear has."""
        return self.codes.shape[1]


def unpack_rows(packed: Tensor, bits: int) -> Tensor:
    """int32 [n, out] → uint8 [n·32/bits, out]; the lowest bits of a word are its first row."""
    shifts = torch.arange(0, 32, bits, dtype=torch.int32, device=packed.device)
    words = torch.bitwise_right_shift(packed.unsqueeze(1), shifts.view(1, -1, 1))
    return torch.bitwise_and(words, 2**bits - 1).to(torch.uint8).flatten(0, 1)


def unpack_columns(packed: Tensor, bits: int) -> Tensor:
    """int32 [groups, n] → uint8 [groups, n·32/bits]; the lowest bits of a word are its first column."""
    shifts = torch.arange(0, 32, bits, dtype=torch.int32, device=packed.device)
    words = torch.bitwise_right_shift(packed.unsqueeze(2), shifts.view(1, 1, -1))
    return torch.bitwise_and(words, 2**bits - 1).to(torch.uint8).flatten(1, 2)


def true_zeros(stored: Tensor, bits: int) -> Tensor:
    """The zero points of checkpoint format "gptq", which stores each one less than it is; "gptq_v2" stores them as
    they are. Adding 1 to every field of the whole word also undoes a borrow across fields, as GPTQModel does.
    """
    return stored + (0x11111111 if bits == 4 else 0x01010101)


def expand(packed: PackedWeight, eora: Eora | None, dtype: torch.dtype) -> Tensor:
    """The dense weight [out, in], correction included; summed in fp32, rounded once to `dtype`."""
    weight = torch.empty(packed.out_features, packed.group_of.numel(), dtype=dtype, device=packed.codes.device)
    for begin in range(0, packed.out_features, _COLUMNS_AT_ONCE):
        end = min(begin + _COLUMNS_AT_ONCE, packed.out_features)
        block = packed.columns(begin, end).float()
        if eora is not None:
            block += eora.a.float() @ eora.b[:, begin:end].float()
        weight[begin:end] = block.T
    return weight


class DenseLinear:
    """y = x Wᵀ, with W [out, in] in the activations' element type."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        """[T, in] → [T, out]"""
        return fn.linear(x, self.weight)


class QuantizedLinear:
    """A packed weight that is expanded anew in every call, a block of outputs at a time, plus its correction.

    Small in memory and slow: the plain path of any GPU.
    """

    def __init__(self, packed: PackedWeight, eora: Eora | None, dtype: torch.dtype) -> None:
        self.packed = packed
        self.eora = None if eora is None else Eora(eora.a.to(dtype), eora.b.to(dtype))

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        packed = self.packed
        tensors = [packed.codes, packed.zeros, packed.scales, packed.group_of]
        tensors += [] if self.eora is None else [self.eora.a, self.eora.b]
        return sum(tensor.nbytes for tensor in tensors)

    def __call__(self, x: Tensor) -> Tensor:
        """[T, in] → [T, out]"""
        out = self.packed.out_features
        y = torch.empty(x.shape[0], out, dtype=x.dtype, device=x.device)
        for begin in range(0, out, _COLUMNS_AT_ONCE):
            end = min(begin + _COLUMNS_AT_ONCE, out)
            y[:, begin:end] = x @ self.packed.columns(begin, end).to(x.dtype)
        if self.eora is not None:
            y += (x @ self.eora.a) @ self.eora.b
        return y


def linear_for(packed: PackedWeight, eora: Eora | None, dtype: torch.dtype) -> Linear:
    """The linear that suits the packed weight's device: expanded once on a CPU, kept packed on a GPU."""
    if packed.codes.device.type == "cpu":
        return DenseLinear(expand(packed, eora, dtype))
    return QuantizedLinear(packed, eora, dtype)

"""GPTQModel's own packing and unpacking, for references. Importing GPTQModel takes seconds: import this late."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tests.foreign import (
    TorchLinear,
    convert_gptq_v1_to_v2_format_module,
    convert_gptq_v2_to_v1_format_module,
)

PARTS = ("qweight", "qzeros", "scales", "g_idx")


def pack(
    weight: Tensor, bits: int, group: int, generator: torch.Generator, *, v2: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """Quantize [out, in] by rounding, in groups of shuffled inputs (act-order), half of the groups asymmetric.

    Returns the tensors to store, and the weight [out, in] as GPTQModel reads it back, fp32.
    """
    out, into = weight.shape
    group_of = (torch.randperm(into, generator=generator) // group).to(torch.int32)
    groups = into // group
    scales = torch.empty(out, groups)
    zeros = torch.full((out, groups), 2 ** (bits - 1), dtype=torch.int32)
    for index in range(groups):
        scales[:, index] = weight[:, group_of == index].abs().amax(1) / (2 ** (bits - 1) - 1)
    zeros[:, ::2] += torch.randint(-2, 3, zeros[:, ::2].shape, generator=generator, dtype=torch.int32)
    linear = torch.nn.Linear(into, out, bias=False)
    linear.weight.data = weight.clone()
    module = _module(out, into, bits, group)
    module.pack_block(linear, scales.half().float(), zeros, group_of)
    seen = _dequantized(module)
    if not v2:
        convert_gptq_v2_to_v1_format_module(module, SimpleNamespace(bits=bits, pack_dtype=torch.int32))
    return {name: getattr(module, name).clone() for name in PARTS}, seen


def read(parts: dict[str, Tensor], bits: int, *, v2: bool) -> Tensor:
    """The dense weight [out, in], fp32, that GPTQModel sees in stored tensors."""
    into, out = parts["g_idx"].numel(), parts["qweight"].shape[1]
    module = _module(out, into, bits, into // parts["scales"].shape[0])
    for name in PARTS:
        module.register_buffer(name, parts[name].clone())
    if not v2:
        convert_gptq_v1_to_v2_format_module(module, bits=bits, pack_dtype=torch.int32)
    return _dequantized(module)


def _module(out: int, into: int, bits: int, group: int) -> Any:
    return TorchLinear(bits=bits, group_size=group, sym=True, desc_act=True, in_features=into, out_features=out)


def _dequantized(module: Any) -> Tensor:
    weight: Tensor = module.eval().dequantize_weight()
    return weight.float().T.contiguous()

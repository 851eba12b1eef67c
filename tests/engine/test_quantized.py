"""GPTQ weights: against a packing written out number by number, and against GPTQModel's own reading."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.checkpoint import Checkpoint
from app.engine.quantized import (
    DenseLinear,
    Eora,
    PackedWeight,
    QuantizedLinear,
    expand,
    linear_for,
    true_zeros,
    unpack_columns,
    unpack_rows,
)
from tests.checkpoints import EoraForm, quantized

CPU = torch.device("cpu")


def pack_rows(codes: np.ndarray[tuple[int, int], np.dtype[np.uint32]], bits: int) -> torch.Tensor:
    """The format's definition: code number i of a column sits in word i // n at bit (i % n) · bits."""
    per_word = 32 // bits
    words = np.zeros((codes.shape[0] // per_word, codes.shape[1]), np.uint32)
    for row, values in enumerate(codes):
        words[row // per_word] |= values << np.uint32(row % per_word * bits)
    return torch.from_numpy(words.view(np.int32))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([4, 8]), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_unpacking_is_the_inverse_of_packing(bits: int, words: int, columns: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 2**bits, (words * 32 // bits, columns), dtype=np.uint32)
    packed = pack_rows(codes, bits)
    assert np.array_equal(unpack_rows(packed, bits).numpy(), codes)
    assert np.array_equal(unpack_columns(packed.T.contiguous(), bits).numpy(), codes.T)


@pytest.mark.parametrize("bits", [4, 8])
def test_zero_points_of_the_first_format_are_stored_less_one(bits: int) -> None:
    zeros = np.random.default_rng(0).integers(1, 2**bits, (32 // bits, 6), dtype=np.uint32)
    stored = pack_rows(zeros - 1, bits).T.contiguous()
    assert np.array_equal(unpack_columns(true_zeros(stored, bits), bits).numpy(), zeros.T)


@pytest.mark.parametrize(("form", "v2"), [("peft", False), ("subfolder", True), ("beside", False), ("none", True)])
def test_every_form_of_checkpoint_is_read_as_gptqmodel_reads_it(tmp_path: Path, form: EoraForm, v2: bool) -> None:
    made = quantized(tmp_path / form, seed=11, eora=form, v2=v2, shards=3)
    checkpoint = Checkpoint(made.folder)
    assert sorted(set(checkpoint.packed_bits.values())) == [4, 8]
    assert checkpoint.config.precision == "INT4 · INT8 attention" + ("" if form == "none" else " · EoRA 8")
    for linear in checkpoint.packed_bits:
        packed, eora = checkpoint.packed(linear, CPU), checkpoint.correction(linear, CPU)
        assert packed is not None
        assert (eora is None) == (form == "none")
        wanted = made.tensors[f"{linear}.weight"]
        assert torch.allclose(expand(packed, eora, torch.float32), wanted, rtol=0, atol=1e-6)


def small(out: int, into: int, rank: int) -> tuple[PackedWeight, Eora]:
    generator = torch.Generator().manual_seed(0)

    def words(rows: int, columns: int) -> torch.Tensor:
        return torch.randint(-(2**31), 2**31, (rows, columns), generator=generator).to(torch.int32)

    groups = into // 32
    packed = PackedWeight(
        codes=words(into // 8, out),
        zeros=words(groups, out // 8),
        scales=(torch.rand(groups, out, generator=generator) * 0.01).half(),
        group_of=torch.randint(0, groups, (into,), generator=generator).to(torch.int32),
        bits=4,
    )
    eora = Eora(torch.randn(into, rank, generator=generator), torch.randn(rank, out, generator=generator) * 0.01)
    return packed, eora


def test_a_packed_linear_computes_what_the_expanded_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.quantized._COLUMNS_AT_ONCE", 24)  # several blocks, the last one shorter
    packed, eora = small(64, 96, 4)
    x = torch.randn(5, 96, generator=torch.Generator().manual_seed(1))
    kept, expanded = QuantizedLinear(packed, eora, torch.float32), linear_for(packed, eora, torch.float32)
    assert isinstance(expanded, DenseLinear)
    assert torch.allclose(kept(x), expanded(x), atol=1e-5)
    assert not torch.allclose(kept(x), DenseLinear(expand(packed, None, torch.float32))(x), atol=1e-3)
    assert kept.nbytes < expanded.weight.nbytes / 2

"""The kernels without a GPU: their packing, their callers, and that they compile for every GPU that Parley names."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.engine.kernels.check import (
    attention,
    dense_weight,
    error,
    random_eora,
    random_weight,
    self_check,
    small_checks,
)
from app.engine.kernels.decode import Decoder
from app.engine.kernels.layout import pack_plain, unpack_plain
from app.engine.kernels.linear import Tiled, UnsuitableError, pool_bytes, tile
from app.engine.kernels.module import TiledLinear
from app.engine.kernels.runtime import SOURCES, Gpu, Value, compiled, definitions
from app.engine.kernels.token import Kind, parts, token_bytes
from app.engine.kernels.token_check import self_check_one, token_checks
from app.engine.load import ParleyModel, open_model
from app.engine.model import TextModel
from app.engine.quantized import DenseLinear, QuantizedLinear, expand
from app.engine.rope import text_positions
from tests.bench.synthetic import SMALL, SyntheticWeights, write
from tests.engine.kernels.plain import PlainKernels, signatures

CPU = torch.device("cpu")
ARCHITECTURES = (80, 86, 89, 90, 100, 120)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_kernel_compiles(arch: int) -> None:
    limits = {80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}
    options = definitions(Gpu(1, limits[arch] * 1024).ring, 6)
    for source in SOURCES:
        assert compiled(source, arch, options, None).startswith(b"\x7fELF")


def test_what_was_compiled_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    first = compiled("delta", 90, definitions(6, 6), folder)
    (kept,) = folder.iterdir()
    kept.write_bytes(b"kept")
    assert compiled("delta", 90, definitions(6, 6), folder) == b"kept"
    assert compiled("delta", 90, definitions(4, 6), folder) == first
    assert len(list(folder.iterdir())) == 2


def test_the_checks_accept_what_is_right() -> None:
    kernels = PlainKernels()
    checks = [*small_checks(kernels, CPU, 3), *token_checks(kernels, torch.Generator())]
    wrong = [checked for checked in checks if not checked.right]
    assert wrong == []


@pytest.mark.parametrize(
    "broken",
    [
        "linear_8_partial",
        "linear_4",
        "dense_4",
        "delta_step",
        "gather",
        "prepare_norm",
        "token_4_normed",
        "token_8_gated",
        "token_4_ordered",
        "token_8_ready",
    ],
)
def test_the_checks_see_a_kernel_that_does_nothing(broken: str) -> None:
    class Broken(PlainKernels):
        def _twin(self, name: str) -> object:  # type: ignore[override]
            return (lambda *_: None) if name == broken else super()._twin(name)

    said = self_check(Broken(), CPU, 3) or self_check_one(Broken(), CPU)
    assert said is not None
    assert said.endswith("so answers come slowly.")


def test_attention_checks_reach_several_shares() -> None:
    generator = torch.Generator().manual_seed(3)
    assert attention(PlainKernels(), generator, 1, 2, 200).right


@pytest.mark.parametrize("bits", [4, 8])
def test_the_kernels_mean_what_the_plain_path_means(bits: int) -> None:
    """Packed for the kernels or read as the checkpoint stores it: the same linear."""
    generator = torch.Generator().manual_seed(bits)
    packed, eora = random_weight(generator, 48, 256, bits), random_eora(generator, 48, 256, 24)
    x = torch.randn(3, 256, generator=generator).bfloat16()
    plain = QuantizedLinear(packed, eora, torch.bfloat16)(x)
    fast = TiledLinear(PlainKernels(), tile([(packed, eora)]))
    assert error(fast(x), plain.double()) < 0.01
    assert error(fast(x.repeat(5, 1)), plain.double().repeat(5, 1)) < 0.01


def test_plain_numbers_come_back() -> None:
    weight = torch.randn(48, 96).bfloat16()
    assert torch.equal(unpack_plain(pack_plain(weight)), weight)


@pytest.mark.parametrize("rank", [0, 24])
def test_a_weight_that_does_not_fit_is_refused(rank: int) -> None:
    generator = torch.Generator().manual_seed(0)
    packed, eora = random_weight(generator, 48, 256, 4), random_eora(generator, 48, 256, rank)
    off = replace(packed, zeros=packed.zeros + 1)
    uneven = replace(packed, group_of=torch.zeros(256, dtype=torch.int32))
    for bad in (off, uneven):
        with pytest.raises(UnsuitableError):
            tile([(bad, eora)])
    with pytest.raises(UnsuitableError):
        tile([(packed, eora), (random_weight(generator, 48, 256, 8), None)])
    other = random_weight(generator, 48, 256, 4)
    assert tile([(packed, eora), (other, eora)]).orders.shape[0] == 2
    with pytest.raises(UnsuitableError):
        tile([(packed, eora), (other, eora)], paired=True)


def test_a_refused_weight_has_the_same_numbers_still() -> None:
    packed = random_weight(torch.Generator().manual_seed(1), 32, 128, 4)
    dense = dense_weight(packed)
    assert dense.shape == (32, 128)
    assert error(packed.columns(0, 32).T, dense) < 1e-3


@pytest.mark.parametrize(("count", "limit"), [(132, 227), (108, 163), (128, 99), (170, 99), (82, 99)])
def test_launches_fit_the_gpu(count: int, limit: int) -> None:
    gpu = Gpu(count, limit * 1024)
    for outputs in (5120, 14_336, 16_384, 34_816, 248_320):
        for tokens in range(1, 9):
            shared, batch = pool_bytes(gpu, -(-outputs // 16 // count), tokens)
            assert shared <= gpu.shared_limit - 1024
            assert batch >= 1


@pytest.mark.parametrize(("count", "limit"), [(132, 227), (108, 163), (128, 99), (170, 99), (82, 99)])
def test_the_models_tokens_fit_the_gpu(count: int, limit: int) -> None:
    """Blocks are never more than multiprocessors, since they wait for each other, and even."""
    gpu = Gpu(count, limit * 1024)
    matrices: tuple[tuple[int, int, int, int, Kind], ...] = (
        (16_384, 5120, 4, 2, "normed"), (14_336, 5120, 8, 1, "normed"), (34_816, 5120, 4, 1, "normed"),
        (5120, 6144, 4, 1, "gated"), (5120, 17_408, 4, 1, "ready"),
    )  # fmt: skip
    for out, into, bits, orders, kind in matrices:
        tiles, quantized = out // 16, into * bits // 512
        tiled = Tiled(
            units=torch.empty(tiles, quantized + 2, 0), scales=torch.empty(0), places=torch.empty(0),
            orders=torch.empty(orders, into), a=torch.empty(224, 0),
            bits=bits, paired=False, quantized=quantized,
        )  # fmt: skip
        splits = 1 if kind == "normed" else parts(gpu)
        blocks, shared = token_bytes(gpu, tiled, kind, splits)
        assert blocks <= count
        assert shared <= gpu.shared_limit
        assert -(-tiles * splits // blocks) * blocks / (tiles * splits) < 1.17


def test_every_kernel_has_a_signature() -> None:
    assert {"linear_4_partial", "linear_8", "dense_8", "token_4_gated", "delta_step", "rotate"} <= set(signatures())
    assert signatures()["rotate"][3] == "float"


def test_a_wrong_argument_would_be_seen() -> None:
    values: tuple[Value, ...] = (torch.zeros(8), 1.0)
    with pytest.raises(AssertionError):
        PlainKernels()["prepare_plain"]((1, 1), 32, 0, *values)


def test_the_whole_token() -> None:
    """The decoder's launches, on the kernels' twins, against the plain model in fp32."""
    exact = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU, torch.float32), CPU, torch.float32)
    model = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU), CPU, torch.bfloat16)
    kernels = PlainKernels()
    decoder = Decoder(model, kernels)
    states = exact.new_state(40), model.new_state(40)
    ids = torch.randint(0, 320, (24,), generator=torch.Generator().manual_seed(0))
    first = [
        m.forward(m.embed(ids[:20]), text_positions(0, 20, 0), s) for m, s in zip((exact, model), states, strict=True)
    ]
    assert error(first[1], first[0].double()) < 0.02
    for index in range(20, 24):
        one = ids[index : index + 1]
        expected = exact.forward(exact.embed(one), text_positions(index, index + 1, 2), states[0])
        kernels.launched.clear()
        logits = decoder.step(model.embed(one)[0], index + 2, states[1])
        assert error(logits, expected.double()) < 0.02
    assert len(kernels.launched) == 3 * 5 + 7 + 2
    assert states[1].length == 24
    assert error(states[1].recurrent[2], states[0].recurrent[2].double()) < 0.03
    full = model.new_state(1)
    decoder.step(model.embed(ids[:1])[0], 0, full)
    with pytest.raises(ValueError, match="no room"):
        decoder.step(model.embed(ids[:1])[0], 1, full)


def test_the_synthetic_checkpoint_loads(tmp_path: Path) -> None:
    """What is written to a folder is what `SyntheticWeights` hands out."""
    write(tmp_path / "small", SMALL, CPU)
    model = open_model(tmp_path / "small", "cpu", "parley", lambda *_: None)
    assert isinstance(model, ParleyModel)
    weights = SyntheticWeights(SMALL, CPU, torch.float32)
    mlp, name = model.text.layers[2].mlp, "layers.2.mlp.down_proj"
    assert isinstance(mlp.down, DenseLinear)
    assert torch.equal(mlp.down.weight, expand(*weights.quantized(name), torch.float32))
    assert torch.equal(model.text.table, weights.tensor("embed_tokens.weight", torch.float32).half().float())

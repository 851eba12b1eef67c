"""What a model will take is calculated as it then really takes: packed weights, plain ones, states, pictures."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from app.bench.synthetic import BIG, SMALL, Size, SyntheticWeights, bits_of
from app.engine import sizes, vision
from app.engine.cache import KvBits, TensorState, bytes_a_token, fixed_bytes
from app.engine.config import stretched
from app.engine.kernels.decode import Decoder, PackedLayer
from app.engine.kernels.linear import tile_plain
from app.engine.kernels.prefill import Prefill
from app.engine.layout import linear_shapes, vision_shapes
from app.engine.load import LoadedModel
from app.engine.model import Layer, TextModel
from app.engine.pixels import patches
from app.engine.sizes import CHUNK, Contents, gpu_sizes, held_bytes, state_bytes, text_bytes, token_bytes, vision_bytes
from app.engine.vision import Vision
from tests.engine.kernels.plain import PlainKernels
from tests.engine.prompts import picture

CPU = torch.device("cpu")


def contents(size: Size) -> Contents:
    bits = {name: bits_of(name) for name in linear_shapes(size.model) if bits_of(name) < 16}
    return Contents(size.model, bits, lambda _linear: size.rank)


def tensors_of(owner: Any) -> dict[int, int]:
    """Bytes of every storage that an object of the model's holds."""
    found: dict[int, int] = {}
    waiting, seen = [owner], set[int]()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            storage = value.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        elif isinstance(value, list | tuple):
            waiting += value
        elif type(value).__module__.startswith("app.engine"):
            names: Any = getattr(value, "__slots__", None) or getattr(value, "__dict__", ())
            waiting += [getattr(value, name, None) for name in names]
    return found


def test_packed_weights_take_what_was_calculated() -> None:
    kernels = PlainKernels()

    def pack(layer: Layer) -> None:
        PackedLayer(kernels, layer)

    model = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU), CPU, torch.bfloat16, pack)
    held = sum(tensors_of(model.layers).values()) + sum(tensors_of(model.norm).values())
    head = model.head
    assert head is not None
    held += tile_plain(head.weight).nbytes  # type: ignore[attr-defined]
    assert held <= text_bytes(contents(SMALL)) < held * 1.01


def test_what_is_kept_for_reading_is_what_was_calculated() -> None:
    model = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU), CPU, torch.bfloat16)
    kernels = PlainKernels()
    prefill = Prefill(model, kernels, *Decoder(model, kernels).packed)
    held = prefill.nbytes + prefill.arena_bytes(CHUNK)
    assert held - 10_000 <= held_bytes(contents(SMALL)) < held * 1.1


def test_the_27b_is_as_large_as_its_card_says() -> None:
    planned = gpu_sizes(contents(BIG), context_taken=True)
    assert 16.8e9 < planned.weights < 17.1e9
    assert planned.embeddings == 248_320 * 5120 * 2
    assert 0.91e9 < planned.tower < 0.93e9
    assert planned.token == 65_536
    assert gpu_sizes(contents(BIG), kv_bits=8, context_taken=True).token == 33_792
    assert stretched(BIG.model, 4).native_context == 1_010_000
    assert gpu_sizes(contents(BIG), context_taken=False).library - planned.library == sizes.CONTEXT


@pytest.mark.parametrize("tokens", [4, 262_144, 1_010_000])
def test_states_take_what_was_calculated(tokens: int) -> None:
    choices: tuple[KvBits, ...] = (16, 8)
    for bits in choices:
        state = TensorState(BIG.text, tokens, torch.device("meta"), torch.bfloat16, bits)
        assert state.nbytes == state_bytes(BIG.text) + tokens * token_bytes(BIG.text, bits)
        assert state.row_bytes == token_bytes(BIG.text, bits)
        assert (state_bytes(BIG.text), token_bytes(BIG.text, bits)) == (
            fixed_bytes(BIG.text, torch.bfloat16),
            bytes_a_token(BIG.text, torch.bfloat16, bits),
        )


class _Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """The most bytes of tensors that were made under it and alive at once, beside those that were `there`."""

    def __init__(self, there: list[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.now = self.most = 0
        self._known = {tensor.untyped_storage().data_ptr() for tensor in there}

    def __torch_dispatch__(self, func: Callable[..., Any], _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        place = storage.data_ptr()
        if place and place not in self._known:
            size = storage.nbytes()
            self._known.add(place)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._let_go, place, size)

    def _let_go(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.now -= size


@pytest.mark.parametrize("fewest", [100, 16_384])
def test_a_large_picture_takes_no_more_than_was_calculated(
    parley: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    eyes = parley.vision
    assert eyes is not None
    piece = 64
    monkeypatch.setattr(sizes, "PATCHES_AT_ONCE", piece)
    for module in (sizes, vision):
        monkeypatch.setattr(module, "FEWEST_PATCHES", fewest)
        monkeypatch.setattr(module, "HEAD_GROUPS", 2)
    monkeypatch.setattr(Vision, "_pieces", lambda _self, count, pairs, _products: pieces(count, piece // pairs))
    prepared = eyes.prepare(picture(tmp_path, 512, 480))
    (_, rows, columns) = prepared.grid_thw
    (pixels,) = patches(prepared, eyes.processors, eyes.config)
    gc.collect()
    weights = (eyes._stem, eyes._grid, eyes._merger, *eyes._blocks)
    with _Peak([pixels, *(tensor for part in weights for tensor in part.fetch())]) as peak, torch.no_grad():
        eyes._tower(pixels.unsqueeze(0), rows, columns, lambda: None)
    calculated = 2 * vision_bytes(eyes.config, rows * columns)  # this one computes in fp32 and not in bf16
    assert 0.4 * calculated < peak.most <= calculated


def pieces(count: int, each: int) -> list[slice]:
    return [slice(begin, min(begin + each, count)) for begin in range(0, count, each)]


def test_a_parked_tower_sees_the_same_and_takes_nothing_on_the_device(parley: LoadedModel, tmp_path: Path) -> None:
    eyes = parley.vision
    assert eyes is not None
    values = {
        name.removeprefix("model.visual."): torch.randn(shape) for name, shape in vision_shapes(eyes.config).items()
    }
    resident, parked = (
        Vision(eyes.config, eyes.processors, values.__getitem__, CPU, torch.float32, parked=parked)
        for parked in (False, True)
    )
    media = resident.prepare(picture(tmp_path, 130, 90))
    assert torch.equal(resident.encode(media), parked.encode(media))
    assert resident.nbytes == sum(value.nbytes for value in values.values())
    assert parked.nbytes == 0

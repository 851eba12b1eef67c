"""Positions and rotary turns against transformers."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.config import read_config
from app.engine.rope import Rope, VisionSpan, prompt_positions, text_positions, turn
from tests.checkpoints import Made

PART = st.one_of(
    st.integers(1, 20),
    st.tuples(st.just("image"), st.just(1), st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.just("video"), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
)


def transformers_positions(ids: list[int], images: list[list[int]], videos: list[list[int]]) -> tuple[Any, int]:
    from tests.foreign import modeling_qwen3_5

    fake = SimpleNamespace(
        config=SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=2)),
        get_vision_position_ids=partial(modeling_qwen3_5.Qwen3_5Model.get_vision_position_ids, None),
    )
    positions, delta = modeling_qwen3_5.Qwen3_5Model.get_rope_index(
        fake,
        input_ids=torch.tensor([ids]),
        mm_token_type_ids=torch.tensor([ids]),
        image_grid_thw=torch.tensor(images) if images else None,
        video_grid_thw=torch.tensor(videos) if videos else None,
    )
    return positions[:, 0], int(delta)


@settings(max_examples=60, deadline=None)
@given(st.lists(PART, min_size=1, max_size=6))
def test_positions_are_those_of_transformers(parts: list[Any]) -> None:
    ids: list[int] = []  # 0 text, 1 image, 2 video: also what transformers calls token types
    spans: list[VisionSpan] = []
    images: list[list[int]] = []
    videos: list[list[int]] = []
    for part in parts:
        if isinstance(part, int):
            ids += [0] * part
            continue
        kind, pairs, rows, columns = part
        (images if kind == "image" else videos).append([pairs, rows * 2, columns * 2])
        for _ in range(pairs):
            ids.append(0)  # vision_start always stands between
            spans.append(VisionSpan(len(ids), rows * 2, columns * 2))
            ids += [1 if kind == "image" else 2] * (rows * columns) + [0]
    positions, delta = prompt_positions(len(ids), spans, 2)
    wanted, wanted_delta = transformers_positions(ids, images, videos)
    assert torch.equal(positions, wanted)
    assert delta == wanted_delta


def test_generated_tokens_count_on() -> None:
    positions, delta = prompt_positions(20, [VisionSpan(3, 8, 4)], 2)
    following = text_positions(20, 22, delta)
    assert following.shape == (3, 2)
    assert following[0].tolist() == [int(positions.max()) + 1, int(positions.max()) + 2]


def test_turns_are_those_of_transformers(made: Made, reference: Any) -> None:
    from tests.foreign import modeling_qwen3_5

    config = read_config(made.folder).text
    positions, _ = prompt_positions(40, [VisionSpan(5, 8, 8)], 2)
    q = torch.randn(40, config.heads, config.head_dim, generator=torch.Generator().manual_seed(0))
    cos, sin = reference.model.language_model.rotary_emb(q, positions[:, None])
    wanted, _ = modeling_qwen3_5.apply_rotary_pos_emb(q.transpose(0, 1)[None], q.transpose(0, 1)[None], cos, sin)
    mine = turn(q, *Rope(config, torch.device("cpu")).turns(positions))
    assert torch.allclose(mine, wanted[0].transpose(0, 1), atol=1e-6)

"""What the demo model is trained on is what it is asked later: the same ids, the same pixels, the same functions."""

import copy
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.packaging.demo import (
    AutoProcessor,
    VideoMetadata,
    batches,
    conversations,
    drawing,
    kernels,
    model,
    optimizer,
    pictures,
    prompts,
    train,
    videos,
    vocabulary,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("demo")
    tokenizer = vocabulary.train(count=60)
    model.write_companions(made, tokenizer)
    model.config(tokenizer).save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def processor(folder: Path) -> Any:
    load: Any = AutoProcessor.from_pretrained
    return load(folder)


@pytest.fixture
def plain_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the functions back that `kernels.install` replaces."""
    for owner, name, _ in kernels.REPLACED:
        monkeypatch.setattr(owner, name, getattr(owner, name))


def messages(talk: conversations.Conversation, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if talk.system is not None:
        found.append({"role": "system", "content": talk.system})
    for turn in talk.turns:
        media = [{"type": kind}] if turn.media else []
        found.append({"role": "user", "content": [*media, {"type": "text", "text": turn.user}]})
        found.append({"role": "assistant", "content": turn.spoken(direct=talk.direct)})
    return found[:-1]


def preparing(folder: Path, processor: Any) -> Any:
    """A trainer without a network: enough to draw and preprocess."""
    made = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32, folder=folder)
    made.images, made.videos = processor.image_processor, processor.video_processor
    return made


def drawn(scenes: list[pictures.Scene]) -> Any:
    return drawing.draw(drawing.sketch(scenes), torch.device("cpu")).permute(0, 2, 3, 1).numpy()


def batch_of(kind: str, scenes: list[pictures.Scene], grid: tuple[int, int, int]) -> batches.Batch:
    empty = np.zeros((1, 64), np.int64)
    return batches.Batch(kind, empty, empty, empty, empty, empty > 0, empty, empty, [], drawing.sketch(scenes), grid)


@pytest.mark.parametrize("seed", range(4))
def test_pictures_are_prepared_as_the_processor_does(folder: Path, processor: Any, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    frame = batches.any_frame(rng, 64, 300)
    talk, grid = pictures.conversation(rng, frame, 1 + seed % 2), batches.image_grid(frame)
    scenes = [scene for scene in talk.media if isinstance(scene, pictures.Scene)]
    for scene in scenes:
        scene.noise = 0.0
    encoded = prompts.Encoder(vocabulary.load(folder)).encode(
        talk, [prompts.Placeholder(grid[1] * grid[2] // 4)] * len(scenes)
    )
    text = processor.apply_chat_template(
        messages(talk, "image"), add_generation_prompt=True, enable_thinking=not talk.direct
    )
    wanted = processor(text=[text], images=list(drawn(scenes)), return_tensors="pt")
    assert encoded.ids[: encoded.answer_from] == wanted["input_ids"][0].tolist()
    assert encoded.kinds[: encoded.answer_from] == wanted["mm_token_type_ids"][0].tolist()
    pixels = train.Trainer.pixels(preparing(folder, processor), batch_of("picture", scenes, grid))
    assert torch.equal(pixels, wanted["pixel_values"])
    assert wanted["image_grid_thw"].tolist() == [list(grid)] * len(scenes)


@pytest.mark.parametrize("seed", range(4))
def test_videos_are_prepared_as_the_processor_does(folder: Path, processor: Any, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    frame, timing = batches.any_frame(rng, 64, 160), videos.Timing(rng.choice((10.0, 25.0, 29.97)), 14 + 17 * seed)
    talk, sampled = videos.conversation(rng, frame.height, frame.width, timing), timing.sampled()
    (clip,) = (item for item in talk.media if isinstance(item, videos.Clip))
    for scene in clip.frames:
        scene.noise = 0.0
    grid = batches.video_grid(frame, len(sampled))
    encoded = prompts.Encoder(vocabulary.load(folder)).encode(
        talk, [prompts.Placeholder(grid[1] * grid[2] // 4, tuple(timing.stamps()))]
    )
    whole = np.zeros((timing.total, frame.height, frame.width, 3), np.uint8)
    whole[sampled] = drawn(clip.frames)
    text = processor.apply_chat_template(
        messages(talk, "video"), add_generation_prompt=True, enable_thinking=not talk.direct
    )
    data = VideoMetadata(total_num_frames=timing.total, fps=timing.fps, duration=timing.total / timing.fps)
    wanted = processor(text=[text], videos=[whole], video_metadata=[data], return_tensors="pt")
    assert encoded.ids[: encoded.answer_from] == wanted["input_ids"][0].tolist()
    scenes = clip.frames + clip.frames[-1:] * (len(sampled) % 2)
    pixels = train.Trainer.pixels(preparing(folder, processor), batch_of("video", scenes, grid))
    assert torch.equal(pixels, wanted["pixel_values_videos"])


@pytest.mark.usefixtures("plain_functions")
def test_the_faster_functions_compute_the_same(folder: Path) -> None:
    network, _ = model.build(vocabulary.load(folder))
    inner, generator = network.model, torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    ids = torch.randint(0, 1000, (2, 128), generator=generator)
    pixels, weights = torch.randn(2 * 48, 1536, generator=generator), torch.randn(model.HIDDEN, generator=generator)

    def outcome(**more: Any) -> torch.Tensor:
        inner.zero_grad()
        language: Any = inner.language_model
        hidden = language(inputs_embeds=language.embed_tokens(ids), use_cache=False).last_hidden_state
        seen = inner.visual(pixels, grid_thw=torch.tensor([[2, 6, 8]]), **more).pooler_output
        torch.autograd.backward((hidden @ weights).sum() + (seen @ weights).sum())
        gradients = [p.grad.flatten() for p in inner.parameters() if p.grad is not None]
        return torch.cat([hidden.detach().flatten(), seen.detach().flatten(), *gradients])

    plain = copy.deepcopy(outcome())
    kernels.install()
    assert ((outcome(frame_patches=48) - plain).norm() / plain.norm()).item() < 1e-4


def test_a_step_moves_against_the_gradient() -> None:
    torch.manual_seed(0)
    table, matrix = (torch.nn.Parameter(torch.randn(4, 8)) for _ in range(2))
    named = {"embed_tokens.weight": table, "layer.weight": matrix}
    moved = optimizer.Optimizer(named, 0.02, 0.02, 0.0)
    moved.factor.fill_(1.0)
    losses = []
    for _ in range(30):
        loss = (table @ matrix.T - torch.eye(4)).square().sum()
        torch.autograd.backward(loss)
        moved.step()
        losses.append(loss.item())
        assert all(p.grad is not None and not p.grad.any() for p in named.values())
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("kind", batches.KINDS)
def test_batches_have_known_shapes(folder: Path, kind: str) -> None:
    source = batches.batches(kind, vocabulary.load(folder), 3, 3072)
    for batch in (next(source) for _ in range(3)):
        rows, length = batch.ids.shape
        assert rows * length <= 3072
        assert not length % kernels.CHUNK
        assert batch.positions.shape == (3, rows, length)
        said = batch.targets != prompts.IGNORED
        assert np.array_equal(batch.ids.ravel()[batch.picks[said] + 1], batch.targets[said])
        assert (batch.sketch is None) == (kind == "text")


def test_digits_stand_alone_and_a_few_ids_are_none(folder: Path) -> None:
    tokenizer = vocabulary.load(folder)
    assert tokenizer.encode("2048").tokens == ["2", "0", "4", "8"]
    text: Any = model.config(tokenizer).text_config
    assert text.vocab_size - tokenizer.get_vocab_size() == vocabulary.INVALID
    assert tokenizer.decode(tokenizer.encode("Zażółć 🙂 漢字").ids) == "Zażółć 🙂 漢字"


def test_sums_are_worked_out_correctly() -> None:
    rng = random.Random(5)  # noqa: S311
    for _ in range(300):
        turn = conversations.arithmetic(rng)
        left, right = turn.answer.rstrip(".").split(" = ")
        a, sign, b = left.split()
        assert int(right) == (int(a) + int(b) if sign == "+" else int(a) - int(b))
        assert turn.thinking.rstrip(".").endswith(right)


def test_a_story_is_long_and_ends(folder: Path) -> None:
    told = conversations.story_turn(random.Random(2)).answer  # noqa: S311
    assert told.endswith("The end.")
    assert len(vocabulary.load(folder).encode(told).ids) >= 2000

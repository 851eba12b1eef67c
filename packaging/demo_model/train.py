"""Trains the demo model within a given time.

    python -m demo_model.train FOLDER --seconds 900 [--piece 500] [--start WEIGHTS] [--tokens 16384] [--workers 10]

FOLDER holds the tokenizer (made there if missing) and receives the weights in transformers' format: `branch` when the
learning rate begins to fall, from which a later training can go on, and `model` at the end. With `--piece`, the
training stops after so many seconds with everything in FOLDER/state.safetensors, and the same command goes on from
there. On a GPU the work on each shape of batch is recorded as a CUDA graph and repeated, because the model is so small
that launches cost the most.
"""

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from transformers import AutoProcessor, Qwen3_5ForConditionalGeneration
from transformers.image_utils import SizeDict
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.vision_utils import get_vision_interpolation_indices_and_weights, get_vision_position_ids

from demo_model import drawing, kernels, model, vocabulary
from demo_model.batches import KINDS, Batch, Source
from demo_model.optimizer import Optimizer
from demo_model.prompts import IGNORED

PATTERN = ("picture", "text", "picture", "video")
LONGEST_STEP = 1.0
"""Seconds that a step counts at most: what goes into warming up, or a machine that was stopped, is not training."""
MTP_WEIGHT = 0.3
WARM_UP = 0.02
SHARD = "15MB"
NO_MASKS: dict[str, None] = {"full_attention": None, "linear_attention": None}


@dataclass(slots=True)
class Inputs:
    """A batch on the device; see `Batch`."""

    ids: Tensor
    positions: Tensor
    picks: Tensor
    targets: Tensor
    further: Tensor
    media: Tensor
    pixels: Tensor | None
    grid: tuple[int, int, int]

    def take(self, other: "Inputs") -> None:
        """Overwrite these tensors in place."""
        for name in ("ids", "positions", "picks", "targets", "further", "media", "pixels"):
            mine, new = getattr(self, name), getattr(other, name)
            if mine is not None:
                mine.copy_(new, non_blocking=True)


class Trainer:
    """The network, its MTP layer and what turns a batch into a loss."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype, self.folder = device, dtype, folder
        self.tokenizer = vocabulary.load(folder)
        network, mtp = model.build(self.tokenizer)
        place: Any = network.to
        self.network: Qwen3_5ForConditionalGeneration = place(device, dtype)
        self.mtp = mtp.to(device, dtype)
        load: Any = AutoProcessor.from_pretrained
        processor = load(folder)
        self.images, self.videos = processor.image_processor, processor.video_processor
        self._grids: dict[tuple[int, int], tuple[Tensor, Tensor, Tensor]] = {}

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """All weights by their names in the checkpoint."""
        return dict(self.network.named_parameters()) | {f"mtp.{name}": p for name, p in self.mtp.named_parameters()}

    def pixels(self, batch: Batch) -> Tensor:
        """The batch's media, drawn and put through the processors' own steps: [patches, 1536]."""
        if batch.sketch is None:
            raise ValueError("a batch without media")
        drawn = drawing.draw(batch.sketch, self.device)
        if batch.kind == "picture":
            tool: Any = self.images
            images = tool.resize(drawn, tool.size, tool.resample, factor=32)
            images = tool.rescale_and_normalize(
                images, True, 1 / 255, True, tuple(tool.image_mean), tuple(tool.image_std)
            )
            patches = tool.patchify(images, 16, 2, 2)[0]
        else:
            tool = self.videos
            rows, columns = (16 * side for side in batch.grid[1:])
            frames = BaseVideoProcessor.resize(
                tool, drawn, SizeDict(height=rows, width=columns), resample=tool.resample
            )
            frames = tool.rescale_and_normalize(
                frames, True, 1 / 255, True, tuple(tool.image_mean), tuple(tool.image_std)
            )
            patches = tool.patchify(frames.reshape(-1, 2 * batch.grid[0], *frames.shape[1:]), 16, 2, 2)[0]
        flat: Tensor = patches.reshape(-1, patches.shape[-1]).to(self.dtype)
        return flat

    def inputs(self, batch: Batch) -> Inputs:
        """The batch on the device, its media drawn."""
        arrays = (batch.ids, batch.positions, batch.picks, batch.targets, batch.further, batch.media)
        ids, positions, picks, targets, further, media = (self.tensor(values) for values in arrays)
        pixels = self.pixels(batch) if batch.sketch is not None else None
        return Inputs(ids, positions, picks, targets, further, media, pixels, batch.grid)

    def tensor(self, values: Any) -> Tensor:
        """An array on the device, without waiting."""
        found = torch.from_numpy(values)
        return found.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else found

    def prepare_grid(self, grid: tuple[int, int, int]) -> None:
        """Where the patches of one frame lie, for the vision tower; kept on the device."""
        _, rows, columns = grid
        if (rows, columns) not in self._grids:
            one, side = torch.tensor([[1, rows, columns]]), self.network.model.visual.num_grid_per_side
            found = get_vision_interpolation_indices_and_weights(one, side, align_corners=True, spatial_merge_size=2)
            moved = [value.to(self.device) for value in (*found, get_vision_position_ids(one, 2))]
            self._grids[rows, columns] = moved[0], moved[1], moved[2]

    def seen_media(self, pixels: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """What the vision tower makes of a batch's media: [media tokens, H]."""
        _, rows, columns = grid
        count = len(pixels) // (rows * columns)
        indices, weights, places = (value.repeat(count, 1) for value in self._grids[rows, columns])
        extra = {
            "interp_indices": indices,
            "interp_weights": weights,
            "position_ids": places,
            "frame_patches": rows * columns,
        }
        out: Tensor = self.network.model.visual(
            pixels, grid_thw=torch.tensor([[count, rows, columns]]), **extra
        ).pooler_output
        return out

    def see(self, given: Inputs, *, with_mtp: bool = True) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and [picks] whether the right token was the best."""
        language = self.network.model.language_model
        embedded = language.embed_tokens(given.ids)
        if given.pixels is not None:
            media = self.seen_media(given.pixels, given.grid).to(embedded.dtype)
            embedded = embedded.view(-1, embedded.shape[-1]).index_copy(0, given.media, media).view_as(embedded)
        hidden = language(
            inputs_embeds=embedded, position_ids=given.positions, attention_mask=NO_MASKS, use_cache=False
        ).last_hidden_state
        chosen = hidden.reshape(-1, hidden.shape[-1]).index_select(0, given.picks)
        logits = self.network.lm_head(chosen).float()
        loss = functional.cross_entropy(logits, given.targets, ignore_index=IGNORED)
        if with_mtp:
            loss = loss + MTP_WEIGHT * self.mtp_loss(given, embedded.detach(), hidden.detach())
        return loss, logits.detach().argmax(-1) == given.targets

    def mtp_loss(self, given: Inputs, embedded: Tensor, hidden: Tensor) -> Tensor:
        """The loss of predicting one token further; the network itself learns nothing from it."""
        angles = self.network.model.language_model.rotary_emb(hidden, given.positions)
        ahead = self.mtp(embedded.roll(-1, 1), hidden, angles)
        chosen = ahead.reshape(-1, ahead.shape[-1]).index_select(0, given.further)
        logits = (chosen @ self.network.lm_head.weight.detach().T).float()
        return functional.cross_entropy(logits, given.targets, ignore_index=IGNORED)

    def load(self, start: Path) -> None:
        """Take the weights from a folder that `save` wrote."""
        found: dict[str, Tensor] = {}
        for path in start.glob("*.safetensors"):
            found |= load_file(path)
        with torch.no_grad():
            for name, parameter in self.parameters().items():
                parameter.copy_(found[name])

    def save(self, out: Path) -> None:
        """The weights in transformers' format, with the MTP layer beside them."""
        self.network.save_pretrained(out, max_shard_size=SHARD)
        save_file(
            {f"mtp.{name}": value.contiguous() for name, value in self.mtp.state_dict().items()},
            out / "mtp.safetensors",
            {"format": "pt"},
        )
        model.write_companions(out, self.tokenizer)


class Recorder:
    """Runs work on the device; on a GPU it is recorded the second time it comes, and repeated from then on."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._seen: set[object] = set()
        self._graphs: dict[object, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None
        stream: Any = torch.cuda.Stream
        self._stream = stream() if self._cuda else None

    def run(self, key: object, work: Callable[[], None]) -> None:
        """Do the work that `key` names; its tensors must stay where they are."""
        if not self._cuda:
            work()
        elif key in self._graphs:
            self._graphs[key].replay()
        elif key in self._seen:
            self._record(key, work)
        else:
            self._seen.add(key)
            self.aside(work)

    def give_up(self) -> None:
        """Record nothing any more."""
        self._cuda = False
        self._graphs.clear()

    def aside(self, work: Callable[[], None]) -> None:
        """Do the work on the stream on which it is recorded."""
        stream: Any = self._stream
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)

    def _record(self, key: object, work: Callable[[], None]) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except RuntimeError as problem:
            print(f"not recorded: {str(problem)[:300]}", flush=True)
            self.give_up()
            torch.cuda.synchronize()
            work()
            return
        self._pool = self._pool or graph.pool()
        self._graphs[key] = graph
        graph.replay()

    def __len__(self) -> int:
        return len(self._graphs)


class Learner:
    """One optimizer step after another from batches of all kinds."""

    def __init__(self, trainer: Trainer, optimizer: Optimizer) -> None:
        self._trainer, self._optimizer = trainer, optimizer
        self.recorder = Recorder(trainer.device)
        self._slots: dict[object, Inputs] = {}
        self.shares = {kind: torch.zeros(2, device=trainer.device) for kind in KINDS}

    def learn(self, batch: Batch) -> None:
        """Add a batch's gradient."""
        trainer, fresh = self._trainer, self._trainer.inputs(batch)
        trainer.prepare_grid(batch.grid)
        slot = self._slots.setdefault(batch.shape, fresh)
        if slot is not fresh:
            slot.take(fresh)
        share = self.shares[batch.kind]

        def work() -> None:
            loss, right = trainer.see(slot)
            torch.autograd.backward(loss)
            share.add_(torch.stack([right.sum().float(), (slot.targets != IGNORED).sum().float()]))

        before = len(self.recorder)
        self.recorder.run(batch.shape, work)
        if not before and len(self.recorder):
            self._compare(batch.shape, work)

    def _compare(self, key: object, work: Callable[[], None]) -> None:
        """See that the first recording gives the gradient that the work itself gives; else record nothing."""
        found = []
        for run in (self.recorder.aside, lambda each: self.recorder.run(key, each)):
            torch._foreach_zero_(self._optimizer.gradients)
            run(work)
            found.append(torch.cat([gradient.flatten().float() for gradient in self._optimizer.gradients]))
        error = ((found[1] - found[0]).norm() / found[0].norm()).item()
        print(f"recorded gradient: relative error {error:.1e}", flush=True)
        if not error < 0.05:
            self.recorder.give_up()

    def step(self, rate: float) -> None:
        """Move the weights."""
        self._optimizer.factor.fill_(rate)
        self.recorder.run("step", self._optimizer.step)

    def save(self, path: Path, step: int, spent: float) -> None:
        """Everything that `restore` needs, with how far the training is."""
        save_file(self._optimizer.state(), path, {"step": str(step), "spent": str(spent)})

    def restore(self, path: Path) -> tuple[int, float]:
        """Go on from `path`: the steps done and the seconds spent so far."""
        with safe_open(path, "pt") as file:
            self._optimizer.restore({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            about = file.metadata()
        return int(about["step"]), float(about["spent"])

    def report(self) -> str:
        """The share of wrong tokens by kind since the last report."""
        shown = "  ".join(f"{kind} {(1 - pair[0] / pair[1]).item():.5f}" for kind, pair in self.shares.items())
        for pair in self.shares.values():
            pair.zero_()
        return shown


def accuracy(trainer: Trainer, source: Source, rounds: int) -> str:
    """Shares by task of last answers that greedy decoding would give word for word, thinking included."""
    counts: dict[str, list[int]] = {}
    with torch.no_grad():
        for kind in (kind for kind in KINDS for _ in range(rounds)):
            batch = source.next(kind)
            trainer.prepare_grid(batch.grid)
            right = trainer.see(trainer.inputs(batch), with_mtp=False)[1].cpu().numpy()
            rows = batch.picks // batch.ids.shape[1]
            wrong = set(np.unique(rows[batch.finals & ~right & (batch.targets != IGNORED)]))
            for at, task in enumerate(batch.tasks):
                entry = counts.setdefault(task, [0, 0])
                entry[0] += at not in wrong
                entry[1] += 1
    return "  ".join(f"{task} {100 * good / total:.1f}%/{total}" for task, (good, total) in sorted(counts.items()))


def factor(share: float, hold: float) -> float:
    """The learning rate's factor when this share of the training is done: rise, hold until `hold`, fall to zero."""
    if share < WARM_UP:
        return share / WARM_UP
    return min(1.0, max(0.0, (1 - share) / (1 - hold)))


def sources(given: argparse.Namespace) -> tuple[Source, Source]:
    """Training batches from worker processes, which must start before the GPU is touched, and held-out ones."""
    parts = zip(KINDS, (0.55, 0.2, 0.25), strict=True)
    workers = {kind: max(1, round(given.workers * part)) for kind, part in parts} if given.workers else {}
    file = str(given.folder / "tokenizer.json")
    training = Source(file, random.Random().randrange(10**6) + 10**6, given.tokens, workers)
    return training, Source(file, 7, given.tokens, {})


def run(trainer: Trainer, source: Source, held_out: Source, given: argparse.Namespace) -> None:
    """The whole training."""
    learner = Learner(trainer, Optimizer(trainer.parameters(), given.muon, given.adam, given.decay))
    kept = given.folder / "state.safetensors"
    step, now = learner.restore(kept) if kept.exists() else (0, 0.0)
    begin, branched, next_look = now, now > given.hold * given.seconds, now + given.look
    last = before = time.monotonic()
    while now < given.seconds:
        learner.learn(source.next(PATTERN[step % len(PATTERN)]))
        learner.step(factor(now / given.seconds, given.hold))
        step += 1
        before, took = time.monotonic(), time.monotonic() - before
        now += min(took, LONGEST_STEP)
        if given.piece and now - begin > given.piece:
            learner.save(kept, step, now)
            print(f"{now:6.0f} s  step {step}  the same command goes on from here", flush=True)
            return
        if step % given.report == 0:
            shown, moment = learner.report(), time.monotonic()
            pace = f"{1000 * (moment - last) / given.report:.0f} ms  {len(learner.recorder)} recorded"
            print(f"{now:6.0f} s  step {step}  {pace}  token error: {shown}  ready {source.waiting()}", flush=True)
            last = moment
        if now > next_look:
            print(f"{now:6.0f} s  {accuracy(trainer, held_out, given.rounds)}", flush=True)
            next_look, last = now + given.look, time.monotonic()
        if now > given.hold * given.seconds and not branched:
            trainer.save(given.folder / "branch")
            branched = True
    trainer.save(given.folder / "model")
    kept.unlink(missing_ok=True)
    print(f"end  step {step}  token error: {learner.report()}", flush=True)
    if given.rounds:
        print(accuracy(trainer, held_out, given.rounds), flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=900, help="the whole training, however many pieces it has")
    parser.add_argument("--piece", type=float, help="stop after so many seconds, to go on later")
    parser.add_argument("--tokens", type=int, default=24576)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--muon", type=float, default=0.012)
    parser.add_argument("--adam", type=float, default=0.003)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--report", type=int, default=100)
    parser.add_argument("--look", type=float, default=60)
    parser.add_argument(
        "--hold", type=float, default=0.35, help="share of the training at the full rate; then `branch` is saved"
    )
    parser.add_argument("--start", type=Path, help="begin with the weights of this folder")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    if not (given.folder / "tokenizer.json").exists():
        vocabulary.write(given.folder, vocabulary.train())
    model.write_companions(given.folder, vocabulary.load(given.folder))
    source, held_out = sources(given)
    cuda = torch.cuda.is_available()
    torch.backends.cuda.matmul.allow_tf32 = False
    trainer = Trainer(given.folder, torch.device("cuda" if cuda else "cpu"), torch.bfloat16 if cuda else torch.float32)
    kernels.install()
    if given.start:
        trainer.load(given.start)
    run(trainer, source, held_out, given)


if __name__ == "__main__":
    main()

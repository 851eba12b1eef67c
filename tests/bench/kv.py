"""Keys and values in bytes, and long contexts, on the 27B's shapes on this GPU.

    python -m tests.bench.kv [attention] [decode] [quality] [prefill] [--tokens 300000]     in the repository's root

    attention   the kernels' checks, 8 query heads to a key head among them; a token's attention over up to 1,010,000
                tokens, against plain torch and against the time to read them; a chunk's attention in pieces
    decode      a token of the synthetic 27B behind 262,144 tokens at 16 bits and 1,010,000 in bytes with YaRN 4
    quality     Kullback-Leibler divergence of bytes against 16 bits, the synthetic 27B, 4,096 and 16,384 tokens
    prefill     a prompt of 300,000 tokens, really read, with YaRN 4 into bytes; then tokens behind it

Without names all but `prefill`, which takes about 80 s of its own on an H100. Writes all figures to $OUT/kv.json, or to
the working folder.
"""

import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.attention import attend
from app.engine.byte_rows import ByteRows
from app.engine.cache import KvBits, TensorState
from app.engine.config import stretched
from app.engine.kernels.check import attention_in_bytes, error
from app.engine.kernels.decode import Decoder, attention_bytes
from app.engine.kernels.prefill import Prefill
from app.engine.kernels.runtime import CudaKernels, Kernels
from app.engine.model import TextModel
from app.engine.rope import text_positions
from app.engine.sizes import CHUNK
from tests.bench.synthetic import BIG, SyntheticWeights

FURTHEST = 1_010_000
KV_HEADS, GROUP, WIDTH = 4, 6, 256
UNEVEN = 3.0


class Found:
    """Figures and lines about them. A part that fails is told, and the others go on."""

    def __init__(self) -> None:
        self.device = torch.device("cuda", 0)
        self.figures: dict[str, Any] = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__}
        self.right = True

    def say(self, line: str) -> None:
        """Show a line now."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def part(self, name: str, work: Callable[..., None], *given: Any) -> None:
        """Do a part."""
        began = time.monotonic()
        try:
            work(*given)
        except Exception:  # noqa: BLE001 - this program's one broad except
            self.right = False
            self.say(f"{name} FAILED\n{traceback.format_exc()}")
        torch.cuda.empty_cache()
        self.say(f"-- {name}: {time.monotonic() - began:.1f} s")
        out = Path(os.environ.get("OUT", ".")) / "kv.json"
        out.write_text(json.dumps(self.figures, indent=1), encoding="utf-8")


def fill(state: TensorState) -> None:
    """Keys and values as if the whole context had been read."""
    for plane in state.planes:
        plane.random_(-127, 128) if plane.dtype == torch.int8 else plane.normal_(std=1.0)
    for scales in (*state.key_scales, *state.value_scales):
        scales.fill_(1 / 73)


def milliseconds(work: Callable[[], object], times: int = 7) -> float:
    """Median time of single launches."""
    work()
    spans = []
    for _ in range(times):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        spans.append(float(start.elapsed_time(end)))
    return statistics.median(spans)


def check(found: Found, kernels: Kernels) -> None:
    """The kernels of bytes on small and odd lengths, 6 and 8 query heads to a key head."""
    generator = torch.Generator(found.device)
    generator.seed()
    eight = CudaKernels(found.device, group=8, cache=None)
    for group, those in ((GROUP, kernels), (8, eight)):
        for length in (0, 1, 63, 127, 1000, 20_000):
            for checked in attention_in_bytes(those, generator, 2, group, length):
                found.right &= checked.right
                if not checked.right or ":" not in checked.name:
                    verdict = "right" if checked.right else "WRONG"
                    found.say(f"{verdict} {checked.name}, {group} heads to a key: {checked.error:.1e}")


def one_token(found: Found, kernels: Kernels, length: int, bits: KvBits) -> None:
    """A token's attention over `length` tokens of one layer: its time, and for bytes what plain torch says."""
    device, heads = found.device, KV_HEADS * GROUP
    shape = (KV_HEADS, length, WIDTH)
    if bits == 8:
        codes = [torch.randint(-127, 128, shape, dtype=torch.int8, device=device) for _ in range(2)]
        scales = [torch.rand(*shape[:2], 4, device=device).div_(36).bfloat16() for _ in range(2)]
        planes = [*codes, *scales]
    else:
        planes = [torch.randn(shape, device=device, dtype=torch.bfloat16) for _ in range(2)]
    q = torch.randn(1, heads, WIDTH, device=device).bfloat16()
    mixed = torch.zeros((2 * heads + 2 * KV_HEADS) * WIDTH, device=device).bfloat16()
    mixed.view(-1)[: 2 * heads * WIDTH].view(heads, 2, WIDTH)[:, 1] = 100.0  # a gate that is open
    splits = max(1, kernels.gpu.multiprocessors // KV_HEADS)
    shares = torch.full((splits, heads, WIDTH), torch.nan, device=device)
    peaks, y = torch.full((splits, heads, 2), torch.nan, device=device), torch.empty_like(q)
    cursor = torch.tensor([length - 1, length - 1], dtype=torch.int32, device=device)
    name = "attend" if bits == 16 else "attend_8"

    def launch() -> None:
        kernels[name]((splits, KV_HEADS), 256, attention_bytes(GROUP), q, *planes, cursor, shares, peaks, length)

    took = milliseconds(launch)
    kernels["gather"]((heads, 1), 256, 0, shares, peaks, mixed, cursor, y, splits)
    size = sum(plane.nbytes for plane in planes)
    off = 0.0
    if bits == 8:
        wanted = attend(q.float(), *(ByteRows(*pair) for pair in zip(codes, scales, strict=True)))
        off = error(y, wanted.double())
        found.right &= off < 0.012
    found.figures[f"attention, {bits} bits, {length}"] = {"ms": took, "bytes": size, "error": off}
    beside = f", off by {off:.1e}{'' if off < 0.012 else ' WRONG'}" if bits == 8 else ""
    found.say(f"a token over {length:,} tokens, {bits} bits: {took * 1e3:.1f} µs, {size / took / 1e6:.0f} GB/s{beside}")


def one_chunk(found: Found, total: int) -> None:
    """A chunk's attention behind many tokens: whole, as numbers; and in pieces, from bytes."""
    shape, device = (KV_HEADS, total, WIDTH), found.device
    q = torch.randn(CHUNK, KV_HEADS * GROUP, WIDTH, device=device).bfloat16()
    keys, values = (
        ByteRows(
            torch.randint(-127, 128, shape, dtype=torch.int8, device=device),
            torch.rand(*shape[:2], 4, device=device).div_(36).bfloat16(),
        )
        for _ in range(2)
    )
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    took = milliseconds(lambda: attend(q, keys, values), 3)
    peak = torch.cuda.max_memory_allocated() - before
    wide = [rows.wide(torch.bfloat16) for rows in (keys, values)]
    whole = milliseconds(lambda: attend(q, *wide), 3)
    off = error(attend(q, keys, values), attend(q, *wide).double())
    found.right &= off < 0.012
    found.figures[f"chunk, {total}"] = {"pieces ms": took, "whole ms": whole, "error": off, "bytes": peak}
    found.say(
        f"{CHUNK:,} tokens over {total:,}: {took:.2f} ms in pieces of bytes, {whole:.2f} ms over numbers "
        f"({took / whole:.2f}); {peak / 2**20:.0f} MiB; off by {off:.1e}{'' if off < 0.012 else ' WRONG'}"
    )


def attention_alone(found: Found, kernels: Kernels) -> None:
    """All that needs no model."""
    found.part("checks", check, found, kernels)
    lengths = (8192, 131_072, 262_144)
    for length in lengths:
        found.part(f"{length:,} at 16 bits", one_token, found, kernels, length, 16)
    for length in (*lengths, FURTHEST):
        found.part(f"{length:,} in bytes", one_token, found, kernels, length, 8)
    for total in (8192, 65_536, 300_000):
        found.part(f"a chunk behind {total:,}", one_chunk, found, total)


class Whole:
    """The synthetic 27B with YaRN 4, packed."""

    def __init__(self, found: Found, kernels: Kernels) -> None:
        began, self.found = time.monotonic(), found
        text = stretched(BIG.model, 4).text
        self.model = TextModel(text, SyntheticWeights(BIG, found.device), found.device, torch.bfloat16)
        self.decoder = Decoder(self.model, kernels)
        self.prefill = Prefill(self.model, kernels, *self.decoder.packed)
        torch.cuda.empty_cache()
        found.say(f"the 27B was made in {time.monotonic() - began:.1f} s")

    def token(self, state: TensorState, depth: int) -> float:
        """Milliseconds for one token, host and device, as the engine would do it but for sampling."""
        state.length = depth
        embedding = self.model.embed(torch.tensor([7]))[0]
        torch.cuda.synchronize()
        began = time.perf_counter()
        logits = self.decoder.step(embedding, depth, state)
        torch.cuda.synchronize()
        took = (time.perf_counter() - began) * 1e3
        if not torch.isfinite(logits).all():
            raise ValueError(f"logits that are no numbers behind {depth} tokens")
        return took

    def depths(self, capacity: int, bits: KvBits, depths: tuple[int, ...]) -> None:
        """Tokens at several depths of one cache."""
        state = self.model.new_state(capacity, bits)
        fill(state)
        for depth in depths:
            took = statistics.median([self.token(state, depth) for _ in range(10)][2:])
            size = self.decoder.nbytes_a_token + depth * state.row_bytes
            self.found.figures[f"27B, {bits} bits, {depth}"] = {"ms": took, "bytes": size}
            self.found.say(
                f"27B, {bits} bits, {depth:,} tokens deep: {took:.2f} ms = {1000 / took:.1f} tok/s, "
                f"{size / 1e9:.1f} GB a token, {size / took / 1e6:.0f} GB/s"
            )
        self.found.say(f"  the context of {capacity:,} tokens takes {state.nbytes / 2**30:.1f} GiB")

    def read(self, state: TensorState, ids: Tensor) -> Tensor:
        """Read a chunk."""
        begin = state.length
        return self.prefill.forward(self.model.embed(ids), text_positions(begin, begin + len(ids), 0), state)

    def long_prompt(self, tokens: int) -> None:
        """Read it all, and say how fast on the way."""
        state = self.model.new_state(max(tokens + 64, 512 * 1024), 8)
        torch.cuda.reset_peak_memory_stats()
        before, began, marks = torch.cuda.memory_allocated(), time.perf_counter(), []
        last, told = began, 0
        for ids in torch.split(torch.arange(tokens) * 7919 % self.model.config.vocab_size, CHUNK):
            logits = self.read(state, ids)
            if state.length - told >= 32 * CHUNK or state.length == tokens:
                torch.cuda.synchronize()
                now = time.perf_counter()
                marks.append((state.length, now - began, (state.length - told) / (now - last)))
                self.found.say(f"  {state.length:,} read after {marks[-1][1]:.1f} s, {marks[-1][2]:.0f} tok/s here")
                last, told = now, state.length
        peak = torch.cuda.max_memory_allocated() - before
        finite = bool(torch.isfinite(logits).all())
        self.found.right &= finite
        took = statistics.median([self.token(state, tokens + index) for index in range(10)][2:])
        self.found.figures[f"prompt of {tokens}"] = {"marks": marks, "bytes": peak, "then ms": took, "finite": finite}
        self.found.say(
            f"a prompt of {tokens:,} tokens in {marks[-1][1]:.1f} s, {peak / 2**20:.0f} MiB beside the rest; "
            f"then {1000 / took:.1f} tok/s; numbers: {'finite' if finite else 'WRONG'}"
        )

    def quality(self, tokens: int, steps: int = 32) -> None:
        """The same tokens with both caches, read in chunks and then one by one."""
        ids = torch.randint(
            0, self.model.config.vocab_size, (tokens + steps,), generator=torch.Generator().manual_seed(tokens)
        )
        ways: list[Tensor] = []
        order: tuple[KvBits, ...] = (16, 8)
        for bits in order:
            state, rows = self.model.new_state(tokens + steps, bits), []
            for piece in torch.split(ids[:tokens], CHUNK):
                logits = self.read(state, piece)
            for index in range(tokens, tokens + steps):
                rows.append(logits.double())
                logits = self.decoder.step(self.model.embed(ids[index : index + 1])[0], index, state)
            ways.append(torch.stack(rows))
        factor = UNEVEN / float(ways[0].std())
        exact, other = ((way * factor).log_softmax(-1) for way in ways)
        divergence = (exact.exp() * (exact - other)).sum(-1)
        same = float((exact.argmax(-1) == other.argmax(-1)).double().mean())
        mean, most = float(divergence.mean()), float(divergence.max())
        self.found.figures[f"quality, {tokens}"] = {"kl_mean": mean, "kl_max": most, "same_likeliest": same}
        self.found.say(f"bytes against 16 bits behind {tokens:,}: KL {mean:.1e}, at most {most:.1e}; {same:.0%} alike")


def main() -> int:
    """The parts that were named."""
    if not torch.cuda.is_available():
        sys.stdout.write("There is no CUDA GPU here; these kernels need one.\n")
        return 1
    named = [word for word in sys.argv[1:] if word.isalpha()] or ["attention", "decode", "quality"]
    tokens = int(sys.argv[sys.argv.index("--tokens") + 1]) if "--tokens" in sys.argv else 300_000
    torch.set_grad_enabled(False)
    found = Found()
    kernels = CudaKernels(found.device, group=GROUP, cache=None)
    if "attention" in named:
        attention_alone(found, kernels)
    made: list[Whole] = []
    if {"decode", "quality", "prefill"} & set(named):
        found.part("making the 27B", lambda: made.append(Whole(found, kernels)))
    for whole in made:
        if "decode" in named:
            found.part("16 bits", whole.depths, 262_144, 16, (8192, 131_072, 262_143))
            found.part("8 bits", whole.depths, FURTHEST, 8, (8192, 131_072, 262_143, FURTHEST - 1))
        for length in (4096, 16_384) if "quality" in named else ():
            found.part(f"quality behind {length:,}", whole.quality, length)
        if "prefill" in named:
            found.part(f"a prompt of {tokens:,}", whole.long_prompt, tokens)
    found.say("all right" if found.right else "SOMETHING IS WRONG")
    return 0 if found.right else 1


if __name__ == "__main__":
    sys.exit(main())

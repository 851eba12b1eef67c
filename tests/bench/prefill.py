"""Checks the kernels of many tokens on this GPU, then measures the 27B's prefill and what each kernel of it takes.

    python3 -m tests.bench.prefill [--checks]      in the repository's root; --checks does no more than the small checks

Prints a table last; writes all numbers as JSON to $OUT/prefill.json, or to the working folder. Every part stands by
itself: one that fails is told in the table, and the others go on.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from app.engine.attention import attend
from app.engine.kernels.check import Checked, Shape, error
from app.engine.kernels.decode import Decoder
from app.engine.kernels.prefill import Prefill
from app.engine.kernels.prefill_check import delta, dense, prefill_checks
from app.engine.kernels.runtime import CudaKernels, Kernels
from app.engine.model import TextModel
from app.engine.rope import text_positions
from tests.bench.decode import Bench
from tests.bench.synthetic import BIG, SMALL, Size, SyntheticWeights

LONGEST = 32_768
PRODUCTS = (
    (16_384, 5120, 48), (5120, 6144, 64), (14_336, 5120, 16), (34_816, 5120, 64), (5120, 17_408, 64),
)  # fmt: skip
"""Outputs, inputs, how many of them a prompt passes."""


class PrefillBench(Bench):
    """The same with a file of its own."""

    def write(self) -> None:
        """Everything so far, to disk."""
        path = Path(os.environ.get("OUT", ".")) / "prefill.json"
        path.write_text(json.dumps({**self.found, "table": self.lines}, indent=1, default=str), encoding="utf-8")


def check_shapes(bench: Bench, kernels: Kernels) -> None:
    """The model's own shapes, odd lengths, slow and fast decay."""
    generator = torch.Generator(bench.device)
    generator.seed()
    checks: list[Checked] = []
    for shape in (
        Shape(1040, 5120, 4, 64),
        Shape(1040, 5120, 8, 64),
        Shape(5120, 6144, 4, 64),
        Shape(512, 17_408, 4, 64),
    ):
        checks += dense(kernels, generator, shape)
    for length, pace in ((2, 1.0), (9, 0.01), (63, 1.0), (64, 50.0), (65, 1.0), (130, 200.0), (2048, 0.3), (700, 1e-4)):
        checks += delta(kernels, generator, (16, 48), length, pace)
    bench.verdict(checks)


def check_attention(bench: Bench) -> None:
    """The chunk behind a past, against fp32; and how much memory the longest takes: a mask would show."""
    device = bench.device
    for length, total in ((1, 70), (2, 2), (63, 700), (256, 4096), (2048, 2048)):
        q, (keys, values) = _normal(device, length, 24, 256), (_normal(device, 4, total, 256) for _ in range(2))
        mask = torch.ones(length, total, dtype=torch.bool, device=device).tril(total - length)
        k, v = (x.repeat_interleave(6, 0).float() for x in (keys, values))
        scores = (q.transpose(0, 1).float() @ k.mT / 16).masked_fill(~mask, float("-inf"))
        wanted = (scores.softmax(-1) @ v).transpose(0, 1)
        found = error(attend(q, keys, values), wanted.double())
        bench.say(f"attention of {length} after {total - length}: off by {found:.1e}{'' if found < 0.01 else ' WRONG'}")
    q, keys, values = _normal(device, 2048, 24, 256), _normal(device, 4, 262_144, 256), _normal(device, 4, 262_144, 256)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    attend(q, keys, values)
    bench.say(
        f"attention of 2048 after 260096: {(torch.cuda.max_memory_allocated() - before) / 2**20:.0f} MiB on the way"
    )


def time_attention(bench: Bench) -> None:
    """torch's backends on one layer: flash on all, cuDNN on what is before and on the chunk itself."""
    device, ops = bench.device, torch.ops.aten
    for total in (2048, 8192, LONGEST):
        q = _normal(device, 2048, 24, 256).transpose(0, 1).unsqueeze(0)
        k, v = (_normal(device, 4, total, 256).unsqueeze(0) for _ in range(2))
        work = 4 * 24 * 256 * 2048 * (total - 1024)
        flash, cudnn = ops._scaled_dot_product_flash_attention, ops._scaled_dot_product_cudnn_attention
        ways = {
            "flash": partial(flash, q, k, v, 0.0, True),
            "cuDNN, no mask": partial(cudnn, q, k, v, None, True, 0.0, False),
        }
        if total == 2048:
            ways["cuDNN, causal"] = partial(cudnn, q, k, v, None, True, 0.0, True)
        for name, way in ways.items():
            try:
                took = _milliseconds(way)
            except RuntimeError as refused:
                bench.say(f"  {name}, 2048 of {total}: {str(refused)[:100]}")
                continue
            flops = work if "no mask" not in name else 4 * 24 * 256 * 2048 * total
            bench.found[f"attention, {name}, 2048 of {total}"] = took
            bench.say(f"  {name}, 2048 of {total}: {took:.3f} ms, {flops / took / 1e9:.0f} TFLOP/s")


def time_products(bench: Bench) -> None:
    """Dense products alone: what no expansion could be faster than."""
    for tokens in (128, 2048, 4096):
        whole = 0.0
        for out, into, count in PRODUCTS:
            x, weight = _normal(bench.device, tokens, into), _normal(bench.device, out, into)
            y = torch.empty(tokens, out, dtype=torch.bfloat16, device=bench.device)
            took = _milliseconds(partial(torch.mm, x, weight.T, out=y))
            bench.found[f"product {tokens} × {out} × {into}: ms"] = took
            whole += took * count
        flops = 2 * tokens * sum(out * into * count for out, into, count in PRODUCTS)
        bench.say(f"products alone, {tokens} tokens: {whole:.1f} ms, {flops / whole / 1e9:.0f} TFLOP/s")


def check_model(bench: Bench, kernels: Kernels, size: Size, name: str) -> None:
    """A prompt in chunks: kernels and plain path in bf16, both beside fp32; and the same bits again."""
    device = bench.device
    models = [
        TextModel(size.text, SyntheticWeights(size, device, dtype), device, dtype)
        for dtype in (torch.float32, torch.bfloat16, torch.bfloat16)
    ]
    prefill = Prefill(models[2], kernels, *Decoder(models[2], kernels).packed)
    states = [model.new_state(3000) for model in models]
    for count in (2, 130, 1, 2048, 700):
        ids, begin = torch.randint(0, size.text.vocab_size, (count,), device=device), states[0].length
        positions = text_positions(begin, begin + count, 0)
        exact, plain = (m.forward(m.embed(ids), positions, s) for m, s in zip(models[:2], states[:2], strict=True))
        twin = states[2].clone()
        fast, again = (prefill.forward(models[2].embed(ids), positions, s) for s in (states[2], twin))
        found, usual = error(fast, exact.double()), error(plain, exact.double())
        good = "" if found < 1.2 * usual + 1e-3 and torch.equal(fast, again) else " WRONG"
        bench.found[f"{name}, {count} tokens"] = {"kernels": found, "plain bf16": usual}
        bench.say(f"{name}: {count} tokens after {begin}: off by {found:.4f}, plain bf16 by {usual:.4f}{good}")
    off = [[error(a, b.double()) for a, b in zip(s.recurrent, states[0].recurrent, strict=True)] for s in states[1:]]
    bench.say(f"{name}: states off by at most {max(off[1]):.4f}, plain bf16 by {max(off[0]):.4f}")


class Whole:
    """The synthetic 27B, packed, with a state for the longest prompt."""

    def __init__(self, bench: Bench, kernels: Kernels) -> None:
        self.bench = bench
        self.model = TextModel(BIG.text, SyntheticWeights(BIG, bench.device), bench.device, torch.bfloat16)
        self.decoder = Decoder(self.model, kernels)
        self.prefill = Prefill(self.model, kernels, *self.decoder.packed)
        torch.cuda.empty_cache()
        self.state = self.model.new_state(LONGEST + 512)
        torch.cuda.synchronize()
        self.held = torch.cuda.memory_allocated() - self.state.nbytes - self.prefill.nbytes

    def seconds(self, length: int, chunk: int, begin: int = 0) -> float:
        """Reading so many tokens after `begin` others, in chunks, the last logits included."""
        self.state.reset()
        self.state.length = begin
        torch.cuda.synchronize()
        began = time.perf_counter()
        for first in range(begin, begin + length, chunk):
            last = min(first + chunk, begin + length)
            embeddings = self.model.embed(torch.arange(first, last))
            self.prefill.forward(embeddings, text_positions(first, last, 0), self.state)
        torch.cuda.synchronize()
        return time.perf_counter() - began

    def measure(self) -> None:
        """First calls, then medians, then memory."""
        for length in (128, 2048):
            first = self.seconds(length, 2048)
            self.bench.say(f"the first time ever, {length} tokens: {first:.3f} s")
        for length, chunk, begin, times in (
            (128, 2048, 0, 7), (256, 2048, 30_000, 5), (1024, 2048, 0, 5), (2048, 2048, 0, 5), (8192, 2048, 0, 3),
            (8192, 4096, 0, 3), (LONGEST, 2048, 0, 1), (LONGEST, 4096, 0, 1),
        ):  # fmt: skip
            torch.cuda.reset_peak_memory_stats()
            spans = [self.seconds(length, chunk, begin) for _ in range(times)]
            took, peak = statistics.median(spans), torch.cuda.max_memory_allocated()
            kept = self.state.nbytes - self.state.row_bytes * self.state.capacity
            over = peak - self.held - self.state.nbytes
            at_8k = over + kept + self.state.row_bytes * 8192
            key = f"prefill {length} in chunks of {chunk} after {begin}"
            self.bench.found[key] = {"s": took, "spans": spans, "over weights and state": over, "with 8K state": at_8k}
            self.bench.say(
                f"{key}: {took * 1e3:.1f} ms, {length / took:.0f} tok/s; {over / 2**20:.0f} MiB over weights and "
                f"state, {at_8k / 2**30:.2f} GiB over the weights with the state of an 8K context"
            )

    def profile(self, length: int) -> None:
        """What each kernel takes."""
        from torch._C._autograd import DeviceType
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
            self.seconds(length, 4096)
        rows: dict[str, list[float]] = {}
        for event in recorded.events() or []:
            if event.device_type == DeviceType.CUDA:
                rows.setdefault(event.name, []).append(float(event.time_range.elapsed_us()))
        totals = {name: (sum(spans), len(spans), statistics.median(spans)) for name, spans in rows.items()}
        self.bench.found[f"kernels of {length} tokens: µs, count, median µs"] = totals
        busy = sum(total for total, _, _ in totals.values()) / 1e3
        self.bench.say(
            f"kernels of {length} tokens, {busy:.1f} ms in {sum(n for _, n, _ in totals.values())} launches:"
        )
        for name, (total, count, median) in sorted(totals.items(), key=lambda item: -item[1][0])[:22]:
            self.bench.say(f"  {name[:60]:62}{total / 1e3:8.2f} ms in {count:4}, median {median:.1f} µs")


def _normal(device: torch.device, *shape: int) -> Tensor:
    return torch.randn(shape, device=device).bfloat16()


def _milliseconds(work: Callable[[], object], times: int = 5) -> float:
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


def main() -> int:
    """All parts in turn."""
    if not torch.cuda.is_available():
        sys.stdout.write("There is no CUDA GPU here; these kernels need one.\n")
        return 1
    device = torch.device("cuda", 0)
    bench = PrefillBench(device)
    began = time.monotonic()
    kernels = CudaKernels(device, group=6, cache=None)
    bench.say(f"NVRTC: all kernels in {time.monotonic() - began:.1f} s; {kernels.gpu}")
    generator = torch.Generator(device)
    generator.seed()
    bench.part("small checks", lambda: bench.verdict(list(prefill_checks(kernels, generator))))
    if "--checks" in sys.argv:
        return 0
    bench.part("the model's shapes", lambda: check_shapes(bench, kernels))
    bench.part("attention", lambda: check_attention(bench))
    bench.part("small model", lambda: check_model(bench, kernels, SMALL, "small model"))
    four = replace(BIG, text=replace(BIG.text, layer_kinds=BIG.text.layer_kinds[:4], vocab_size=32_000))
    bench.part("four layers", lambda: check_model(bench, kernels, four, "four layers of the 27B"))
    torch.cuda.empty_cache()
    bench.part("products", lambda: time_products(bench))
    bench.part("attention's time", lambda: time_attention(bench))
    torch.cuda.empty_cache()
    made: list[Whole] = []
    bench.part("making the 27B", lambda: made.append(Whole(bench, kernels)))
    for whole in made:
        bench.part("27B", whole.measure)
        for length in (2048, 128):
            bench.part(f"profile of {length}", partial(whole.profile, length))
    bench.found["seconds"] = round(time.monotonic() - bench.began, 1)
    bench.write()
    sys.stdout.write("\n" + "\n".join(bench.lines) + f"\n{bench.found['seconds']} s in all\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Checks the kernels on this GPU, then measures them on the 27B's shapes.

    python3 -m tests.bench.decode [--checks]       in the repository's root; --checks does nothing but the small checks

Prints a table last; writes all numbers as JSON to $OUT/decode.json, or to the working folder. Every part stands by
itself: one that fails is told in the table, and the others go on. GB/s count the bytes that have to be read; the share
is of what this GPU read in the same run (torch.sum).
"""

import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.cache import TensorState
from app.engine.checkpoint import Checkpoint
from app.engine.config import TextConfig, text_prefix
from app.engine.kernels.check import Checked, Shape, attention, delta, linear, plain_linear, small_checks
from app.engine.kernels.decode import Decoder
from app.engine.kernels.linear import Tiled, multiply, tile, tile_plain
from app.engine.kernels.runtime import CudaKernels, Kernels
from app.engine.kernels.token import Correction, Given, Kind, multiply_one, parts
from app.engine.kernels.token_check import token_checks
from app.engine.model import TextModel, Weights
from app.engine.quantized import DenseLinear, Linear, QuantizedLinear
from app.engine.rope import text_positions
from tests.bench.synthetic import BIG, SMALL, Size, SyntheticWeights

MATRICES = (
    ("in: qkv+z, gates", 16_384, 5120, 4, 2, 48),
    ("out", 5120, 6144, 4, 1, 48),
    ("q+k+v", 14_336, 5120, 8, 3, 16),
    ("o", 5120, 6144, 8, 1, 16),
    ("gate+up", 34_816, 5120, 4, 2, 64),
    ("down", 5120, 17_408, 4, 1, 64),
    ("head", 248_320, 5120, 16, 0, 1),
)
"""Name, outputs, inputs, bits, how many linears it joins, how many of it a token needs."""

DEPTHS = (128, 8192, 32_768)


class Bench:
    """What was found, and what is needed to find more."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.found: dict[str, Any] = {"device": torch.cuda.get_device_name(device), "torch": torch.__version__}
        self.lines: list[str] = []
        self.copied = self.read = 1.0
        self.began = time.monotonic()

    def part(self, name: str, work: Callable[[], None]) -> None:
        """Do one part; whatever happens, the next one follows."""
        began = time.monotonic()
        try:
            work()
            torch.cuda.synchronize()
        except Exception as error:  # noqa: BLE001 - the one call on a rented GPU has to bring home what it can
            traceback.print_exc(file=sys.stdout)
            self.say(f"FAILED {name}: {type(error).__name__}: {str(error)[:300]}")
        self.found[f"seconds: {name}"] = round(time.monotonic() - began, 1)
        sys.stdout.flush()
        self.write()

    def say(self, line: str) -> None:
        """A line of the table."""
        self.lines.append(line)
        sys.stdout.write(line + "\n")

    def write(self) -> None:
        """Everything so far, to disk."""
        path = Path(os.environ.get("OUT", ".")) / "decode.json"
        path.write_text(json.dumps({**self.found, "table": self.lines}, indent=1, default=str), encoding="utf-8")

    def verdict(self, checks: list[Checked]) -> None:
        """How the comparisons came out; each wrong one has its line."""
        wrong = [checked for checked in checks if not checked.right]
        self.found.setdefault("checks", []).extend((c.name, c.error, c.limit) for c in checks)
        worst = max(checks, key=lambda c: c.error / c.limit if c.limit else c.error)
        self.say(f"checks: {len(checks) - len(wrong)} of {len(checks)} right; closest {worst.name} {worst.error:.1e}")
        for checked in wrong[:12]:
            self.say(f"  WRONG {checked.name}: {checked.error:.2e}, allowed {checked.limit:.0e}")


def milliseconds(work: Callable[[], object], times: int, rounds: int = 9) -> float:
    """Median time of one of `times` launches recorded in `work`, replayed as a graph."""
    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    spans: list[float] = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        graph.replay()
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        spans.append(start.elapsed_time(end) / times)
    return statistics.median(spans)


def measure_copy(bench: Bench) -> None:
    """What this GPU's memory does in a plain copy, and in a plain read."""
    source = torch.randint(0, 2**31 - 1, (2**28,), dtype=torch.int32, device=bench.device)
    target = torch.empty_like(source)
    took = milliseconds(lambda: target.copy_(source), 1)
    bench.copied = 2 * source.nbytes / took / 1e6
    floats = source.view(torch.float32)
    read = milliseconds(lambda: torch.sum(floats, dim=0, out=target.view(torch.float32)[0]), 1)
    bench.read = source.nbytes / read / 1e6
    bench.found |= {"copy GB/s": bench.copied, "read GB/s (torch.sum)": bench.read}
    bench.say(f"copy {bench.copied:.0f} GB/s, torch.sum reads {bench.read:.0f} GB/s")


def check_shapes(bench: Bench, kernels: Kernels) -> None:
    """The model's own shapes, all counts of tokens."""
    generator = torch.Generator(bench.device).manual_seed(time.time_ns() % 2**31)
    checks: list[Checked] = []
    for tokens in range(1, 9):
        checks += linear(kernels, generator, Shape(1040, 5120, 4 if tokens % 2 else 8, 64), tokens)
    checks += linear(kernels, generator, Shape(5120, 17_408, 4, 64), 1)
    checks += linear(kernels, generator, Shape(5120, 6144, 8, 64), 3)
    checks.append(plain_linear(kernels, generator, 20_000 // 16 * 16, 5120, 1))
    own = (Shape(1040, 5120, 4, 64), Shape(5120, 17_408, 4, 64), Shape(5120, 6144, 4, 64), Shape(5120, 6144, 8, 64))
    checks += token_checks(kernels, generator, own)
    checks += delta(kernels, generator, 16, 48)
    checks += [attention(kernels, generator, 4, 6, length) for length in (63, 64, 2111, 2112, 9000, 40_000)]
    bench.verdict(checks)


class StoredWeights:
    """The parts of a checkpoint in a folder, its pictures' tower aside."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.checkpoint, self.device, self.dtype = checkpoint, device, dtype
        self.prefix = text_prefix(checkpoint.config)

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """A plain tensor."""
        return self.checkpoint.plain(self.prefix + name, self.device).to(dtype)

    def linear(self, name: str) -> Linear:
        """A linear, kept packed."""
        full = name if name == "lm_head" else self.prefix + name
        packed = self.checkpoint.packed(full, self.device)
        if packed is None:
            return DenseLinear(self.checkpoint.plain(f"{full}.weight", self.device).to(self.dtype))
        return QuantizedLinear(packed, self.checkpoint.correction(full, self.device), self.dtype)


def check_demo(bench: Bench) -> None:
    """The built-in demo model: a trained one, quantized by GPTQModel."""
    checkpoint = Checkpoint(Path(__file__).parents[2] / "resources" / "demo-model")
    text = checkpoint.config.text
    kernels = CudaKernels(bench.device, group=text.heads // text.kv_heads, cache=None)
    check_model(bench, kernels, text, partial(StoredWeights, checkpoint), "demo model")


def check_synthetic(bench: Bench, kernels: Kernels, size: Size, name: str) -> None:
    """A made-up model."""
    check_model(bench, kernels, size.text, partial(SyntheticWeights, size), name)


def check_model(
    bench: Bench, kernels: Kernels, text: TextConfig, weights: Callable[[torch.device, torch.dtype], Weights], name: str
) -> None:
    """Tokens after a prompt: kernels and the plain path in bf16, both beside the plain path in fp32; and the same bits
    again from the same state."""
    device = bench.device
    models = [
        TextModel(text, weights(device, dtype), device, dtype)
        for dtype in (torch.float32, torch.bfloat16, torch.bfloat16)
    ]
    decoder = Decoder(models[2], kernels)
    states = [model.new_state(400) for model in models]
    ids = torch.randint(0, text.vocab_size, (140,), device=device)
    logits = [
        model.forward(model.embed(ids[:130]), text_positions(0, 130, 0), state)
        for model, state in zip(models, states, strict=True)
    ]
    plain, fast = [_distance(logits[1], logits[0])], [_distance(logits[2], logits[0])]
    for index in range(130, 140):
        position = text_positions(index, index + 1, 0)
        one = ids[index : index + 1]
        exact, slow = (m.forward(m.embed(one), position, s) for m, s in zip(models[:2], states[:2], strict=True))
        before = states[2].snapshot() if index == 139 else None
        quick = decoder.step(models[2].embed(one)[0], index, states[2])
        plain.append(_distance(slow, exact))
        fast.append(_distance(quick, exact))
        if before is not None:
            states[2].restore(before)
            again = decoder.step(models[2].embed(one)[0], index, states[2])
            bench.found[f"{name}: same bits"] = torch.equal(quick, again)
    bench.found[name] = {"plain bf16": plain, "kernels": fast}
    same = bench.found[f"{name}: same bits"]
    bench.say(
        f"{name}: prompt off by {fast[0]:.4f} (plain bf16 {plain[0]:.4f}); then ten tokens at most {max(fast[1:]):.4f} "
        f"({max(plain[1:]):.4f}); repeats bit for bit: {same}"
    )


def _distance(out: Tensor, reference: Tensor) -> float:
    return float((out.double() - reference.double()).norm() / reference.double().norm())


def measure_matrix(bench: Bench, kernels: Kernels, row: tuple[str, int, int, int, int, int]) -> None:
    """One of the model's matrices, several copies in turn so that none is left in the L2 cache: one token with all that
    makes its input, and, as a linear alone, eight tokens."""
    name, out, into, bits, _, count = row
    tiled = _matrix(bench.device, row, paired=name == "gate+up")
    copies = [tiled]
    while sum(c.units.nbytes for c in copies) < 3 * 10**8:
        copies.append(replace(tiled, units=tiled.units.clone(), scales=tiled.scales.clone(), a=tiled.a.clone()))
    one = milliseconds(_one_token(bench, kernels, row, copies), 2 * len(copies))
    size = tiled.units.nbytes + tiled.scales.nbytes + tiled.a.nbytes
    speed = size / one / 1e6
    bench.found[name] = {"ms": one, "bytes": size, "GB/s": speed, "a token": count}
    line = f"{name:18}{size / 1e6:8.1f} MB {one * 1e3:8.1f} µs {speed:6.0f} GB/s {speed / bench.read:5.0%} of reading"
    if not tiled.paired:
        x = torch.randn(8, into, device=bench.device).bfloat16()
        ranks = into if bits == 16 else tiled.a.shape[0]
        t = x if bits == 16 else torch.randn(8, ranks, device=bench.device).bfloat16()
        y = torch.empty(1, 8, out, device=bench.device)

        def eight() -> None:
            for copy in (*copies, *copies):
                multiply(kernels, copy, x, t, y, tokens=8, splits=1, ranks=ranks)

        took = milliseconds(eight, 2 * len(copies))
        bench.found[name]["ms of eight"] = took
        line += f"; 8 tokens {took * 1e3:.1f} µs"
    bench.say(f"{line}; × {count} = {one * count:.2f} ms")


def _one_token(
    bench: Bench, kernels: Kernels, row: tuple[str, int, int, int, int, int], copies: list[Tiled]
) -> Callable[[], None]:
    """What makes two launches for each of the copies."""
    name, out, into, bits, _, _ = row
    x, device = torch.randn(3 * into, device=bench.device), bench.device
    if bits == 16:
        half, logits = x[:into].bfloat16(), torch.empty(out, device=device)

        def head() -> None:
            for copy in (*copies, *copies):
                multiply(kernels, copy, half, half, logits, tokens=1, splits=1, ranks=into)

        return head
    kinds: dict[str, Kind] = {"out": "gated", "o": "ordered", "down": "ready"}
    kind, weight = kinds.get(name, "normed"), torch.ones(into, device=device)
    given = {
        "normed": Given("normed", x, x[into:], weight, 1e-6, torch.empty_like(weight), parts(kernels.gpu)),
        "gated": Given("gated", x, x.bfloat16(), weight, 1e-6, torch.zeros(3, 128, device=device).bfloat16(), 128),
    }.get(kind, Given(kind, x.bfloat16()))
    split = kind != "normed"
    y = torch.empty(parts(kernels.gpu) * out, device=device, dtype=torch.float32 if split else torch.bfloat16)
    correction = Correction(copies[0].a.shape[0], device)

    def work() -> None:
        for turn, copy in enumerate((*copies, *copies)):
            multiply_one(kernels, copy, given, correction, y, turn=turn)

    return work


def _matrix(device: torch.device, row: tuple[str, int, int, int, int, int], *, paired: bool) -> Tiled:
    _, out, into, bits, parts, _ = row
    if bits == 16:
        return tile_plain(torch.randn(out, into, device=device, dtype=torch.bfloat16))
    from app.engine.kernels.check import random_eora, random_weight

    generator = torch.Generator(device).manual_seed(1)
    weights = [random_weight(generator, out // parts // 16 * 16, into, bits) for _ in range(parts)]
    same = weights[0].group_of
    pairs = [
        (replace(weight, group_of=same), random_eora(generator, weight.out_features, into, 64)) for weight in weights
    ]
    return tile(pairs, paired=paired)


def measure_token(bench: Bench, kernels: Kernels) -> None:
    """The whole 27B, one token as one graph, at several depths; and what its kernels take."""
    began = time.monotonic()
    model = TextModel(BIG.text, SyntheticWeights(BIG, bench.device), bench.device, torch.bfloat16)
    torch.cuda.synchronize()
    made = time.monotonic()
    decoder = Decoder(model, kernels)
    torch.cuda.synchronize()
    bench.found |= {"27B: made in s": made - began, "27B: packed in s": time.monotonic() - made}
    state = model.new_state(DEPTHS[-1] + 64)
    for tensor in (*state.keys, *state.values):
        tensor.normal_()
    decoder.step(model.embed(torch.tensor([1]))[0], 0, state)
    bench.found["27B: GPU bytes"] = torch.cuda.memory_allocated()
    for depth in DEPTHS:
        spans = [_token(model, decoder, state, depth) for _ in range(12)]
        took = statistics.median(spans[2:])
        size = decoder.nbytes_a_token + depth * 65_536
        floor = size / bench.read / 1e6
        bench.found[f"27B at {depth}"] = {"ms": took, "spans": spans, "bytes": size, "floor ms": floor}
        bench.say(
            f"27B, {depth} tokens deep: {took:.2f} ms = {1000 / took:.1f} tok/s; floor {floor:.2f} ms "
            f"({size / 1e9:.2f} GB), {floor / took:.0%} of it"
        )
    bench.part("profile", lambda: _profile(bench, decoder))
    bench.part("prefill", lambda: _prefill(bench, model, state))


def _token(model: TextModel, decoder: Decoder, state: TensorState, depth: int) -> float:
    """Milliseconds for one token, host and device, as the engine would do it but for sampling."""
    state.length = depth
    embedding = model.embed(torch.tensor([7]))[0]
    torch.cuda.synchronize()
    began = time.perf_counter()
    decoder.step(embedding, depth, state)
    torch.cuda.synchronize()
    return (time.perf_counter() - began) * 1e3


def _profile(bench: Bench, decoder: Decoder) -> None:
    from torch._C._autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
        for _ in range(2):
            decoder.launch()
        torch.cuda.synchronize()
    rows: dict[str, list[float]] = {}
    for event in recorded.events() or []:
        if event.device_type != DeviceType.CUDA:
            continue
        rows.setdefault(event.name, []).append(float(event.time_range.elapsed_us()))
    totals = {name: (sum(spans) / 2, len(spans) // 2, statistics.median(spans)) for name, spans in rows.items()}
    bench.found["kernels of a token: µs, count, median µs"] = totals
    for name, (total, count, median) in sorted(totals.items(), key=lambda item: -item[1][0])[:14]:
        bench.say(f"  {name[:32]:34}{total:9.0f} µs a token in {count:4} launches, median {median:.1f}")


def _prefill(bench: Bench, model: TextModel, state: TensorState) -> None:
    """2,048 tokens the plain way over the packed weights: what the next issue starts from."""
    for name in ("first", "second"):
        state.reset()
        torch.cuda.synchronize()
        began = time.perf_counter()
        model.forward(model.embed(torch.arange(2048)), text_positions(0, 2048, 0), state)
        torch.cuda.synchronize()
        bench.found[f"prefill of 2,048, {name}, s"] = time.perf_counter() - began
    bench.say(f"prefill of 2,048 tokens, as it stands: {2048 / (time.perf_counter() - began):.0f} tok/s")


def main() -> int:
    """All parts in turn."""
    if not torch.cuda.is_available():
        sys.stdout.write("There is no CUDA GPU here; these kernels need one.\n")
        return 1
    device = torch.device("cuda", 0)
    bench = Bench(device)
    if "--checks" not in sys.argv:
        bench.part("copy", lambda: measure_copy(bench))
    began = time.monotonic()
    kernels = CudaKernels(device, group=6, cache=None)
    bench.say(f"NVRTC: all kernels in {time.monotonic() - began:.1f} s; {kernels.gpu}")
    seed = torch.Generator(device).manual_seed(time.time_ns() % 2**31)
    bench.part("small checks", lambda: bench.verdict(list(small_checks(kernels, device, 6))))
    bench.part("small checks of one token", lambda: bench.verdict(list(token_checks(kernels, seed))))
    if "--checks" in sys.argv:
        return 0
    bench.part("the model's shapes", lambda: check_shapes(bench, kernels))
    bench.part("small model", lambda: check_synthetic(bench, kernels, SMALL, "small model"))
    bench.part("demo model", lambda: check_demo(bench))
    four = replace(BIG, text=replace(BIG.text, layer_kinds=BIG.text.layer_kinds[:4], vocab_size=32_000))
    bench.part("four layers of the 27B", lambda: check_synthetic(bench, kernels, four, "four layers of the 27B"))
    torch.cuda.empty_cache()
    for row in MATRICES:
        bench.part(row[0], lambda row=row: measure_matrix(bench, kernels, row))  # type: ignore[misc]
        torch.cuda.empty_cache()
    bench.part("27B", lambda: measure_token(bench, kernels))
    bench.found["seconds"] = round(time.monotonic() - bench.began, 1)
    bench.write()
    sys.stdout.write("\n" + "\n".join(bench.lines) + f"\n{bench.found['seconds']} s in all\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

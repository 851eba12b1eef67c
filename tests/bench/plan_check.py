"""Compares the memory plan with what a GPU says, each case in a process of its own.

    python -m tests.bench.plan_check FOLDER OUT.json [--contexts 8192,32768,131072,262144] [--free 20] [--kv-bits 8]

Each case loads the model, reads and writes tokens up to the end of its context, and sees the largest picture that there
can be. `--free GB` (thousand millions of bytes, or GiB with an "i" behind it) takes memory away first, in another
process, until so much is left, and asks for the largest context. Planned and measured are without the reserve and with
the driver's share; `slack` is what the plan had too much and should be between 0 and 256 MiB.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from app.engine.allocation import let_segments_grow
from app.engine.capacity import Wanted, choose_context
from app.engine.load import LoadedModel, open_model
from app.engine.memory import free_bytes, gpu_at_rest
from app.engine.rope import prompt_positions, text_positions
from app.engine.sizes import CHUNK, CONTEXT
from app.protocol import Media

MIB = 2**20
_LIMIT = 150


class Case:
    """One load and what was measured on the way."""

    def __init__(self, folder: Path, wanted: Wanted, scratch: Path) -> None:
        self._folder, self._wanted, self._scratch = folder, wanted, scratch
        self._device = torch.device("cuda", 0)
        self.before = self._used()
        self.found: dict[str, Any] = {}
        self._began = time.monotonic()

    def _used(self) -> int:
        free, total = gpu_at_rest(self._device)
        return total - free

    def _note(self, name: str) -> None:
        torch.cuda.synchronize()
        self.found.setdefault("steps", {})[name] = {
            "driver_MiB": (self._used() - self.before) // MIB,
            "reserved_MiB": torch.cuda.memory_reserved() // MIB,
            "allocated_MiB": torch.cuda.memory_allocated() // MIB,
            "peak_reserved_MiB": torch.cuda.max_memory_reserved() // MIB,
            "peak_allocated_MiB": torch.cuda.max_memory_allocated() // MIB,
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def run(self) -> dict[str, Any]:
        """Everything, in the order in which the engine does it."""
        torch.empty(1, device=self._device)
        self._note("context")
        cache = self._scratch / "kernels"
        model = open_model(self._folder, "cuda", "parley", _quiet, cache, wanted=self._wanted)
        plan = model.plan
        assert plan is not None
        self._note("loaded")
        context = choose_context(model, self._wanted.context, free_bytes(model.device), self._wanted.kv_bits)
        state = model.new_state(context)
        self._note("state")
        self._read(model, state, context)
        self._note("read")
        self._see(model)
        self._note("seen")
        self._read(model, state, context)
        self._note("read again")
        planned = plan.needed - plan.reserve + CONTEXT
        measured = max(step["driver_MiB"] for step in self.found["steps"].values()) * MIB
        self.found |= {
            "context": context,
            "kv_bits": self._wanted.kv_bits,
            "planned_context": plan.context,
            "parked": plan.tower_parked,
            "embeddings_outside": plan.embeddings_outside,
            "free_at_plan_MiB": plan.free // MIB,
            "planned_MiB": planned // MIB,
            "measured_MiB": measured // MIB,
            "slack_MiB": (planned - measured) // MIB,
            "ok": 0 <= planned - measured <= 256 * MIB,
            "parts_MiB": {name: size // MIB for name, size in plan.parts.items()},
            "weight_MiB": model.weight_bytes // MIB,
            "vision_MiB": model.vision_bytes // MIB,
            "state_MiB": state.nbytes // MIB,
            "notes": model.notes,
        }
        return self.found

    def _read(self, model: LoadedModel, state: Any, context: int) -> None:
        """A chunk at the beginning, one that ends near the end of the context, and a few tokens."""
        state.reset()
        for begin in (0, max(0, context - CHUNK - 16)):
            state.length = begin
            count = min(CHUNK, context - begin)
            ids = torch.arange(count) % 300
            positions = prompt_positions(count, [], 2)[0] + begin
            model.forward(model.embed(ids), positions, state)
        for _ in range(min(8, context - state.length)):
            where = text_positions(state.length, state.length + 1, 0)
            model.forward(model.embed(torch.tensor([5])), where, state)
        torch.cuda.synchronize()

    def _see(self, model: LoadedModel) -> None:
        """The largest picture there is, and a small one whose embeddings are kept to be compared between cases."""
        assert model.vision is not None
        small = model.vision.encode(model.vision.prepare(_noise(self._scratch, 333, 517))).float().cpu()
        rows = model.embed(torch.arange(0, model.config.vocab_valid, 97)).float().cpu()
        kept = self._scratch / "seen.pt"
        if kept.exists():
            before, table = torch.load(kept)
            self.found["same_embeddings"] = [torch.equal(before, small), torch.equal(table, rows)]
        else:
            torch.save((small, rows), kept)
        began = time.monotonic()
        prepared = model.vision.prepare(_noise(self._scratch, 4096, 4096))
        seen = model.vision.encode(prepared)
        torch.cuda.synchronize()
        self.found["largest_picture"] = {"tokens": len(seen), "seconds": round(time.monotonic() - began, 2)}


def _noise(folder: Path, width: int, height: int) -> Media:
    path = folder / f"{width}x{height}"
    if not path.exists():
        noise = torch.randint(0, 256, (width * height * 3,), generator=torch.Generator().manual_seed(1))
        path.write_bytes(noise.to(torch.uint8).numpy().tobytes())
    return Media("image", path.name, path.name, str(path), width, height)


def _quiet(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _ballast(left: int) -> int:
    """Hold memory until `left` bytes are free, and until stdin closes."""
    device = torch.device("cuda", 0)
    torch.empty(1, device=device)
    held = torch.empty(max(0, torch.cuda.mem_get_info(device)[0] - left), dtype=torch.uint8, device=device)
    sys.stdout.write(f"{len(held)}\n")
    sys.stdout.flush()
    sys.stdin.read()
    return 0


def _case(arguments: argparse.Namespace, context: int | None, scratch: Path) -> dict[str, Any]:
    """Run one case in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.plan_check", str(arguments.folder), str(scratch), "--one"]
    command += [] if context is None else [str(context)]
    command += ["--kv-bits", str(arguments.kv_bits)]
    environment = dict(os.environ)
    let_segments_grow(environment)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"wanted": context, "error": f"took longer than {_LIMIT} seconds"}
    if done.returncode:
        return {"wanted": context, "error": done.stderr[-2000:]}
    measured = json.loads(done.stdout.splitlines()[-1])
    return {"wanted": context, **measured}


def _behind_ballast(arguments: argparse.Namespace, size: str, scratch: Path) -> dict[str, Any]:
    left = int(float(size.removesuffix("i")) * (2**30 if size.endswith("i") else 10**9))
    command = [sys.executable, "-m", "tests.bench.plan_check", str(left), str(scratch), "--ballast"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ballast:
        assert ballast.stdin is not None
        assert ballast.stdout is not None
        held = ballast.stdout.readline()
        found = _case(arguments, None, scratch)
        ballast.stdin.close()
    return {"ballast_MiB": int(held or 0) // MIB, "left": size, **found}


def main() -> int:
    """Run all cases, or the one that was asked for."""
    parser = argparse.ArgumentParser(description="Compare the memory plan with a GPU.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--contexts", default="8192,32768,131072,262144")
    parser.add_argument("--free", action="append", default=[])
    parser.add_argument("--one", nargs="?", const=0, type=int)
    parser.add_argument("--kv-bits", type=int, choices=(16, 8), default=16)
    parser.add_argument("--ballast", action="store_true")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    if arguments.ballast:
        return _ballast(int(str(arguments.folder)))
    if arguments.one is not None:
        wanted = Wanted(arguments.one or None, kv_bits=arguments.kv_bits)
        found = Case(arguments.folder, wanted, arguments.out).run()
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    _see_more(arguments.folder)
    scratch = arguments.out.with_suffix(".scratch")
    scratch.mkdir(parents=True, exist_ok=True)
    cases = []
    for size in arguments.free:
        cases.append(_behind_ballast(arguments, size, scratch))
        _say(arguments.out, cases)
    for context in arguments.contexts.split(","):
        cases.append(_case(arguments, int(context), scratch))
        _say(arguments.out, cases)
    return 0 if all(case.get("ok") for case in cases) else 1


def _see_more(folder: Path) -> None:
    """Let the made-up model see pictures as large as the 27B's, of 16,384 tokens."""
    file = folder / "preprocessor_config.json"
    plain = json.loads(file.read_text(encoding="utf-8"))
    plain["size"] = {"shortest_edge": 65_536, "longest_edge": 16_777_216}
    file.write_text(json.dumps(plain), encoding="utf-8")


def _say(out: Path, cases: list[dict[str, Any]]) -> None:
    """Keep what is known so far, and show the last case in a line."""
    out.write_text(json.dumps(cases, indent=1), encoding="utf-8")
    last = {name: value for name, value in cases[-1].items() if name not in {"steps", "parts_MiB"}}
    sys.stdout.write(json.dumps(last) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

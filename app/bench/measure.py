"""Measures a model folder from loading to answering, the way the engine does it, and puts the floor beside each figure.

Knows: the order of a load, a prompt, a token. Does not know: command lines, how results are shown. Figures are seconds,
bytes and tokens; `share` is the floor divided by what was measured, so 1 is perfect. A depth is made by filling keys
and values with numbers, which costs the same as the tokens would have.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from app import __version__, paths
from app.bench.arguments import BenchOptions
from app.bench.ceilings import Ceilings, ceilings, file_seconds, waited
from app.bench.floors import bytes_of_a_token, operations_of_a_prompt
from app.engine.cache import State, TensorState, bytes_a_token
from app.engine.capacity import Wanted
from app.engine.config import read_config
from app.engine.devices import DeviceChoice, choose_device
from app.engine.generation import chunk_tokens
from app.engine.load import LoadedModel, open_model
from app.engine.rope import text_positions
from app.engine.sampling import Sampler
from app.plan import LEAST
from app.presets import THINKING_GENERAL

_FEW, _MANY = 16, 64
_ASKED_BACK = 256
"""Tokens of a new turn behind a long conversation."""
_FIRST = 128
"""Tokens of a short first message."""
_CONTEXT = 8192
"""The context at which peak memory is told."""
_LOOK_SECONDS = 0.01

Report = Callable[[str], None]


class HostPeak(threading.Thread):
    """Watches how much memory of its own this process has, page-locked memory included, files aside. A context manager;
    `most` is the largest number of bytes that was seen."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._process = psutil.Process()
        self._over = threading.Event()

    def __enter__(self) -> "HostPeak":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look again and again."""
        while not self._over.wait(_LOOK_SECONDS):
            memory = self._process.memory_info()
            self.most = max(self.most, memory.rss - getattr(memory, "shared", 0))


class Measurement:
    """One loaded model and its figures so far."""

    def __init__(self, folder: Path, options: BenchOptions, report: Report) -> None:
        self.report = report
        device = choose_device("auto")
        self._gpu = gpu = device.type == "cuda"
        self.kv_bits = options.kv_bits
        self.depths = options.depths or ((128, 8192, 32_768) if gpu else (0, 512))
        self.prompts = options.prompts or ((128, 2048, 8192, 32_768) if gpu else (128, 512))
        longest = max((_FIRST, *self.prompts, *(depth + _ASKED_BACK for depth in self.depths))) + _MANY
        self.capacity = min(max(longest, _CONTEXT if gpu else LEAST), read_config(folder).native_context)
        # Of a GPU now, because beside a model the plan leaves no room for this.
        self._best = self._ceilings(device, torch.bfloat16) if gpu else None
        load = self._load(folder)
        self.sampler = Sampler(THINKING_GENERAL, self.model.config.vocab_valid, self.model.largest)
        self.found: dict[str, Any] = {
            "model": self.model.config.name,
            "precision": self.model.config.precision,
            "kv_bits": self.kv_bits,
            "device": self.model.device_name,
            "notes": list(self.model.notes),
            "versions": {"parley": __version__, "torch": torch.__version__, "cuda": torch.version.cuda},
            "date": datetime.now(UTC).date().isoformat(),
            "load": load,
        }

    def _load(self, folder: Path) -> dict[str, float]:
        """Load the model with a context of the largest size measured; the figures."""
        files = sorted(path for path in folder.rglob("*.safetensors") if path.is_file())
        self.report("reading the files plainly")
        read = file_seconds(files)
        self.report("loading")
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
        cache, wanted = paths.cache_dir() / "engine" / "kernels", Wanted(self.capacity, kv_bits=self.kv_bits)
        choice: DeviceChoice = "cuda" if self._gpu else "auto"  # a GPU that is too full is told, not passed over
        with HostPeak() as host:
            began = time.perf_counter()
            self.model: LoadedModel = open_model(folder, choice, "parley", lambda *_: None, cache, wanted=wanted)
            opened = waited(self.model.device) - began
            peak = torch.cuda.max_memory_allocated() if self._gpu else 0
            self.state = self.model.new_state(self.capacity)
            ready = waited(self.model.device) - began
        return {
            "seconds": opened,
            "ready_seconds": ready,
            "bytes": sum(path.stat().st_size for path in files),
            "floor_seconds": read,
            "share": read / opened,
            "weight_bytes": self.model.weight_bytes + self.model.vision_bytes,
            "host_peak_bytes": host.most,
            "gpu_peak_bytes": peak,
        }

    def all(self) -> dict[str, Any]:
        """Measure everything; the figures."""
        first = [self._first_token() for _ in range(2)]
        self.found["first_token"] = {"prompt": _FIRST, "first_seconds": first[0], "second_seconds": first[1]}
        best = self._best or self._ceilings(self.model.device, self.model.embed(torch.zeros(1, dtype=torch.long)).dtype)
        self.found["ceilings"] = {"read_bytes_a_second": best.read, "dense_operations_a_second": best.dense}
        self.found["prompts"] = [self._prompt(length, best) for length in self.prompts if length <= self.capacity]
        self._fill()
        room = self.capacity - _MANY - _ASKED_BACK
        self.found["decode"] = [self._decode(depth, best) for depth in self.depths if depth <= room]
        if self._gpu:
            self.found["memory"] = self._memory()
        return self.found

    def _ceilings(self, device: torch.device, dtype: torch.dtype) -> Ceilings:
        self.report("measuring the device")
        best = ceilings(device, dtype)
        if self._gpu:
            torch.cuda.empty_cache()
        return best

    def _first_token(self) -> float:
        self.report("first token")
        self.state.reset()
        began = waited(self.model.device)
        self.sampler.choose(self._read(self.state, self._ids(_FIRST)))
        return time.perf_counter() - began

    def _prompt(self, length: int, best: Ceilings) -> dict[str, float]:
        """A prompt read into an empty state, twice: the second counts, as the first may allocate."""
        self.report(f"a prompt of {length:,} tokens")
        took = 0.0
        for _ in range(2):
            self.state.reset()
            began = waited(self.model.device)
            self._read(self.state, self._ids(length))
            took = waited(self.model.device) - began
        floor = operations_of_a_prompt(self.model, length) / best.dense
        return {
            "tokens": length,
            "seconds": took,
            "tokens_a_second": length / took,
            "floor_seconds": floor,
            "share": floor / took,
        }

    def _decode(self, depth: int, best: Ceilings) -> dict[str, float]:
        """Tokens chosen one after another, and then a new turn of some tokens, both behind `depth` others."""
        self.report(f"decoding at a depth of {depth:,}")
        count = _MANY if self.model.device.type == "cuda" else _FEW
        self.state.length, token = depth, 5
        for index in range(count + 4):
            if index == 4:
                began = waited(self.model.device)
            token = self.sampler.choose(self._read(self.state, torch.tensor((token,))))
            self.sampler.note(token)
        took = (waited(self.model.device) - began) / count
        size = bytes_of_a_token(self.model, self.state, depth)
        self.state.length = depth
        began = waited(self.model.device)
        self.sampler.choose(self._read(self.state, self._ids(_ASKED_BACK)))
        asked_back = waited(self.model.device) - began
        return {
            "depth": depth,
            "seconds": took,
            "tokens_a_second": 1 / took,
            "bytes": size,
            "floor_seconds": size / best.read,
            "share": size / best.read / took,
            "new_tokens": _ASKED_BACK,
            "new_tokens_seconds": asked_back,
        }

    def _memory(self) -> dict[str, int]:
        """The peak over the weights while a context of 8K fills. It is the beginning of the context that is there,
        whose other keys and values are left out, as there is no room for a second one."""
        self.report("peak memory")
        context = min(_CONTEXT, self.capacity)
        self.state.reset()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        self._read(self.state, self._ids(context - _FEW))
        for _ in range(_FEW):
            self._read(self.state, torch.tensor((5,)))
        a_token = bytes_a_token(self.model.config.text, torch.bfloat16, self.kv_bits)
        left_out = (self.capacity - context) * a_token
        beside = self.model.weight_bytes + self.model.vision_bytes + left_out
        return {
            "context": context,
            "state_bytes": self.state.nbytes - left_out,
            "over_weights_bytes": torch.cuda.max_memory_allocated() - beside,
            "reserved_over_weights_bytes": torch.cuda.max_memory_reserved() - beside,
        }

    def _read(self, state: State, ids: Tensor) -> Tensor:
        chunk = chunk_tokens(self.model)
        logits = torch.empty(0)
        for piece in torch.split(ids, chunk):
            positions = text_positions(state.length, state.length + len(piece), 0)
            logits = self.model.forward(self.model.embed(piece), positions, state)
        return logits

    def _ids(self, count: int) -> Tensor:
        return torch.arange(count) * 7919 % self.model.config.vocab_valid

    def _fill(self) -> None:
        """Keys and values as if the whole context had been read."""
        if isinstance(self.state, TensorState):
            for plane in self.state.planes:
                plane.random_(-127, 128) if plane.dtype == torch.int8 else plane.normal_()

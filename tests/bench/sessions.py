"""Measures what going on with a conversation costs, through the real engine program, and prints JSON.

    python -m tests.bench.sessions FOLDER [--tokens 30000] [--context 65536]     in the repository's root

A long first turn, its follow-up, another answer to it, a second conversation and the way back, a stop while reading,
and a follow-up after a restart of the engine. Then, with the 27B's sizes and no weights, what a snapshot and rows cost.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from app.engine.cache import TensorState
from app.protocol import (
    ChatMessage,
    Delta,
    Finished,
    Gauges,
    Generate,
    Load,
    Loaded,
    Prefill,
    Sampling,
    Stop,
    Text,
    Unload,
    Unloaded,
)
from tests.bench.synthetic import BIG, SMALL
from tests.engine import engine_process
from tests.engine.engine_process import EngineProcess

WORDS = "the ship sailed on over a grey sea and nobody on board knew how far it was to the next harbour "


WRITTEN_AT_ONCE = 2048
"""New tokens after which the engine does not wait until the person is gone before it writes."""


class Talk:
    """One engine with a model, and what it is asked."""

    def __init__(self, load: Load) -> None:
        self.engine = EngineProcess()
        self.engine.say(load)
        self.loaded = self.engine.until(Loaded)
        self.cache = Path(load.cache_dir)

    def ask(self, messages: tuple[ChatMessage, ...], conversation: str) -> tuple[str, dict[str, Any]]:
        """Ask and wait until the engine has nothing more to do; the answer and the figures."""
        self.engine.heard.clear()
        began = time.time()
        self.engine.say(Generate("r", conversation, messages, False, Sampling(seed=1), 24))
        finished = self.engine.until(Finished)
        heard = [event for event in self.engine.heard if isinstance(event, Prefill)]
        answer = "".join(event.text for event in self.engine.heard if isinstance(event, Delta))
        done = time.monotonic()
        wait = 30 if finished.usage.prompt - finished.usage.reused >= WRITTEN_AT_ONCE else 3
        while time.monotonic() - done < wait and not any(
            path.stat().st_mtime >= began for path in self.cache.rglob("index.json")
        ):
            self.engine.until(Gauges)
        usage, timings = finished.usage, finished.timings
        figures = {
            "prompt": usage.prompt,
            "reused": usage.reused,
            "first_token_s": round(timings.first_token_s, 4),
            "decode_tok_s": round(timings.decode_tok_s, 1),
            "read_and_saved_after_s": round(time.monotonic() - done, 2),
            "forecast": [(event.done, round(event.seconds_left, 2)) for event in heard[:: max(1, len(heard) // 6)]],
            "tokens_a_second": round(max(event.tokens_a_second for event in heard)),
        }
        return answer, figures

    def stopped(self, messages: tuple[ChatMessage, ...]) -> dict[str, Any]:
        """Stop in the middle of reading: how long that takes, and what is read when it is asked again."""
        self.engine.say(Generate("s", "stopped", messages, False, Sampling(seed=1), 1))
        read = self.engine.until(Prefill, lambda event: event.done > 0)
        began = time.monotonic()
        self.engine.say(Stop("s"))
        self.engine.until(Finished)
        took = time.monotonic() - began
        self.engine.say(Generate("t", "stopped", messages, False, Sampling(seed=1), 1))
        reused = self.engine.until(Finished).usage.reused
        return {"read": read.done, "of": read.total, "until_finished_s": round(took, 4), "reused_then": reused}


def user(text: str) -> ChatMessage:
    """A question."""
    return ChatMessage("user", (Text(text),))


def conversation(folder: Path, tokens: int, context: int) -> dict[str, Any]:
    """All turns, one after another."""
    long = WORDS * (4 * tokens // len(WORDS) + 1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as cache:
        load = Load(str(folder.absolute()), context=context, cache_dir=cache)
        talk = Talk(load)
        found["device"], found["load_s"] = talk.loaded.model.device, round(talk.loaded.seconds, 2)
        # Letters a token differ between vocabularies: the first short question tells.
        _, short = talk.ask((user(long[:4000]),), "warm")
        letters = 4000 / short["prompt"]
        path: tuple[ChatMessage, ...] = (user(f"{long[: int(tokens * letters)]}\nWhat was it about?"),)
        answer, found["first turn"] = talk.ask(path, "long")
        follow = (*path, ChatMessage("assistant", (Text(answer or "x"),)), user("And then?"))
        answer, found["second turn"] = talk.ask(follow, "long")
        _, found["another answer"] = talk.ask(follow, "long")
        _, found["another conversation"] = talk.ask((user(f"Other. {long[: int(2000 * letters)]}"),), "other")
        _, found["back again"] = talk.ask((*follow[:-1], user("And then, once more?")), "long")
        found["stop"] = talk.stopped((user(f"Different. {long[: int(tokens * letters)]}"),))
        _, found["back after a stop"] = talk.ask((*follow[:-1], user("What else?")), "long")
        talk.engine.say(Unload())
        talk.engine.until(Unloaded)
        talk.engine.end()
        found["saved MiB"] = sum(p.stat().st_size for p in Path(cache).rglob("*") if p.is_file()) / 2**20
        talk = Talk(load)
        _, found["after a restart"] = talk.ask((*follow[:-1], user("What was it again?")), "long")
        talk.engine.end()
    return found


def copies(device: torch.device) -> dict[str, Any]:
    """Milliseconds and MiB of a snapshot and of rows, the median of five after a first one."""
    size, count = (BIG, 30_000) if device.type == "cuda" else (SMALL, 500)
    state = TensorState(size.text, count + 100, device, torch.bfloat16)
    state.length = count
    state.make_ready()
    kept = [state.snapshot() for _ in range(2)]
    state.release(kept.pop())

    def taken() -> None:
        state.release(state.snapshot())

    rows = state.rows(0, count)
    return {
        "snapshot MiB": kept[0].nbytes / 2**20,
        "take ms": milliseconds(taken),
        "restore ms": milliseconds(lambda: state.restore(kept[0])),
        "take without memory made ready ms": milliseconds(state.snapshot),
        "rows MiB": rows.nbytes / 2**20,
        "rows out ms": milliseconds(lambda: state.rows(0, count)),
        "rows in ms": milliseconds(lambda: state.put_rows(0, rows.tensors)),
        "page-locked": rows.tensors[0].is_pinned(),
    }


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes; everything waits for its copies by itself."""
    work()
    spans = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        spans.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(spans), 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what going on with a conversation costs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=30_000)
    parser.add_argument("--context", type=int, default=65_536)
    arguments = parser.parse_args()
    engine_process.WAIT_SECONDS = 300.0  # a cold disk
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = {"copies": copies(device), **conversation(arguments.folder, arguments.tokens, arguments.context)}
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    (Path(os.environ.get("OUT", ".")) / "sessions.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

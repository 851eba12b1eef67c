"""A recorded answer, played like an engine: prose, lists, code, tables and formulas, at a steady rate.

    python -m tests.bench.played --plan 3000@200,27000@4000,3000@200 [--word BYTES]

Knows the protocol. A plan names how many tokens come at how many a second, one part after another; a token is four
characters. Lines come sixty times a second, as the engine's do. `--word` plays one word without a space instead.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator

from app.protocol import (
    Delta,
    Finished,
    Generate,
    Hello,
    Load,
    Loaded,
    Measure,
    Measured,
    Prefill,
    Timings,
    Usage,
    decode,
    encode,
)
from tests.ui.fake_engine import GAUGES, MODEL, SENTENCE

TOKEN = 4
LINES_A_SECOND = 60


def recorded() -> Iterator[str]:
    """Sections without end, each somewhat different."""
    number = 0
    while True:
        number += 1
        yield f"## Part {number}\n\n" + f"{SENTENCE}It was **bright** and `cold`, {number} times. " * 3 + "\n\n"
        yield "".join(
            f"{at}. Step {at} with *some* words, see [a page](https://example.org/{at})\n" for at in range(1, 7)
        )
        yield "\n```python\n" + "".join(
            f"def part_{number}_{at}(values: list[int]) -> int:\n    return sum(values) + {at}  # and 'so on'\n\n"
            for at in range(8)
        )
        yield "```\n\n| name | value | unit | what it means |\n|---|---:|---|---|\n"
        yield "".join(f"| row {at} | {at * number % 997} | ms | {SENTENCE[:40]} |\n" for at in range(15 + number % 60))
        yield f"\nThe sum is $\\sum_{{i=1}}^{{{number % 40}}} i^2$, which costs $5 or $10.\n\n> {SENTENCE}\n\n"


class Player:
    """Answers every question with the recording."""

    def __init__(self, plan: list[tuple[int, float]], word: int) -> None:
        self.plan = plan
        self.word = word
        self.out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)

    def serve(self) -> None:
        self.out.write(encode(Hello("0.1.0", os.getpid())))
        threading.Thread(target=self.heartbeat, daemon=True).start()
        for line in sys.stdin.buffer:
            command = decode(line)
            if isinstance(command, Load):
                self.out.write(encode(Loaded(MODEL, 0.1)))
            elif isinstance(command, Measure):
                self.out.write(encode(Measured(command.request, 0, 0, (), ())))
            elif isinstance(command, Generate):
                threading.Thread(target=self.play, args=(command.request,), daemon=True).start()
        os._exit(0)

    def heartbeat(self) -> None:
        while True:
            self.out.write(encode(GAUGES))
            threading.Event().wait(2)

    def play(self, request: str) -> None:
        self.out.write(encode(Prefill(request, 100, 100, 0)))
        text = iter(lambda: "a" * 4096, "") if self.word else recorded()
        held, told = "", 0
        for tokens, rate in self.plan:
            began, sent = time.monotonic(), 0
            while sent < tokens:
                due = min(tokens, int((time.monotonic() - began) * rate) + 1)
                while len(held) < (due - sent) * TOKEN:
                    held += next(text)
                piece, held = held[: (due - sent) * TOKEN], held[(due - sent) * TOKEN :]
                told, sent = told + due - sent, due
                if piece:
                    self.out.write(encode(Delta(request, "answer", piece, told)))
                threading.Event().wait(1 / LINES_A_SECOND)
        self.out.write(encode(Finished(request, "end", Usage(100, 0, 0, told), Timings(0.0, 0.1, 200.0))))


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--plan", default="100000@200")
    arguments.add_argument("--word", type=int, default=0)
    given = arguments.parse_args()
    plan = [(int(part.split("@")[0]), float(part.split("@")[1])) for part in given.plan.split(",")]
    Player(plan, given.word).serve()


if __name__ == "__main__":
    main()

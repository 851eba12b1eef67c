"""kill -9 at any moment of a stream: everything that was painted is there after a restart."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from app.history.mending import mend
from app.history.store import Store
from tests.history.writer import PIECES

ROOT = Path(__file__).resolve().parents[2]


def killed_after(where: Path, lines: int) -> int:
    """Let a writer paint so many times, kill it there, and say how much it had painted in all."""
    command = [sys.executable, "-m", "tests.history.writer", str(where), "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.kill()
        rest = process.stdout.read()
    last = rest[: rest.rfind(b"\n") + 1].split()
    return int(last[-1]) if last else 0


@pytest.mark.parametrize("seed", range(10))
def test_every_painted_token_is_there_after_kill_9(where: Path, seed: int) -> None:
    painted = killed_after(where, random.Random(seed).randrange(1, 1500))  # noqa: S311
    store = Store(where)
    store.interrupt_open_answers()
    (summary,) = store.summaries()
    answer = store.load(summary.key).last_answer()
    store.close()
    assert answer is not None
    assert answer.ending == "interrupted"
    assert len(answer.text) >= painted
    assert "".join(PIECES).startswith(answer.text)
    assert mend(where) == "", "a file whose writer was killed is sound"

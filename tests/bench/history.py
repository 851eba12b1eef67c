"""What the history costs the window, and what it survives: by hand, because it takes minutes.

    python -m tests.bench.history [--kills 50] [--flips 2000] [--messages 100000] [--folder FOLDER]

Prints one line for each figure. FOLDER says which disk is measured; a small tmpfs is filled if this may mount one.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.chat.conversation import Answer, Conversation
from app.history import search
from app.history.failure import DamagedError, UnwritableError
from app.history.jobs import folder, settle, tidy
from app.history.mending import mend
from app.history.schema import FILE
from app.history.store import Growth, Store
from app.protocol import Find
from app.ui.library import SETTLE_AFTER

SENTENCE = "the little lamp on the hill was lit again and people of the valley looked up from their work"
WORDS = SENTENCE.split()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the history.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as home:
        os.environ["PARLEY_HOME"] = home
        commits(Path(home) / "commits")
        kills(options.kills)
        flips(Path(home), options.flips)
        full_disk(Path(home) / "small")
        large(Path(home) / "large", options.messages)


def commits(where: Path) -> None:
    """The statements of the window's own thread, a paint's each 24 bytes of text, while another process settles."""
    with closing(Store(where)) as store:
        conversation = Conversation()
        answer = conversation.ask("A long story?", (), thinking=False)
        say(
            "a question and its empty answer", [timed(lambda: store.add(conversation, conversation.nodes.values(), {}))]
        )
        paints = []
        for at in range(20_000):
            paints.append(timed(_grow(store, answer, at)))
            if at % SETTLE_AFTER == 0:
                settle(where)  # as the jobs do meanwhile
        say("one paint's commit", paints)
        answer.text, answer.stage, answer.ending = " ".join(WORDS * 1000), "over", "end"
        say("the end of an answer", [timed(lambda: store.end(answer)) for _ in range(50)])
        say("(in the jobs: log into the file and index)", [timed(lambda: settle(where)) for _ in range(3)])


def kills(count: int) -> None:
    """kill -9 of the window at random moments of a stream."""
    lost = 0
    for seed in range(count):
        shutil.rmtree(folder(), ignore_errors=True)
        thought, written = _painted_before_kill(random.Random(seed).randrange(2, 60))  # noqa: S311
        with closing(Store(folder())) as store:
            store.interrupt_open_answers()
            last = store.load(store.summaries()[0].key).last_answer()
        lost += last is None or len(last.thinking) < thought or len(last.text) < written
    print(f"kill -9 of the window: {count} times, painted text lost {lost} times")  # noqa: T201


def flips(home: Path, count: int) -> None:
    """Turned bits and missing ends."""
    sound = home / "sound"
    with closing(Store(sound)) as store:
        for _ in range(6):
            store.put(_conversation(8))
    opened = mended = 0
    for seed in range(count):
        dice = random.Random(seed)  # noqa: S311
        where = home / "flipped"
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(sound, where)
        content = bytearray((where / FILE).read_bytes())
        if seed % 10 == 0:
            del content[dice.randrange(len(content)) :]
        else:
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        (where / FILE).write_bytes(content)
        try:
            _read_all(where)
            opened += 1
        except DamagedError:
            mend(where)
            _read_all(where)
            mended += 1
    print(f"turned bits and missing ends: {count}, opened {opened}, set aside and saved {mended}")  # noqa: T201


def full_disk(where: Path) -> None:
    """A disk that fills up during a stream, and has room again."""
    with _small_disk(where) as mounted:
        if not mounted:
            print("full disk: this may not mount a small one; tests/history simulates it")  # noqa: T201
            return
        conversation = Conversation()
        answer = conversation.ask("A long story?", (), thinking=False)
        filler = where / "filler"
        with closing(Store(where / "history")) as store:
            store.add(conversation, conversation.nodes.values(), {})
            filler.write_bytes(b"x" * (shutil.disk_usage(where).free - 60_000))
            painted = refused = 0
            for _ in range(3000):
                try:
                    store.grow(answer.key, [Growth("answer", "word " * 20, 1, 0.0)])
                    painted += 100
                except UnwritableError:
                    refused += 1
                    break
            kept = store.load(conversation.key).last_answer()
            filler.unlink()
            store.put(conversation)
            held = kept is not None and len(kept.text) == painted
            print(f"full disk: said {refused} times after {painted} characters, all of them held: {held}")  # noqa: T201


def large(where: Path, messages: int) -> None:
    """A history of many years."""
    with closing(Store(where)) as store:
        longest = _conversation(2000)
        for _ in range(messages // 100):
            store.put(_conversation(50))
        store.put(longest)
        print(f"history of {messages:,} messages: {(where / FILE).stat().st_size / 1e6:.0f} MB")  # noqa: T201
        say("the list", [timed(store.summaries) for _ in range(5)])
        say("reading 2,000 turns", [timed(lambda: store.load(longest.key)) for _ in range(5)])
        say("one paint's commit", [timed(_grow(store, _last(longest), at)) for at in range(2000)])
        say("(in the jobs: the first index)", [timed(lambda: search.catch_up(where))])
        for words in ("lamp hill", "zebra", "up", "work lit 77"):
            say(f"(in the jobs: search for “{words}”)", [timed(lambda w=words: search.find(where, Find("1", w)))])  # type: ignore[misc]
    say("(in the jobs: tidying)", [timed(lambda: tidy(where))])


def say(what: str, seconds: list[float]) -> None:
    ordered = sorted(1000 * second for second in seconds)
    middle, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    print(f"{what}: median {middle:.3f} ms, 99 % {late:.3f} ms, longest {ordered[-1]:.3f} ms")  # noqa: T201


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _grow(store: Store, answer: Answer, at: int) -> Callable[[], None]:
    return lambda: store.grow(answer.key, [Growth("answer", " ".join(WORDS[at % 9 : at % 9 + 5]), at, 0.0)])


def _last(conversation: Conversation) -> Answer:
    last = conversation.last_answer()
    assert last is not None
    return last


def _conversation(turns: int) -> Conversation:
    conversation = Conversation()
    for turn in range(turns):
        answer = conversation.ask(" ".join([*WORDS[turn % 9 :], str(turn)]), (), thinking=False)
        answer.text, answer.stage, answer.ending = " ".join(WORDS * 6), "over", "end"
    return conversation


def _read_all(where: Path) -> None:
    with closing(Store(where)) as store:
        for summary in store.summaries():
            store.load(summary.key)


def _painted_before_kill(paints: int) -> tuple[int, int]:
    command = [sys.executable, "-m", "tests.ui.watched_window"]
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(paints)]
        process.kill()
        lines += process.stdout.read().split(b"\n")
    thought, written = [line for line in lines if line.strip()][-1].split()
    return int(thought), int(written)


@contextmanager
def _small_disk(where: Path) -> Iterator[bool]:
    where.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(where)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(where)], check=False)


if __name__ == "__main__":
    main()

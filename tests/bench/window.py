"""What the window costs: its longest block, processor and memory, while long answers stream and long chats are read.

    python -m tests.bench.window [--depths 0,30000,100000] [--seconds 15] [--faster 20] [--only stream,open,word,theme]

Prints one line for each figure. Answers are played at 200 tokens a second where it is measured, and `--faster` times
that on the way to each depth. A block is the time between two turns of a timer that is due every 4 ms; beside it stands
how much of it the window's own thread computed, which is what a machine with nothing else to do would take.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing

import psutil
from PySide6.QtCore import QElapsedTimer, QObject, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication

from app.chat.conversation import Conversation
from app.history.jobs import folder
from app.history.store import Store
from app.programs import Program
from app.ui.application import Face, prepare
from tests.ui.conftest import ROOT, ask, fake, until
from tests.ui.fake_engine import CODE, LIST, SENTENCE, TABLE
from tests.ui.screenshots import wait

RATE = 200
TURNS = 2_000
FRAME_MS, TURN_MS = 16, 4


class Watch(QObject):
    """Notes the longest time between two turns of the event loop, on the clock and of this thread."""

    def __init__(self) -> None:
        super().__init__()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_turn)
        self._timer.start(TURN_MS)
        self.begin()

    def begin(self) -> None:
        """Forget what was."""
        self.longest = self.longest_own = 0.0
        self._last, self._last_own = time.perf_counter(), time.thread_time()

    def words(self) -> str:
        """What was, since it began."""
        return f"longest block {self.longest * 1000:5.1f} ms ({self.longest_own * 1000:5.1f} computing)"

    def share(self, milliseconds: int) -> float:
        """How much of a core this process takes from now on, without the timer, which itself takes a tenth."""
        self._timer.stop()
        began, began_own = time.perf_counter(), time.process_time()
        wait(milliseconds)
        share = (time.process_time() - began_own) / (time.perf_counter() - began)
        self._timer.start(TURN_MS)
        return share

    @Slot()
    def _on_turn(self) -> None:
        now, own = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self.longest_own = max(self.longest_own, own - self._last_own)
        self._last, self._last_own = now, own


class Bench:
    """Opens windows and measures them."""

    def __init__(self, app: QApplication, theme: str) -> None:
        self.app = app
        self.theme = theme
        self.watch = Watch()

    def face(self, engine: Program) -> Face:
        face = Face(self.app, engine, fake("fake_decoder"))
        face.window.resize(1360, 860)
        face.show()
        face.window.preferences.change(theme=self.theme)
        until(lambda: face.ready, "the model is loaded")
        wait(300)
        return face

    def end(self, face: Face) -> None:
        face.close()
        face.window.close()
        face.window.deleteLater()
        wait(200)

    def say(self, what: str, words: str) -> None:
        print(f"{self.theme:5} {what:44} {words}", flush=True)  # noqa: T201

    def timed(self, what: str, act: Callable[[], object], settled: Callable[[], object]) -> None:
        """How long something takes until it is settled, and what it blocks."""
        self.watch.begin()
        clock = QElapsedTimer()
        clock.start()
        act()
        until(settled, what, 120_000)
        self.say(what, f"{clock.elapsed():5d} ms, {self.watch.words()}")

    # ---- streaming -------------------------------------------------------------------------------------------------

    def stream(self, depths: list[int], seconds: int, faster: float) -> None:
        parts, at = [], 0
        for depth in depths:
            parts += [(depth - at, RATE * faster)] * (depth > at) + [(seconds * RATE, float(RATE))]
            at = max(at, depth) + seconds * RATE
        plan = ",".join(f"{tokens}@{rate}" for tokens, rate in parts)
        face = self.face(Program([sys.executable, "-m", "tests.bench.played", "--plan", plan], ROOT))
        ask(face.window, "Everything, please")
        for depth in depths:
            until(lambda depth=depth: _written(face) >= depth, f"{depth} tokens", 600_000)  # type: ignore[misc]
            self.watch.begin()
            wait(seconds * 500)
            share = self.watch.share(seconds * 500 - 1500)
            memory = psutil.Process().memory_info().rss / 1e6
            self.say(
                f"streaming, {depth} tokens written", f"{self.watch.words()}, {share:.0%} of a core, {memory:.0f} MB"
            )
        until(lambda: not face.session.running(face.session.current), "the end", 600_000)
        self.read(face, "that answer")
        self.end(face)

    def read(self, face: Face, what: str) -> None:
        """Scroll upwards for five seconds, as fast as one can look."""
        wait(500)
        bar = face.window.transcript.area.verticalScrollBar()
        frames, clock = 0, QElapsedTimer()
        self.watch.begin()
        clock.start()
        while clock.elapsed() < 5_000:
            bar.setValue(bar.value() - 60)
            face.window.transcript.area.viewport().repaint()
            frames += 1
            wait(max(1, FRAME_MS * frames - clock.elapsed()))
        self.say(f"scrolling in {what}", f"{frames / 5:.0f} frames a second, {self.watch.words()}")

    # ---- reading ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        conversation = Conversation()
        for turn in range(TURNS):
            answer = conversation.ask(f"And what about the lamp, part {turn}?", (), thinking=False)
            answer.text = (SENTENCE * 3, LIST, CODE, SENTENCE * 12)[turn % 4]
            answer.stage, answer.ending = "over", "end"
        with closing(Store(folder())) as store:
            store.put(conversation)
        face = self.face(fake("fake_engine"))
        self.timed(f"opening {TURNS} turns", lambda: face.session.open(conversation.key), lambda: _settled(face))
        self.read(face, f"{TURNS} turns")
        self.end(face)

    def word(self) -> None:
        tokens = 250_000
        engine = Program([sys.executable, "-m", "tests.bench.played", "--plan", f"{tokens}@50000", "--word", "1"], ROOT)
        face = self.face(engine)
        self.timed(
            "a word of 1 MB, streaming",
            lambda: ask(face.window, "One word"),
            lambda: _written(face) >= tokens and not face.session.running(face.session.current),
        )
        kept = face.session.current
        face.session.new_conversation()
        wait(500)
        self.timed("the same, opened again", lambda: face.session.open(kept.key), lambda: _settled(face))
        self.end(face)

    def switch(self) -> None:
        conversation = Conversation()
        for turn in range(25):
            answer = conversation.ask(f"Table {turn}?", (), thinking=False)
            answer.text, answer.stage, answer.ending = (TABLE + "\n" + CODE) * 3, "over", "end"
        with closing(Store(folder())) as store:
            store.put(conversation)
        face = self.face(fake("fake_engine"))
        face.session.open(conversation.key)
        until(lambda: _settled(face))
        bar = face.window.transcript.area.verticalScrollBar()
        for place in range(bar.maximum(), 0, -400):
            bar.setValue(place)
            wait(20)
        other = "dark" if self.theme == "light" else "light"
        self.timed(
            "another theme over 25 turns of tables",
            lambda: face.window.preferences.change(theme=other),
            lambda: _settled(face),
        )
        self.end(face)


def _written(face: Face) -> int:
    answer = face.session.current.last_answer()
    return answer.answer_tokens if answer is not None else 0


def _settled(face: Face) -> bool:
    transcript = face.window.transcript
    return not transcript.building and bool(face.session.current.nodes)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the window.")
    parser.add_argument("--depths", default="0,30000,100000")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--faster", type=float, default=20)
    parser.add_argument("--themes", default="light,dark")
    parser.add_argument("--only", default="stream,open,word,theme")
    options = parser.parse_args()
    app = QApplication(sys.argv[:1])
    prepare(app)
    for theme in options.themes.split(","):
        bench = Bench(app, theme)
        for what, measure in (
            (
                "stream",
                lambda bench=bench: bench.stream(
                    [int(d) for d in options.depths.split(",")], options.seconds, options.faster
                ),
            ),
            ("open", bench.open),
            ("word", bench.word),
            ("theme", bench.switch),
        ):
            if what in options.only.split(","):
                with tempfile.TemporaryDirectory() as home:
                    os.environ["PARLEY_HOME"] = home
                    measure()


if __name__ == "__main__":
    main()

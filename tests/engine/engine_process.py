"""The real engine as a child process, for tests: what it says, with a limit to every wait."""

import queue
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.programs import program
from app.protocol import ChatMessage, Generate, Message, Sampling, Text, decode, encode

_M = TypeVar("_M", bound=Message)

WAIT_SECONDS = 60.0


class EngineProcess:
    """Starts the engine; `heard` is everything that it has said so far."""

    def __init__(self, *prelude: str) -> None:
        command = program("engine")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*command.argv[:1], *prelude] if prelude else command.argv,
            cwd=command.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.heard: list[Message] = []
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, *messages: Message | bytes) -> None:
        assert self.process.stdin is not None
        for message in messages:
            self.process.stdin.write(message if isinstance(message, bytes) else encode(message))
        self.process.stdin.flush()

    def until(self, kind: type[_M], such: Callable[[_M], bool] | None = None) -> _M:
        """The next message of a kind, and, if wanted, such a one."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            assert line, f"the engine ended after {self.heard[-3:]}"
            message = decode(line)
            self.heard.append(message)
            if isinstance(message, kind) and (such is None or such(message)):
                return message

    def close(self) -> float:
        """Close its stdin; the seconds that it took to end."""
        assert self.process.stdin is not None
        began = time.monotonic()
        self.process.stdin.close()
        self.process.wait(WAIT_SECONDS)
        return time.monotonic() - began

    def end(self) -> None:
        """Whatever happened: no process stays."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            for line in pipe:
                self._lines.put(line)
        self._lines.put(b"")


def question(text: str, *, request: str = "r", max_tokens: int = 32768, seed: int | None = 1) -> Generate:
    """A plain question."""
    sampling = Sampling(seed=seed)
    return Generate(request, "c", (ChatMessage("user", (Text(text),)),), sampling=sampling, max_tokens=max_tokens)


def random_model(folder: Path) -> Path:
    """A tiny model that never ends its answer by itself: it says whatever comes."""
    from tests.checkpoints import IDS, config_json, random_tensors, save_weights, write_small_files

    write_small_files(folder, config_json())
    tensors = random_tensors(folder, 0)
    # Ten times as large, the other logits leave these behind, whatever the presence penalty takes from them.
    tensors["lm_head.weight"] *= 10.0
    for name in ("<|im_end|>", "<|endoftext|>", "<think>", "</think>"):
        tensors["lm_head.weight"][IDS[name]] = 0.0
    save_weights(folder, tensors)
    return folder

"""What `parley ask` writes while it works: the thinking dimmed on stderr, the answer on stdout, progress on a terminal.

Knows: terminals. Does not know: where the text comes from. A model may write anything, so control characters never
reach a terminal, where they could change its title or its colours or worse.
"""

import re
import sys
from typing import TextIO

from app.protocol import Channel, Delta, EngineEvent, Loading, Prefill

_DIM, _PLAIN, _CLEAR = "\x1b[2m", "\x1b[0m", "\r\x1b[K"
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WORTH_SHOWING = 4096
"""Shorter prompts are read before their progress could be."""


class Screen:
    """Shows events as they come; `silent` shows only progress, for `--json` and `--batch`."""

    def __init__(self, *, silent: bool, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._silent = silent
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._progress = ""
        self._last: Channel | None = None

    def hear(self, event: EngineEvent) -> None:
        """Show what is worth showing."""
        match event:
            case Loading(stage, done, total):
                self._show_progress(f"{stage} {100 * done // total} %" if total else stage)
            case Prefill(done=done, total=total) if total >= _WORTH_SHOWING:
                self._show_progress(f"Reading {done:,} of {total:,} tokens")
            case Delta(channel=channel, text=text):
                self.clear()
                if not self._silent:
                    self._write(channel, text)

    def clear(self) -> None:
        """Take the line of progress away."""
        if self._progress:
            self._err.write(_CLEAR)
            self._err.flush()
        self._progress = ""

    def end(self) -> None:
        """End the last line."""
        self.clear()
        if self._last is not None:
            stream = self._out if self._last == "answer" else self._err
            stream.write("\n")
            stream.flush()
        self._last = None

    def _show_progress(self, text: str) -> None:
        if self._err.isatty() and text != self._progress:
            self._err.write(f"{_CLEAR}{text}…")
            self._err.flush()
            self._progress = text

    def _write(self, channel: Channel, text: str) -> None:
        if self._last == "thinking" and channel == "answer":
            self._err.write("\n\n" if self._err.isatty() else "\n")
            self._err.flush()
        self._last = channel
        stream = self._out if channel == "answer" else self._err
        if stream.isatty():
            text = _CONTROLS.sub("", text)
            text = f"{_DIM}{text}{_PLAIN}" if channel == "thinking" else text
        stream.write(text)
        stream.flush()

"""Draws one formula after another: one command of the protocol a line in, one reply a line out, until stdin closes.

Knows no window. A formula that takes too long is the window's to notice: it ends this process and starts another.
"""

import os
import sys
from contextlib import suppress

from app.formulas.drawing import drawn
from app.protocol import DrawFormula, FormulaDrawn, FormulaRefused, decode, encode


def serve() -> int:
    """Draw what stdin asks for; the exit code."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # no library's print can break the stream
    with suppress(BrokenPipeError):
        for line in sys.stdin.buffer:
            command = decode(line)
            if isinstance(command, DrawFormula):
                answers.write(encode(answer(command)))
                answers.flush()
    return 0


def answer(command: DrawFormula) -> FormulaDrawn | FormulaRefused:
    """The outline of a formula, or that it cannot be drawn."""
    try:
        return drawn(command)
    except Exception:  # noqa: BLE001  (models write anything, and the library fails in as many ways)
        return FormulaRefused(command.request)

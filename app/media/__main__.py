"""The decoder program, `python -m app.media`: its parent, or with `--job` one job of it. Knows only its streams."""

import os
import sys
from typing import BinaryIO

from app.media import JOB_ARGUMENT


def main() -> None:
    """Claim stdout for messages before anything else can print there, then serve until stdin closes."""
    answers = _claimed_stdout()
    if sys.argv[1:] == [JOB_ARGUMENT]:
        from app.media.job import run_job  # noqa: PLC0415  (only after stdout is claimed)

        run_job(answers)
    else:
        from app.media.program import serve  # noqa: PLC0415

        serve(sys.stdin.buffer, answers)


def _claimed_stdout() -> BinaryIO:
    """A private copy of fd 1; fd 1 itself goes to stderr from here on, so that no library's print breaks the stream."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "wb")


if __name__ == "__main__":
    main()

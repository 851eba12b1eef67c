"""The engine program, `python -m app.engine`: its streams, its first word, its threads.

Knows in which order a process that speaks over its stdout has to begin: claim the stream, say hello, listen, and only
then import what takes seconds and prints.
"""

import os
import signal
import sys

from app import __version__
from app.engine.allocation import let_segments_grow
from app.engine.wire import Pulse, Reader, Wire, claim_stdout
from app.protocol import Hello, Loading

_IMPORT_BEATS = 120


def main() -> None:
    """Run until stdin closes; or, told to `inspect`, answer that one question."""
    let_segments_grow(os.environ)
    if sys.argv[1:2] == ["inspect"]:
        from app.engine.inspection import serve  # noqa: PLC0415 - torch takes seconds

        sys.exit(serve(sys.argv[2]))
    wire = Wire(claim_stdout())
    wire.send(Hello(__version__, os.getpid()))
    # The face decides when the engine ends, by closing stdin; Ctrl+C in a terminal is meant for the face.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reader = Reader(sys.stdin.buffer, wire)
    reader.start()
    with Pulse(wire, Loading("Loading libraries", 0, 0), beats=_IMPORT_BEATS):
        from app.engine.worker import Worker  # noqa: PLC0415 - torch takes seconds; Hello is long sent
    Worker(wire, reader).run()


if __name__ == "__main__":
    main()

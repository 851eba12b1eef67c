"""The downloader program, `python -m app.download`. Knows only how it begins."""

import signal

from app.download.program import serve

if __name__ == "__main__":
    # The face decides when it ends, by closing stdin; Ctrl+C in a terminal is meant for the face.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve()

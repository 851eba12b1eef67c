"""Entry of the frozen `parley-engine`, and of the program that measures, which needs the same libraries. Knows only how
a frozen program starts.

Libraries that start `sys.executable` with a script of theirs (GPTQModel's kernel generator does) would start a second
engine here; beside `bench` and `inspect` it takes no arguments, so it refuses them.
"""

import multiprocessing
import sys

from app.engine.__main__ import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    if sys.argv[1:2] == ["bench"]:
        from app.bench.__main__ import main as bench  # torch takes seconds, and an engine says hello before

        sys.exit(bench(sys.argv[2:]))
    if sys.argv[1:] and sys.argv[1:2] != ["inspect"]:
        sys.exit("parley-engine takes no arguments: it reads commands from standard input.")
    main()

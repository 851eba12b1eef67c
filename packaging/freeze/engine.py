"""Entry of the frozen `parley-engine`. Knows only how a frozen program starts.

Libraries that start `sys.executable` with a script of theirs (GPTQModel's kernel generator does) would start a second
engine here; it takes no arguments, so it refuses them.
"""

import multiprocessing
import sys

from app.engine.__main__ import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    if sys.argv[1:]:
        sys.exit("parley-engine takes no arguments: it reads commands from standard input.")
    main()

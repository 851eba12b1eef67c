"""Entry of the frozen `parley`: the window, and `parley ask` and other words. Knows only how it starts frozen."""

import multiprocessing
import sys

from app.__main__ import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    sys.exit(main())

"""The program of the history's jobs; frozen, it is the window's program with an argument of its own."""

import sys

from app.history.jobs import serve

sys.exit(serve())

"""The program that draws formulas; frozen, it is the window's program with an argument of its own."""

import sys

from app.formulas.program import serve

sys.exit(serve())

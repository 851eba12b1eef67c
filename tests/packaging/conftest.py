"""Lets these tests import the scripts below packaging/, which are no package: they run before anything is installed."""

import sys
from pathlib import Path

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
sys.path[:0] = [str(PACKAGING / folder) for folder in ("", "freeze", "linux", "windows")]

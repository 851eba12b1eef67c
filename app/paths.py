"""Where Parley keeps things, and where what it ships lies. Knows no setting and creates nothing by itself.

`PARLEY_HOME` moves everything that Parley writes below one folder: a portable installation, or a test.
"""

import os
import sys
from pathlib import Path

import platformdirs


def _home() -> Path | None:
    home = os.environ.get("PARLEY_HOME")
    # Absolute, because the decoder and the engine run in another folder than the window does.
    return Path(home).absolute() if home else None


def data_dir() -> Path:
    """Conversations and settings: what must not be lost."""
    home = _home()
    return home / "data" if home else Path(platformdirs.user_data_dir("parley", appauthor=False))


def cache_dir() -> Path:
    """Decoded media and engine states: what can be made again."""
    home = _home()
    return home / "cache" if home else Path(platformdirs.user_cache_dir("parley", appauthor=False))


def log_dir() -> Path:
    """The engine's and the window's logs."""
    home = _home()
    return home / "log" if home else Path(platformdirs.user_log_dir("parley", appauthor=False))


def models_dir() -> Path:
    """Models that Parley downloaded, unless the person chose another place."""
    return data_dir() / "models"


def resources_dir() -> Path:
    """Icons, fonts, themes and the demo model, in a checkout and in the frozen program alike."""
    frozen = getattr(sys, "_MEIPASS", None)
    return Path(frozen) / "resources" if frozen else Path(__file__).resolve().parent.parent / "resources"


def demo_model_dir() -> Path:
    """The tiny model that comes with Parley."""
    return resources_dir() / "demo-model"

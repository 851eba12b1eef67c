"""The person's settings: each declared once, here, kept as one JSON file.

Knows: names, kinds, defaults and the file. Does not know: who uses a setting. A file that makes no sense is set aside
as `settings.broken.json`, never overwritten, and the defaults are used.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app import paths
from app.protocol import ProtocolError, from_plain, to_plain

ThemeChoice = Literal["system", "light", "dark"]
Device = Literal["auto", "cuda", "cpu"]
Backend = Literal["parley", "gptqmodel"]
Yarn = Literal[1, 2, 4]


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. An empty `model` means the demo model; `context` None, the largest that fits;
    `unload_after`, minutes without use after which the model is unloaded, 0 never."""

    theme: ThemeChoice = "system"
    thinking: bool = True
    preset: str = ""
    model: str = ""
    device: Device = "auto"
    backend: Backend = "parley"
    context: int | None = None
    yarn: Yarn = 1
    unload_after: int = 0
    window_width: int = 1360
    window_height: int = 860
    window_maximized: bool = False
    sidebar_shown: bool = True
    sidebar_width: int = 248
    pane_folded: bool = False
    pane_width: int = 344

    def model_dir(self) -> Path:
        """The folder of the checkpoint to load."""
        return Path(self.model) if self.model else paths.demo_model_dir()


def settings_file() -> Path:
    """Where the settings are kept."""
    return paths.data_dir() / "settings.json"


def load() -> Settings:
    """The settings as they were saved, or the defaults."""
    file = settings_file()
    try:
        return from_plain(Settings, json.loads(file.read_bytes()))
    except FileNotFoundError:
        return Settings()
    except (ProtocolError, ValueError, RecursionError):
        with suppress(OSError):  # a folder that cannot be written to
            file.replace(file.with_name("settings.broken.json"))
        return Settings()
    except OSError:
        return Settings()


def save(settings: Settings) -> None:
    """Write the settings so that a crash leaves either the old or the new file. Raises OSError."""
    file = settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name("settings.new.json")
    fresh.write_text(json.dumps(to_plain(settings), indent=1), encoding="utf-8")
    fresh.replace(file)

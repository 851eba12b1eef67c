"""The person's settings, each declared once: kind, default, limits, words, and the section that shows it.

Knows: the table. The dialog, its search, the checks, going back to a default and the file all follow from it. Does not
know: who uses a setting. What the file holds is read one by one: what makes no sense costs only itself.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from app import paths
from app.kinds import (
    Choice,
    Entries,
    Family,
    Keys,
    Kind,
    Line,
    Number,
    PresetKey,
    Prompt,
    PromptKey,
    Switch,
    preset_fits,
    prompt_fits,
)
from app.presets import Preset
from app.protocol import to_plain

ThemeChoice = Literal["system", "light", "dark"]
Device = Literal["auto", "cuda", "cpu"]
Backend = Literal["parley", "gptqmodel"]
Yarn = Literal[1, 2, 4]
KvBits = Literal[16, 8]
OnClose = Literal["quit", "tray"]

LOOK, CHAT, MODEL, WINDOW = "Look", "New conversations", "Model and memory", "Window"
PRESETS, PROMPTS, KEYS = "Presets", "System prompts", "Keys"
SECTIONS = (LOOK, CHAT, PRESETS, PROMPTS, MODEL, WINDOW, KEYS)
THEMES = Choice((("system", "Like the system"), ("light", "Light"), ("dark", "Dark")))
DEVICES = Choice((("auto", "The best there is"), ("cuda", "GPU"), ("cpu", "Processor only")))
BACKENDS = Choice((("parley", "Parley"), ("gptqmodel", "GPTQModel (slower, for comparison)")))
CONTEXTS = Choice(
    (
        (None, "As large as fits"),
        (8_192, "8K tokens"),
        (32_768, "32K tokens"),
        (131_072, "128K tokens"),
        (262_144, "256K tokens"),
        (524_288, "512K tokens, with YaRN"),
        (1_010_000, "1M tokens, with YaRN"),
    ),
    other=Number(1, 2**31 - 1, "tokens"),
)
YARN = Choice(((1, "Off"), (2, "To twice the context"), (4, "To four times the context")))
BUDGETS = Choice(((0, "No limit"), (2_048, "2K tokens"), (8_192, "8K tokens"), (32_768, "32K tokens")))
KV_BITS = Choice(((16, "16 bits"), (8, "8 bits: twice the context")))
ON_CLOSE = Choice((("quit", "Quit Parley"), ("tray", "Stay in the tray")))
UNUSED = Number(1, 1440, "minutes", zero="Never")
LONG = Number(5, 3600, "seconds", zero="Never")
PRESET_LIST, PROMPT_LIST = Entries(Preset, preset_fits), Entries(Prompt, prompt_fits)
LARGEST_FILE = 16_000_000
MOST_ASIDE = 1000
ASIDE = "set aside"


class Declared(NamedTuple):
    """What the table says of a setting: `section` is empty where it is changed elsewhere, such as a width."""

    kind: Kind
    section: str
    words: str
    hint: str


def _told(kind: Kind, section: str = "", words: str = "", hint: str = "") -> dict[str, Declared]:
    return {"declared": Declared(kind, section, words, hint)}


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default, in the order in which they are shown. An empty `model` means the demo model."""

    theme: ThemeChoice = field(default="system", metadata=_told(THEMES, LOOK, "Theme"))
    font: str = field(default="Inter", metadata=_told(Family(), LOOK, "Font", "Of all text but code."))
    font_size: int = field(default=14, metadata=_told(Number(11, 20, "px"), LOOK, "Size of text"))
    line_width: int = field(
        default=720, metadata=_told(Number(480, 1600, "px"), LOOK, "Width of lines", "The widest that text becomes.")
    )
    reduced_motion: bool = field(
        default=False,
        metadata=_told(Switch(), LOOK, "Reduced motion", "Nothing fades, slides or blinks, the text cursor included."),
    )
    thinking: bool = field(
        default=True, metadata=_told(Switch(), CHAT, "Thinking", "Whether the model thinks before it answers.")
    )
    thinking_budget: int = field(
        default=0,
        metadata=_told(BUDGETS, CHAT, "Limit of thinking", "Then the model is led to its answer, if it still thinks."),
    )
    preset: str = field(default="", metadata=_told(PresetKey(), CHAT, "Preset", "How the next word is drawn."))
    prompt: str = field(
        default="",
        metadata=_told(PromptKey(), CHAT, "System prompt", "What the model is told before your first message."),
    )
    titles: bool = field(
        default=True,
        metadata=_told(Switch(), CHAT, "Titles by the model", "It names new conversations when it has nothing to do."),
    )
    presets: tuple[Preset, ...] = field(
        default=(), metadata=_told(PRESET_LIST, PRESETS, "Your presets", "Temperature, top p, top k, min p, penalty.")
    )
    prompts: tuple[Prompt, ...] = field(
        default=(), metadata=_told(PROMPT_LIST, PROMPTS, "Your library", "Texts that tell the model what to be.")
    )
    model: str = field(default="", metadata=_told(Line()))
    models_folder: str = field(default="", metadata=_told(Line()))
    proxy: str = field(default="", metadata=_told(Line()))
    welcomed: bool = field(default=False, metadata=_told(Switch()))
    device: Device = field(default="auto", metadata=_told(DEVICES, MODEL, "Device", "Where the model runs."))
    backend: Backend = field(default="parley", metadata=_told(BACKENDS, MODEL, "Engine", "What computes the answers."))
    context: int | None = field(
        default=None, metadata=_told(CONTEXTS, MODEL, "Context", "How much the model has in mind at once.")
    )
    yarn: Yarn = field(
        default=1,
        metadata=_told(YARN, MODEL, "Stretch positions (YaRN)", "More context than the model's own, at some cost."),
    )
    kv_bits: KvBits = field(
        default=16,
        metadata=_told(KV_BITS, MODEL, "Keys and values", "What the context is kept in on the GPU."),
    )
    unload_after: int = field(
        default=0,
        metadata=_told(UNUSED, MODEL, "Unload when not used", "The model comes back with your next question."),
    )
    on_close: OnClose = field(default="quit", metadata=_told(ON_CLOSE, WINDOW, "When the window is closed"))
    notify_after: int = field(
        default=30,
        metadata=_told(LONG, WINDOW, "Tell when an answer is done", "If it took so long and you are elsewhere."),
    )
    keys: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict, metadata=_told(Keys(), KEYS, "Keys", "Of every command.")
    )
    window_width: int = field(default=1360, metadata=_told(Number(1, 65_535)))
    window_height: int = field(default=860, metadata=_told(Number(1, 65_535)))
    window_maximized: bool = field(default=False, metadata=_told(Switch()))
    sidebar_shown: bool = field(default=True, metadata=_told(Switch()))
    sidebar_width: int = field(default=248, metadata=_told(Number(0, 65_535)))
    pane_folded: bool = field(default=False, metadata=_told(Switch()))
    pane_width: int = field(default=344, metadata=_told(Number(0, 65_535)))

    def model_dir(self) -> Path:
        """The folder of the checkpoint to load."""
        return Path(self.model) if self.model else paths.demo_model_dir()


_DEFAULTS = Settings()


def declared() -> Iterator[tuple[str, Declared]]:
    """Every setting by name, with what the table says of it."""
    for each in fields(Settings):
        yield each.name, each.metadata["declared"]


def default_of(name: str) -> Any:
    """What a setting is unless it is chosen."""
    return getattr(_DEFAULTS, name)


def settings_file() -> Path:
    """Where the settings are kept."""
    return paths.data_dir() / "settings.json"


def load() -> Settings:
    """The settings as they were saved; defaults for what was not, or makes no sense."""
    return read()[0]


def read() -> tuple[Settings, str]:
    """The settings as they were saved, and a sentence if something in their file made no sense."""
    file = settings_file()
    try:
        plain = _contents(file)
    except FileNotFoundError:
        return Settings(), ""
    except OSError as error:
        return Settings(), f"The settings could not be read ({error.strerror}), so those of a new Parley are used."
    except (ValueError, RecursionError):
        kept = _put_aside(file)
        where = f"it is kept as {kept.name}" if kept else "it is left as it is"
        return Settings(), f"The file with your settings makes no sense, so those of a new Parley are used; {where}."
    values, _aside, fresh = _sorted_out(plain)
    sentence = ""
    if fresh:
        names = ", ".join(f"“{name[:40]}”" for name in fresh[:3]) + (" and others" if len(fresh) > 3 else "")
        sentence = f"Some settings make no sense to this Parley and are kept aside in {file.name}: {names}."
    return Settings(**values), sentence


def save(settings: Settings) -> None:
    """Write what differs from the defaults, so that a crash leaves either the old or the new file; what made no sense
    in the old one stays in it, aside. Raises OSError."""
    file = settings_file()
    aside: list[Any] = []
    try:
        _values, aside, _fresh = _sorted_out(_contents(file))
    except FileNotFoundError:
        pass
    except (ValueError, RecursionError):
        _put_aside(file)
    chosen = {name: getattr(settings, name) for name, _ in declared()}
    written = {name: _plain(value) for name, value in chosen.items() if value != default_of(name)}
    if aside:
        written[ASIDE] = aside[-MOST_ASIDE:]
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh_file = file.with_name("settings.new.json")
    fresh_file.write_text(json.dumps(written, indent=1), encoding="utf-8")
    fresh_file.replace(file)


def _contents(file: Path) -> dict[str, Any]:
    """What the file holds. Raises OSError, ValueError, RecursionError."""
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError("much too large")
    plain = json.loads(file.read_bytes())
    if not isinstance(plain, dict):
        raise ValueError("no object")
    return plain


def _sorted_out(plain: dict[str, Any]) -> tuple[dict[str, Any], list[Any], list[str]]:
    """The values that make sense, then what is to be kept aside: unknown settings, bad values, the bad parts of lists;
    last the names of what is new in that. What an older Parley put aside counts again where this one knows it."""
    kinds = {name: each.kind for name, each in declared()}
    earlier = plain.get(ASIDE)
    items = [(each, False) for each in (earlier if isinstance(earlier, list) else []) if _is_aside(each)]
    items += [({"setting": name, "value": plain[name]}, True) for name in plain if name not in (ASIDE, "type")]
    values: dict[str, Any] = {}
    aside: list[Any] = []
    fresh: list[str] = []
    for item, is_fresh in items:  # what counts now comes last, and over what was put aside
        name, value = item["setting"], item["value"]
        try:
            understood, rest = kinds[name].read(value)
            values[name] = _joined(values.get(name), understood)
        except (KeyError, ValueError):
            rest = value
        else:
            if rest is None:
                continue
        aside.append({"setting": name, "value": rest})
        fresh += [name] if is_fresh else []
    return values, aside, fresh


def _joined(earlier: Any, now: Any) -> Any:
    """What counts now, and of a list or of keys also what an older Parley had put aside."""
    if isinstance(now, Mapping) and earlier:
        return {**earlier, **now}
    if isinstance(now, tuple) and earlier:
        known = {each.key for each in now}
        return (*now, *(each for each in earlier if each.key not in known))
    return now


def _is_aside(each: Any) -> bool:
    return isinstance(each, dict) and each.keys() == {"setting", "value"} and isinstance(each["setting"], str)


def _put_aside(file: Path) -> Path | None:
    """Move a file that makes no sense out of the way, over nothing that was there before; where it is now."""
    for number in range(1, 100):
        kept = file.with_name(f"settings.broken{f'-{number}' if number > 1 else ''}.json")
        if kept.exists():
            continue
        with suppress(OSError):  # a folder that cannot be written to
            file.replace(kept)
            return kept
        break
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: list(keys) for name, keys in value.items()}
    return to_plain(value)

"""What counts in a conversation: what was chosen for it and, where it says nothing, the person's settings.

Knows settings, presets, prompts and the choices of a conversation. Does not know widgets, the engine, or who asks.
"""

from app.chat.conversation import Choices
from app.presets import Preset, default_sampling, found
from app.protocol import Sampling
from app.settings import Settings


def for_new(settings: Settings) -> Choices:
    """What a new conversation begins with."""
    text = next((prompt.text for prompt in settings.prompts if prompt.key == settings.prompt), "")
    return Choices(settings.thinking, settings.preset, text, settings.thinking_budget)


def followed(text: str | None, before: Settings, settings: Settings) -> str | None:
    """A system prompt of a conversation in which nothing was said yet, once the library has changed: one of the
    library is what it is there now, one that was written for the conversation stays."""
    alike = [each.key for each in before.prompts if each.text == (text or "")]
    key = before.prompt if before.prompt in alike else alike[0] if alike and text else ""
    gone = "" if key else text
    return next((each.text for each in settings.prompts if each.key == key), gone)


def thinks(choices: Choices, settings: Settings) -> bool:
    """Whether the model thinks before it answers."""
    return settings.thinking if choices.thinking is None else choices.thinking


def thinking_budget(choices: Choices, settings: Settings) -> int:
    """Tokens of thinking after which the model is led to its answer; 0 is no limit."""
    return settings.thinking_budget if choices.thinking_budget is None else choices.thinking_budget


def preset_of(choices: Choices, settings: Settings) -> Preset | None:
    """The preset that was chosen; None for what suits the model, also if it was an own one that is no more."""
    return found(settings.preset if choices.preset is None else choices.preset, settings.presets)


def sampling_of(choices: Choices, settings: Settings, *, thinking: bool, demo: bool) -> Sampling:
    """How the next word is drawn."""
    preset = preset_of(choices, settings)
    return preset.sampling if preset else default_sampling(thinking=thinking, demo=demo)

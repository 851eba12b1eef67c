"""Every command that has keys: its name, its words, its keys until the person chooses others, and where they count.

Knows the table. The bindings (`keys`), the list of keys and the settings follow from it. Does not know what a command
does, nor any widget.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Where = Literal["window", "messages", "empty draft"]
CONVERSATIONS, ANSWERS, WRITING, VIEW = "Conversations", "Messages", "Writing", "Window"


class Command(NamedTuple):
    """`where` is what has the keyboard while the keys count: anything in the window, a message that is read and not
    written, or the draft while nothing is in it."""

    name: str
    words: str
    group: str
    keys: tuple[str, ...]
    where: Where = "window"


COMMANDS = (
    Command("new", "New conversation", CONVERSATIONS, ("Ctrl+N", "Ctrl+Shift+O")),
    Command("search", "Search all conversations", CONVERSATIONS, ("Ctrl+K",)),
    Command("find", "Find in the conversation", CONVERSATIONS, ("Ctrl+F",)),
    Command("next", "Next conversation", CONVERSATIONS, ("Ctrl+Tab",)),
    Command("previous", "Previous conversation", CONVERSATIONS, ("Ctrl+Shift+Tab",)),
    Command("rename", "Rename the conversation", CONVERSATIONS, ("F2",)),
    Command("file", "Put the conversation into a folder", CONVERSATIONS, ("Ctrl+Shift+M",)),
    Command("again", "Answer once more", ANSWERS, ("Ctrl+R",)),
    Command("continue", "Go on with the answer", ANSWERS, ("Alt+Return",)),
    Command("stop", "Stop the answer, close what is open", ANSWERS, ("Esc",)),
    Command("older", "The version before", ANSWERS, ("Left",), "messages"),
    Command("newer", "The next version", ANSWERS, ("Right",), "messages"),
    Command("copy", "Copy the last answer", ANSWERS, ("Ctrl+Shift+C",)),
    Command("copy_code", "Copy the last code", ANSWERS, ("Ctrl+Shift+;", "Ctrl+:")),
    Command("edit_last", "Edit the last message", WRITING, ("Up",), "empty draft"),
    Command("write", "Go to the message field", WRITING, ("Shift+Esc",)),
    Command("attach", "Attach pictures or videos", WRITING, ("Ctrl+O",)),
    Command("model", "Choose the model", VIEW, ("Ctrl+L",)),
    Command("sidebar", "Show or hide the conversations", VIEW, ("Ctrl+B",)),
    Command("larger", "Larger text", VIEW, ("Ctrl++", "Ctrl+=")),
    Command("smaller", "Smaller text", VIEW, ("Ctrl+-",)),
    Command("usual_size", "Text of the usual size", VIEW, ("Ctrl+0",)),
    Command("settings", "Settings", VIEW, ("Ctrl+,",)),
    Command("keys", "List of keys", VIEW, ("Ctrl+/",)),
    Command("quit", "Quit Parley", VIEW, ("Ctrl+Q",)),
)
GROUPS = (CONVERSATIONS, ANSWERS, WRITING, VIEW)
FIXED = (
    ("Enter", "Send the message", WRITING),
    ("Shift+Enter", "Begin a line", WRITING),
)
"""Keys of the message field itself, which are told and cannot be changed."""


def command(name: str) -> Command:
    """The command of a name. Raises KeyError."""
    return _BY_NAME[name]


def keys_of(name: str, chosen: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The keys of a command, as Qt writes them: those that were chosen, or its own."""
    return chosen.get(name, command(name).keys)


_BY_NAME = {each.name: each for each in COMMANDS}

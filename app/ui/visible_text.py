"""Text from outside with nothing hidden in it: what is copied is what is seen. Knows characters, no widget.

Characters that turn the direction of what follows, that take no room, or that Qt takes for the end of a paragraph are
written out as ⟨U+202E⟩ where code and addresses are shown; in prose those stay that a script needs, and those that show
nothing are left out.
"""

import re

MARK = re.compile(r"⟨U\+[0-9A-F]{4,6}⟩")

_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
_TURNING = "\u202a-\u202e\u2066-\u206f"
_UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0d\U0001d173-\U0001d17a"
_INNER = "\ufdd0-\ufdef\ufff0-\ufffc\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff"
_NOTHING = "\u00ad\u200b\u2060-\u2065\ufeff"
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"
_MARKS_OF_DIRECTION = "\u061c\u200e\u200f"

_IN_PROSE = re.compile(f"[{_CONTROLS}{_TURNING}{_UNSEEN}{_INNER}{_NOTHING}{_JOINERS}]")
_IN_CODE = re.compile(f"[{_CONTROLS}{_TURNING}{_UNSEEN}{_INNER}{_NOTHING}{_JOINERS}{_MARKS_OF_DIRECTION}]")
_KEEPS_JOINER = 0x2FF
"""Letters and signs above this one may need a joiner beside them: Persian, Indic scripts, emoji."""


def in_prose(text: str) -> str:
    """The text as it is shown among words."""
    return _IN_PROSE.sub(_among_words, text) if _IN_PROSE.search(text) else text


def in_code(text: str) -> str:
    """The text as it is shown as code or as an address; lines and tabs stay."""
    return _IN_CODE.sub(_written_out, text) if _IN_CODE.search(text) else text


def _among_words(found: re.Match[str]) -> str:
    if found[0] in "\u00ad\u200b\ufeff" or "\u2060" <= found[0] <= "\u2065":
        return ""
    return _written_out(found)


def _written_out(found: re.Match[str]) -> str:
    if found[0] in _JOINERS and _is_needed(found):
        return found[0]
    return f"⟨U+{ord(found[0]):04X}⟩"


def _is_needed(found: re.Match[str]) -> bool:
    before, after = found.string[found.start() - 1 : found.start()], found.string[found.end() : found.end() + 1]
    if found[0] in "\ufe0e\ufe0f":
        return bool(before) and (ord(before) > _KEEPS_JOINER or before in "0123456789#*©®")
    return bool(before and after) and min(ord(before), ord(after)) > _KEEPS_JOINER

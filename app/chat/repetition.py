"""Notices when a growing text goes round in circles. Knows characters only: no language, no model, no window."""

_GRAM = 24
"""Characters that are compared at a time."""
_OFTEN = 3
"""How often a gram has to have been there before, so that a draft and its fair copy are no circle."""
_SPAN, _SHARE = 1500, 0.7
"""Characters that are looked at, and the part of them that has to be made of such grams."""
_REMEMBERED = 65_536


class Repetition:
    """Hears a text piece by piece; a character costs half a microsecond, however long the text is.

    What counts is not whether one passage returns but whether nearly everything does, so a loop is found in which a few
    words vary, and a table, a list or a refrain is none. About the last 65,000 different grams are remembered.
    """

    def __init__(self) -> None:
        self._tail = ""
        self._counts: dict[str, int] = {}
        self._recent = [False] * _SPAN
        self._at = 0
        self._repeated = 0

    def hear(self, text: str) -> bool:
        """More of the text; whether it has been repeating itself of late."""
        whole = self._tail + text
        counts, recent = self._counts, self._recent
        for end in range(max(_GRAM, len(self._tail) + 1), len(whole) + 1):
            gram = whole[end - _GRAM : end]
            count = counts.get(gram, 0)
            counts[gram] = count + 1
            again = count >= _OFTEN
            self._repeated += again - recent[self._at]
            recent[self._at] = again
            self._at = (self._at + 1) % _SPAN
        self._tail = whole[-(_GRAM - 1) :]
        if len(counts) > _REMEMBERED:
            counts.clear()
        return self._repeated >= _SHARE * _SPAN

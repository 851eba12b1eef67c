"""When the thinking is to end although the model would go on with it, and where: between two sentences if it can be.

Knows: tokens that are about to be put in, sentences. Does not know: what is put in instead, who wants it, models.
"""

from collections import deque
from collections.abc import Callable

from app.engine.text import Piece
from app.engine.tokenizer import Vocabulary

PATIENCE = 64
"""Tokens after which the thinking ends even in the middle of a sentence."""
_CLOSE = "</think>"
_MARKS = (".", "!", "?", "…")
_WIDE_MARKS = ("。", "！", "？")
_CLOSERS = "\"'”’»)]*_`"
_LOOK_BACK = 6


class LeadingOut:
    """Decides once, while the model thinks and either `wanted` or it has taken `budget` tokens for it (0: as many as it
    likes): `ids` are what to go on with.

    It looks at each token that the model has chosen before that is put in, so the random numbers that are drawn do not
    depend on it: with the same seed and no wish of the person's the whole answer is the same again.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        ids: Callable[[], tuple[int, ...]],
        wanted: Callable[[], bool],
        budget: int = 0,
    ) -> None:
        self._vocabulary = vocabulary
        self._ids = ids
        self._wanted = wanted
        self._budget = budget
        self._last: deque[int] = deque(maxlen=_LOOK_BACK)
        self._thinking = False
        self._spent = self._waited = 0
        self._done = False

    def hear(self, piece: Piece) -> None:
        """What was put in last, as far as it can be shown."""
        self._thinking = piece.channel == "thinking"
        self._spent += piece.tokens if self._thinking else 0

    def instead_of(self, token: int) -> tuple[int, ...]:
        """The tokens to go on with instead of the one that the model has chosen; none most of the time."""
        armed = self._thinking and not self._done and (self._wanted() or 0 < self._budget <= self._spent)
        if armed and token != self._vocabulary.control.get(_CLOSE):  # it is about to end by itself
            self._waited += 1
            gives_up = token in self._vocabulary.hidden  # all would end here, without an answer
            if gives_up or self._waited >= PATIENCE or ends_sentence(self._text(*self._last), self._text(token)):
                self._done = True
                return self._ids()
        self._last.append(token)
        return ()

    def _text(self, *tokens: int) -> str:
        return b"".join(map(self._vocabulary.bytes_of, tokens)).decode("utf-8", "replace")


def ends_sentence(before: str, after: str) -> bool:
    """Whether a sentence or a line ends between two texts, the second of which follows the first. A point in the middle
    of a number ends none, and a line ends behind its break: what follows may be the end of all the thinking."""
    said = before.rstrip()
    if not said or after.startswith("\n"):
        return False
    if before.endswith("\n"):
        return True
    bare = said.rstrip(_CLOSERS)
    apart = len(said) < len(before) or after[:1].isspace()
    return bare.endswith(_WIDE_MARKS) or (apart and bare.endswith(_MARKS))

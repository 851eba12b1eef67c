"""Why `parley ask` could not do what it was asked: a sentence, and whether the input or the machine was the reason."""

BAD_INPUT = 2
FAILURE = 1


class AskError(Exception):
    """One sentence with a way out; `status` is the exit status it leads to."""

    def __init__(self, sentence: str, status: int = BAD_INPUT) -> None:
        super().__init__(sentence)
        self.status = status

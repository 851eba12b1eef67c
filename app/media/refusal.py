"""Why a file cannot be used, as one sentence for the person. Knows no format and no library."""

_LONGEST_NAME = 60


class UnusableFileError(Exception):
    """A file cannot be used; the exception's text is the sentence that the person reads."""


def quoted(name: str) -> str:
    """A file's name as it may stand in a sentence: in quotation marks, on one line, and not endlessly long."""
    plain = "".join(character if character.isprintable() else " " for character in name)
    if len(plain) > _LONGEST_NAME:
        plain = f"{plain[: _LONGEST_NAME // 2]}…{plain[-_LONGEST_NAME // 2 + 1 :]}"
    return f"“{plain}”"

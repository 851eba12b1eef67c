"""Tooltips whose words come from files, models or the person. Knows that Qt takes what looks like HTML for HTML."""

from html import escape

LONGEST = 2_000


def plain_tip(words: str) -> str:
    """The words as a tooltip that shows them letter for letter, and wraps them."""
    return f"<qt>{escape(words[:LONGEST])}</qt>" if words else ""

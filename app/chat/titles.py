"""Titles that the model gives: what it is asked, and what of its reply is a title.

Knows: that the request goes on from the conversation, so that all of it but one sentence was read before, and that a
reply is a text like any other and not trusted. Does not know: when there is time for it.
"""

import re
import unicodedata

from app.chat.conversation import TITLE_LENGTH, Answer, Conversation
from app.chat.sent import messages_before
from app.protocol import ChatMessage, Generate, Sampling, Text

TITLE_REQUEST = (
    "Give our conversation a title of two to six words, in the language of the conversation, as it would stand in a "
    "list of many. Write the title and nothing else."
)
TITLE_TOKENS = 32
_LEAD = re.compile(r"^(?:[#>*_`~\s-]|title\s*:)+", re.IGNORECASE)
_QUOTES = "\"'“”„‟«»‹›‘’「」『』*_`~ "
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def wants_title(conversation: Conversation) -> bool:
    """Whether it has none but its first words, and an answer to tell what it is about."""
    last = conversation.last_answer()
    return not conversation.name and isinstance(last, Answer) and last.over and bool(last.text.strip())


def title_request(request: str, conversation: Conversation, sampling: Sampling) -> Generate:
    """The request for a title."""
    messages = (*messages_before(conversation), ChatMessage("user", (Text(TITLE_REQUEST),)))
    return Generate(request, conversation.key, messages, thinking=False, sampling=sampling, max_tokens=TITLE_TOKENS)


def title_in(reply: str) -> str:
    """The title in a reply: one line without marks around it or signs that are not seen; empty if there is none."""
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    if not lines:
        return ""
    seen = "".join(" " if unicodedata.category(sign) in _HIDDEN else sign for sign in lines[0])
    title = " ".join(_LEAD.sub("", seen).strip(_QUOTES).split()).rstrip(".。")
    title = title.strip(_QUOTES)
    if not any(sign.isalnum() for sign in title):
        return ""
    return title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1].rstrip() + "…"

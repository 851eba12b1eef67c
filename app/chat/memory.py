"""What of a full conversation the model could go on without. Knows turns and tokens; does nothing by itself.

Half of the context is left free, so that it is not full again at once: every time the beginning changes, all of what is
sent has to be read again.
"""

from collections.abc import Sequence

from app.chat.conversation import Answer, Conversation, Node, Question
from app.chat.sent import keyed_before, left_out
from app.protocol import ChatMessage, Media, Text

SUMMARY_TOKENS = 1024
_CHARACTERS = 3
"""About so many make a token, where nobody has counted."""
_PICTURE = 1000
_AROUND = 4
"""Tokens that a template puts around a message."""
_ROOM = 16
"""This part of the context at least has to be free for an answer."""


def begin_of_memory(conversation: Conversation, counted: Sequence[int], draft: int, context: int) -> Question | None:
    """The question from which on the shown path is to be remembered, so that it takes half of `context` tokens at most
    together with the draft's, or else as little as can be; None if leaving out the oldest turns would not help.

    `counted` are the tokens of what is sent of it, one number a message, whatever precedes it first; none if unknown.
    """
    sent = keyed_before(conversation)
    known = len(counted) >= len(sent)
    tokens = counted[len(counted) - len(sent) :] if known else [_about(conversation.nodes[k], m) for k, m in sent]
    gone = left_out(conversation)
    shown = [node for node in conversation.path() if node.key not in gone]
    best: Question | None = None
    for question in reversed([node for node in shown[1:] if isinstance(node, Question)]):
        begin = next(at for at, (key, _) in enumerate(sent) if key == question.key)
        taken = sum(tokens[begin:]) + draft
        if taken > context // 2 and best is not None:
            break
        if taken <= context - context // _ROOM:
            best = question
    return best


def summary_room(context: int) -> int:
    """Tokens that a summary may take of a context."""
    return min(SUMMARY_TOKENS, context // 8)


def turns_before(conversation: Conversation, question: Question) -> int:
    """How many turns of the shown path come before a question."""
    path = conversation.path()
    return sum(isinstance(node, Question) for node in path[: path.index(question)])


def _about(node: Node, message: ChatMessage) -> int:
    if isinstance(node, Answer) and node.answer_tokens:
        return node.answer_tokens + _AROUND
    counts = (len(part.text) // _CHARACTERS if isinstance(part, Text) else _picture(part) for part in message.parts)
    return sum(counts) + _AROUND


def _picture(media: Media) -> int:
    return max(1, media.frames // 2) * _PICTURE

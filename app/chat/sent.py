"""What of a conversation the model reads: requests for answers and counts.

Knows: that thinking is never sent again, and that what is remembered may begin late, with a summary of what was before.
Does not know: who sends it, how much room there is.
"""

from app.chat.conversation import Answer, Conversation, Memory, Node, Question
from app.protocol import ChatMessage, Generate, Measure, Sampling, Text

SUMMARY_ASKED = "Summarize our conversation so far."
SUMMARY_REQUEST = (
    "Summarize our conversation so far, so that you can go on from the summary alone: what I want, what was found out "
    "or decided, what is still open, and every name, figure and piece of code that may be needed again. Write it in "
    "the language of the conversation, in at most 400 words, and write nothing else."
)


def generate(conversation: Conversation, answer: Answer, sampling: Sampling, max_tokens: int) -> Generate:
    """The request for an answer."""
    messages = messages_before(conversation, answer)
    if answer.text:  # it is to go on where it ends
        messages = (*messages, ChatMessage("assistant", (Text(answer.text),)))
    budget = answer.thinking_budget
    return Generate(answer.key, conversation.key, messages, answer.wants_thinking, sampling, max_tokens, budget)


def measure(conversation: Conversation, request: str, draft: ChatMessage | None, *, thinking: bool) -> Measure:
    """The request that counts the tokens of what is shown and of a draft after it."""
    return Measure(request, conversation.key, messages_before(conversation), draft, thinking)


def messages_before(conversation: Conversation, node: Node | None = None) -> tuple[ChatMessage, ...]:
    """What the model reads before `node`, or of the whole shown path: first what it says of the system."""
    told = conversation.choices.system
    system = (ChatMessage("system", (Text(told),)),) if told else ()
    return system + tuple(message for _, message in keyed_before(conversation, node))


def keyed_before(conversation: Conversation, node: Node | None = None) -> list[tuple[str, ChatMessage]]:
    """Those messages but the system's, each with the key of its node; a summary has that of the question behind it."""
    sent: list[tuple[str, ChatMessage]] = []
    for earlier in conversation.ancestors(node) if node is not None else conversation.path():
        if isinstance(earlier, Question):
            if earlier.memory is not None:
                sent = [(earlier.key, message) for message in _summarized(earlier.memory)]
            sent.append((earlier.key, earlier.message()))
        elif earlier.text.strip():  # an answer that never began would teach the model to say nothing
            sent.append((earlier.key, ChatMessage("assistant", (Text(earlier.text),))))
    return sent


def left_out(conversation: Conversation) -> set[str]:
    """The keys of what is shown and not sent any more."""
    path = conversation.path()
    begins = [at for at, node in enumerate(path) if isinstance(node, Question) and node.memory is not None]
    return {node.key for node in path[: begins[-1]]} if begins else set()


def _summarized(memory: Memory) -> tuple[ChatMessage, ...]:
    """A summary as the model reads it: as its own answer to a request for it."""
    if not memory.summary:
        return ()
    return ChatMessage("user", (Text(SUMMARY_ASKED),)), ChatMessage("assistant", (Text(memory.summary),))

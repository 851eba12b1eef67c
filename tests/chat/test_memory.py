"""What of a full conversation is left out, what is sent instead, and that nothing of it is lost."""

from app.chat.conversation import Answer, Conversation, Memory, Question
from app.chat.memory import begin_of_memory, turns_before
from app.chat.sent import SUMMARY_ASKED, left_out, messages_before
from app.protocol import ChatMessage, Text
from tests.chat.test_conversation import answered


def turns(*questions: str) -> Conversation:
    conversation = Conversation()
    for question in questions:
        answered(conversation, question, f"{question}!")
    return conversation


def question(conversation: Conversation, text: str) -> Question:
    return next(node for node in conversation.nodes.values() if isinstance(node, Question) and node.text == text)


def sent(conversation: Conversation) -> list[str]:
    return [part.text for m in messages_before(conversation) for part in m.parts if isinstance(part, Text)]


def test_half_of_the_context_is_kept() -> None:
    conversation = turns("A", "B", "C", "D")
    counted = (7, *(100,) * 8)  # the system's seven first
    begin = begin_of_memory(conversation, counted, draft=0, context=1000)
    assert begin is question(conversation, "C")
    assert turns_before(conversation, begin) == 2
    assert begin_of_memory(conversation, counted, draft=250, context=1000) is question(conversation, "D")
    assert begin_of_memory(conversation, counted, draft=600, context=1000) is question(conversation, "D")
    assert begin_of_memory(conversation, counted, draft=850, context=1000) is None
    assert begin_of_memory(turns("A"), (100, 100), draft=0, context=210) is None


def test_where_nobody_has_counted_it_is_estimated() -> None:
    conversation = turns("x" * 3000, "y" * 3000, "z" * 30)
    begin = begin_of_memory(conversation, (), draft=0, context=3000)
    assert begin is question(conversation, "y" * 3000)
    answers = [node for node in conversation.nodes.values() if isinstance(node, Answer)]
    answers[1].answer_tokens = 600  # what an answer took is known
    assert begin_of_memory(conversation, (), draft=0, context=3000) is question(conversation, "z" * 30)


def test_what_is_left_out_is_not_sent_and_a_summary_is_in_its_place() -> None:
    conversation = turns("A", "B", "C")
    begin = question(conversation, "B")
    begin.memory = Memory()
    assert sent(conversation) == ["B", "B!", "C", "C!"]
    assert left_out(conversation) == {node.key for node in conversation.path()[:2]}
    begin.memory = Memory("A was asked.")
    assert sent(conversation) == [SUMMARY_ASKED, "A was asked.", "B", "B!", "C", "C!"]
    assert messages_before(conversation)[1] == ChatMessage("assistant", (Text("A was asked."),))
    question(conversation, "C").memory = Memory("A and B were asked.")
    assert sent(conversation) == [SUMMARY_ASKED, "A and B were asked.", "C", "C!"]
    question(conversation, "C").memory = None
    assert sent(conversation)[1] == "A was asked."  # what was so before is so again
    assert [node.text for node in conversation.path()] == ["A", "A!", "B", "B!", "C", "C!"]


def test_it_is_left_out_again_and_further() -> None:
    conversation = turns("A", "B", "C", "D", "E")
    question(conversation, "B").memory = Memory("A.")
    counted = (50, 50, *(100,) * 8)
    assert begin_of_memory(conversation, counted, draft=0, context=1000) is question(conversation, "D")
    assert begin_of_memory(conversation, counted, draft=850, context=1000) is None


def test_other_branches_versions_and_copies_keep_their_own() -> None:
    conversation = turns("A", "B", "C")
    begin = question(conversation, "B")
    begin.memory = Memory("A.")
    other = conversation.edit_question(begin, "B2", thinking=False)
    assert sent(conversation) == [SUMMARY_ASKED, "A.", "B2"]
    copied = conversation.branch(other.key)
    assert sent(copied) == sent(conversation)
    conversation.show(begin.key)
    before = conversation.shape()
    conversation.remove_turn(next(n for n in conversation.path() if n.text == "B!"))  # type: ignore[arg-type]
    assert sent(conversation) == [SUMMARY_ASKED, "A.", "C", "C!"]  # what was left out with it stays left out
    conversation.reshape(before)
    assert sent(conversation) == [SUMMARY_ASKED, "A.", "B", "B!", "C", "C!"]
    assert question(conversation, "C").memory is None

"""A conversation as a tree of questions and answers, without Qt and without an engine."""

import pytest

from app.chat.conversation import UNTITLED, Answer, Attached, Conversation
from app.chat.sent import generate, messages_before
from app.protocol import ChatMessage, Delta, Finished, Media, Prefill, Sampling, Text, Timings, Usage

PICTURE = Attached(Media("image", "cat.png", "d", "/tmp/p", 64, 64), ())  # noqa: S108


def answered(conversation: Conversation, question: str, text: str, thinking: str = "") -> Answer:
    answer = conversation.ask(question, (), thinking=True)
    answer.asked(0.0)
    if thinking:
        answer.grew(Delta(answer.key, "thinking", thinking, 3), 1.0)
    answer.grew(Delta(answer.key, "answer", text, 2), 4.5)
    answer.finished(Finished(answer.key, "end", Usage(10, 4, 3, 2), Timings(0, 0.5, 30)), 6.0)
    return answer


def test_the_model_reads_earlier_answers_without_their_thinking() -> None:
    conversation = Conversation()
    answered(conversation, "What is 2 + 2?", "4", thinking="two and two")
    last = conversation.ask("And now?", (PICTURE,), thinking=False)
    request = generate(conversation, last, Sampling(seed=7), 99)
    assert request.request == last.key
    assert request.conversation == conversation.key
    assert request.messages == (
        ChatMessage("user", (Text("What is 2 + 2?"),)),
        ChatMessage("assistant", (Text("4"),)),
        ChatMessage("user", (PICTURE.media, Text("And now?"))),
    )
    assert (request.thinking, request.sampling.seed, request.max_tokens) == (False, 7, 99)


def test_an_answer_counts_the_time_it_thought() -> None:
    conversation = Conversation()
    answer = conversation.ask("?", (), thinking=True)
    answer.asked(10.0)
    answer.prefilled(Prefill(answer.key, 5, 20, 5))
    assert (answer.read, answer.to_read, answer.reused) == (5, 20, 5)
    answer.grew(Delta(answer.key, "thinking", "hm", 1), 12.0)
    assert answer.thought_for(15.0) == 3.0
    answer.grew(Delta(answer.key, "answer", "yes", 1), 16.0)
    assert answer.thought_for(99.0) == 4.0
    assert answer.context_used() == 22
    assert answer.stage == "answering"


def test_what_was_made_of_an_interrupted_answer_stays_and_is_read_by_the_next() -> None:
    conversation = Conversation()
    answer = conversation.ask("A story?", (), thinking=True)
    answer.grew(Delta(answer.key, "answer", "Once upon", 2), 1.0)
    answer.interrupted(2.0)
    assert answer.over
    assert answer.ending == "interrupted"
    next_answer = conversation.ask("Go on", (), thinking=True)
    assert messages_before(conversation, next_answer)[1] == ChatMessage("assistant", (Text("Once upon"),))


def test_an_answer_that_never_began_is_not_read() -> None:
    conversation = Conversation()
    conversation.ask("A?", (), thinking=True).interrupted(1.0)
    last = conversation.ask("B?", (), thinking=True)
    assert [message.role for message in messages_before(conversation, last)] == ["user", "user"]


def test_another_version_is_shown_instead_and_the_first_can_be_shown_again() -> None:
    conversation = Conversation()
    first = answered(conversation, "A colour?", "red")
    follow = answered(conversation, "Why?", "because")
    second = conversation.again(first, thinking=True)
    assert conversation.versions(first) == [first.key, second.key]
    assert conversation.last_answer() is second
    assert messages_before(conversation, second) == (ChatMessage("user", (Text("A colour?"),)),)
    conversation.show(first.key)
    assert conversation.last_answer() is follow


def test_a_withdrawn_question_leaves_no_trace() -> None:
    conversation = Conversation()
    answered(conversation, "One", "1")
    lost = conversation.ask("Too long", (PICTURE,), thinking=True)
    question = conversation.withdraw(lost)
    assert (question.text, question.attached) == ("Too long", (PICTURE,))
    assert len(conversation.path()) == 2
    again = conversation.ask("Two", (), thinking=True)
    assert conversation.question_of(again).text == "Two"


def test_withdrawing_a_version_keeps_the_others() -> None:
    conversation = Conversation()
    first = answered(conversation, "One", "1")
    second = conversation.again(first, thinking=True)
    conversation.withdraw(second)
    assert conversation.last_answer() is first


@pytest.mark.parametrize(
    ("text", "title"),
    [("", UNTITLED), ("  What\n is  it? ", "What is it?"), ("x" * 100, "x" * 59 + "…")],
)
def test_the_title_is_the_first_question_on_one_line(text: str, title: str) -> None:
    conversation = Conversation()
    if text:
        conversation.ask(text, (), thinking=True)
    assert conversation.title == title


def test_a_question_of_pictures_alone_is_called_after_them() -> None:
    conversation = Conversation()
    conversation.ask("", (PICTURE,), thinking=True)
    assert conversation.title == "cat.png"


def test_an_edited_question_is_another_version_with_the_same_pictures() -> None:
    conversation = Conversation()
    answer = conversation.ask("A cat?", (PICTURE,), thinking=True)
    question = conversation.question_of(answer)
    again = conversation.edit_question(question, "A dog?", thinking=False)
    fresh = conversation.question_of(again)
    assert (fresh.text, fresh.attached, fresh.parent) == ("A dog?", (PICTURE,), None)
    assert conversation.versions(fresh) == [question.key, fresh.key]
    assert conversation.path() == [fresh, again]


def test_an_edited_answer_is_read_as_it_was_written() -> None:
    conversation = Conversation()
    first = answered(conversation, "A colour?", "red", thinking="hm")
    fresh = conversation.edit_answer(first, "blue")
    assert (fresh.over, fresh.ending, fresh.thinking) == (True, "edited", "")
    assert messages_before(conversation)[-1] == ChatMessage("assistant", (Text("blue"),))


def test_a_branch_shares_nothing_but_the_words() -> None:
    conversation = Conversation()
    answered(conversation, "One", "1")
    second = answered(conversation, "Two", "2")
    answered(conversation, "Three", "3")
    fresh = conversation.branch(second.key)
    assert [node.text for node in fresh.path()] == ["One", "1", "Two", "2"]
    assert fresh.nodes.keys().isdisjoint(conversation.nodes)
    answered(fresh, "Else", "4")
    assert [node.text for node in conversation.path()][-1] == "3"


def test_taking_a_turn_out_keeps_what_followed_the_shown_answer() -> None:
    conversation = Conversation()
    answered(conversation, "One", "1")
    second = answered(conversation, "Two", "2")
    answered(conversation, "Three", "3")
    other = conversation.again(second, thinking=True)
    other.interrupted(0.0)
    conversation.show(second.key)
    gone = conversation.remove_turn(second)
    assert set(gone) == {second.key, second.parent, other.key}
    assert [node.text for node in conversation.path()] == ["One", "1", "Three", "3"]
    assert all(node.parent is None or node.parent in conversation.nodes for node in conversation.nodes.values())


def test_the_way_to_a_message_is_revealed() -> None:
    conversation = Conversation()
    first = answered(conversation, "A colour?", "red")
    follow = answered(conversation, "Why?", "because")
    conversation.again(first, thinking=True)
    conversation.reveal(follow.key)
    assert conversation.last_answer() is follow


def test_an_answer_goes_on_where_it_ended() -> None:
    conversation = Conversation()
    answer = conversation.ask("A story?", (), thinking=True)
    answer.grew(Delta(answer.key, "thinking", "hm", 3), 1.0)
    assert not answer.can_go_on
    answer.grew(Delta(answer.key, "answer", "Once upon", 2), 2.0)
    answer.interrupted(3.0)
    assert answer.can_go_on
    answer.resume()
    request = generate(conversation, answer, Sampling(), 99)
    assert request.messages[-1] == ChatMessage("assistant", (Text("Once upon"),))
    answer.prefilled(Prefill(answer.key, 18, 18, 0))
    answer.grew(Delta(answer.key, "answer", " a time", 2), 4.0)
    assert answer.context_used() == 20  # what it goes on from is read, and counts once
    answer.finished(Finished(answer.key, "end", Usage(20, 0, 0, 2), Timings(0, 0.5, 30)), 5.0)
    assert (answer.text, answer.answer_tokens, answer.thinking_tokens) == ("Once upon a time", 4, 3)
    assert not answer.can_go_on

"""What a model's reply is worth as a title."""

import pytest

from app.chat.conversation import Conversation
from app.chat.titles import TITLE_REQUEST, title_in, title_request, wants_title
from app.protocol import Delta, Finished, Sampling, Text, Timings, Usage


@pytest.mark.parametrize(
    ("reply", "title"),
    [
        ("A ball on a ramp", "A ball on a ramp"),
        ("  **“A ball on a ramp.”**\nIt is about…", "A ball on a ramp"),
        ("# Title: Die Kugel", "Die Kugel"),
        ("「坂道のボール」。", "坂道のボール"),
        ("Rust 2.0", "Rust 2.0"),
        ("C++ or Rust?", "C++ or Rust?"),
        ("a\u202eb\x00c\u200bd", "a b c d"),
        ("", ""),
        ("\n \n", ""),
        ("“…”", ""),
        ("<b>bold</b>", "<b>bold</b>"),
        ("word " * 100, ("word " * 100)[:59].rstrip() + "…"),
    ],
)
def test_a_title_is_one_plain_line(reply: str, title: str) -> None:
    assert title_in(reply) == title


def test_it_is_asked_for_behind_what_was_read_already_and_without_thinking() -> None:
    conversation = Conversation()
    answer = conversation.ask("What rolls?", (), thinking=True)
    assert not wants_title(conversation)
    answer.grew(Delta(answer.key, "thinking", "hm", 1), 0.0)
    answer.grew(Delta(answer.key, "answer", "A ball.", 2), 1.0)
    assert not wants_title(conversation)
    answer.finished(Finished(answer.key, "end", Usage(1, 0, 1, 2), Timings(0, 0, 1)), 2.0)
    assert wants_title(conversation)
    asked = title_request("1", conversation, Sampling())
    assert [part for message in asked.messages for part in message.parts] == [
        Text("What rolls?"),
        Text("A ball."),
        Text(TITLE_REQUEST),
    ]
    assert (asked.conversation, asked.thinking) == (conversation.key, False)
    conversation.name = "The person's own"
    assert not wants_title(conversation)

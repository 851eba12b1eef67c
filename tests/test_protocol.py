"""Every message survives its line, and nothing else gets through."""

import dataclasses
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol import (
    ChatMessage,
    Generate,
    Hello,
    Load,
    Measured,
    Message,
    ProtocolError,
    Sampling,
    Stop,
    Text,
    decode,
    encode,
    from_plain,
    to_plain,
)

MESSAGES = get_args(Message)
MEASURED = {"type": "Measured", "request": "", "conversation_tokens": 1, "draft_tokens": 1, "media_tokens": [1]}
GENERATE = {"type": "Generate", "request": "", "conversation": "", "messages": []}

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"])))


@settings(max_examples=200, deadline=None)
@given(st.one_of([st.from_type(kind) for kind in MESSAGES]))
def test_every_message_survives_its_line(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_but_decode_or_be_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


@given(anything)
def test_no_json_does_anything_but_decode_or_be_refused(plain: Any) -> None:
    with pytest.raises(ProtocolError):
        decode(json.dumps({"type": "Generate", "messages": plain}).encode())


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_message_refuses_a_field_that_it_does_not_have(kind: type) -> None:
    with pytest.raises(ProtocolError):
        decode(json.dumps({"type": kind.__name__, "surprise": 1}).encode())


@pytest.mark.parametrize(
    "plain",
    [
        {"type": "Stop"},
        {"type": "Stop", "request": 1},
        {"type": "Stop", "request": None},
        {"type": "Hello", "version": "1", "pid": True},
        {"type": "Hello", "version": "1", "pid": 1.5},
        {"type": "Load", "model": "m", "device": "tpu"},
        {"type": "Load", "model": "m", "context": "many"},
        MEASURED | {"media_sizes": [[1]]},
        GENERATE | {"messages": [{"type": "Text", "text": "t"}]},
        GENERATE | {"messages": [{"type": "ChatMessage", "role": "user", "parts": [{"text": "t"}]}]},
        GENERATE | {"sampling": {"temperature": 10**400}},
        GENERATE | {"sampling": {"temperature": float("nan")}},
        GENERATE | {"sampling": {"temperature": float("inf")}},
        {"type": "Text", "text": "a value, but no message"},
        {"type": ["Stop"]},
        [],
        "Stop",
    ],
)
def test_what_does_not_fit_is_refused(plain: Any) -> None:
    with pytest.raises(ProtocolError):
        decode(json.dumps(plain).encode())


def test_defaults_may_be_left_out_and_whole_numbers_stand_for_floats() -> None:
    plain = {"type": "Load", "model": "m"}
    assert decode(json.dumps(plain).encode()) == Load("m")
    assert from_plain(Sampling, {"temperature": 1}) == Sampling(temperature=1.0)


def test_a_union_is_told_apart_by_its_type() -> None:
    message = Generate("r", "c", (ChatMessage("user", (Text("hello"),)),))
    assert to_plain(message)["messages"][0]["parts"][0] == {"type": "Text", "text": "hello"}


def test_a_line_that_nests_without_end_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode(b"[" * 100_000)


def test_half_a_character_cannot_break_a_line() -> None:
    assert decode(encode(Stop("\ud800"))) == Stop("?")
    assert decode(b'{"type":"Stop","request":"a\\u2028b"}') == Stop("a\u2028b")


def test_messages_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Hello("1", 1).pid = 2  # type: ignore[misc]
    assert decode(encode(Measured("r", 1, 2, (3,), ((4, 5),)))) == Measured("r", 1, 2, (3,), ((4, 5),))

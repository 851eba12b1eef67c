"""From ids to text on a channel: whole characters, marks that are never shown, nothing lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.text import Piece, readable, split_channels
from app.engine.tokenizer import Vocabulary
from tests.checkpoints import IDS, config_json, write_small_files

words = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("vocabulary")
    write_small_files(folder, config_json())
    return Vocabulary(folder)


def test_text_comes_back_whole_from_single_bytes(vocabulary: Vocabulary) -> None:
    @given(words)
    def holds(text: str) -> None:
        shown = list(readable(vocabulary.encode(text), vocabulary))
        assert "".join(shown) == text
        assert len(shown) == len(text.encode())

    holds()


def test_half_a_character_is_never_shown(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode("né🙂")
    assert list(readable(ids[:-1], vocabulary)) == ["n", "", "é", "", "", ""]


def test_bytes_that_are_no_character_are_replaced(vocabulary: Vocabulary) -> None:
    broken = vocabulary.encode("é")[:1] + vocabulary.encode("x")
    assert "".join(readable(broken, vocabulary)) == "\ufffdx"


def test_special_tokens_show_nothing_and_thinking_marks_do(vocabulary: Vocabulary) -> None:
    ids = [IDS["<|im_start|>"], IDS["</think>"], 10**6, *vocabulary.encode("a")]
    assert list(readable(ids, vocabulary)) == ["", "</think>", "", "a"]


def channels(texts: list[str], *, thinking: bool) -> tuple[str, str]:
    pieces = list(split_channels(texts, thinking=thinking))
    assert sum(piece.tokens for piece in pieces) == len(texts)
    return tuple("".join(p.text for p in pieces if p.channel == channel) for channel in ("thinking", "answer"))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("texts", "thinking", "expected"),
    [
        (["Hm.", "\n", "</think>", "\n\n", "Yes."], True, ("Hm.", "Yes.")),
        (["\n", "Hm", ".\n</th", "ink>\n", "\nYes."], True, ("Hm.", "Yes.")),
        (["Hm.</think>Yes."], True, ("Hm.", "Yes.")),
        (["a </thin", " b"], True, ("a </thin b", "")),
        (["a <", "/", "b"], True, ("a </b", "")),
        (["never closed\n\n", "</thi"], True, ("never closed\n\n</thi", "")),
        (["a\n\nb", "\n"], True, ("a\n\nb", "")),
        (["\n\n</think>\n\n", "    code\n"], True, ("", "    code\n")),
        (["x</think>y", "</think>z"], True, ("x", "y</think>z")),
        (["<think>", "\nHm.\n", "</think>\n\nYes."], False, ("Hm.", "Yes.")),
        (["<", "thi", "nk>Hm", "</think>Yes."], False, ("Hm", "Yes.")),
        (["<", "thin", "g>"], False, ("", "<thing>")),
        (["Yes <think>", " no"], False, ("", "Yes <think> no")),
        (["\n\n", "Yes.", "\n\n", "And no."], False, ("", "Yes.\n\nAnd no.")),
        ([], True, ("", "")),
    ],
)
def test_thinking_and_answer_part_at_the_mark(texts: list[str], thinking: bool, expected: tuple[str, str]) -> None:
    assert channels(texts, thinking=thinking) == expected


@given(words, words.filter(str.strip), st.data())
def test_where_the_text_is_cut_makes_no_difference(thought: str, answer: str, data: st.DataObject) -> None:
    whole = f"{thought}\n</think>\n\n{answer}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    texts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert channels(texts, thinking=True) == channels([whole], thinking=True)


def test_what_cannot_be_a_mark_is_shown_at_once() -> None:
    pieces = split_channels(iter(["One", " two", " <", "b>"]), thinking=True)
    assert [next(pieces).text for _ in range(4)] == ["One", " two", "", " <b>"]


def test_tokens_count_for_the_channel_that_they_were_spent_on() -> None:
    pieces = list(split_channels(["a", "</think>", "b"], thinking=True))
    assert pieces == [
        Piece("thinking", "a", 1),
        Piece("thinking", "", 1),
        Piece("answer", "", 0),
        Piece("answer", "b", 1),
    ]

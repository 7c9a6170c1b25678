"""Where sentences end, and where they stand in the text."""
# ruff: noqa: RUF001 - typographic marks are what is tested

from __future__ import annotations

import pytest

from functions.worker.agents.document_text.layout import lay_out, running_text
from functions.worker.agents.document_text.sentences import _WINDOW, _windows, count_words, split_sentences


def sentences(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(running_text(lay_out(text)))]


def test_lines_of_a_paragraph_are_joined() -> None:
    assert sentences("This is one\n  sentence over\r\nlines. And another.") == [
        "This is one sentence over lines.",
        "And another.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The U.S. Government, i.e. the State, pays in Section 2.1.",
        "See e.g. No. 5 of the list.",
        "It follows Sec. 3 and Art. 5 here.",
        "Der Verein wurde am 31. Juli 1997 gegründet.",
        'It begins with a "." or with (a dot.) inside it.',
    ],
)
def test_an_abbreviation_does_not_end_a_sentence(text: str) -> None:
    assert sentences(text) == [text]


def test_list_items_are_their_own_sentences_without_their_marks() -> None:
    text = "You may:\n  1. copy it;\n  2. change it.\n\n- keep it\n- (b) sell it"
    assert sentences(text) == ["You may:", "copy it;", "change it.", "keep it", "sell it"]


def test_a_number_that_got_to_the_start_of_a_line_by_wrapping_begins_no_item() -> None:
    filler = "word " * 14
    assert sentences(f"{filler}of section\n2. However it goes on") == [f"{filler}of section 2.", "However it goes on"]


def test_other_scripts_have_sentences_too() -> None:
    assert sentences("这是第一句。这是第二句！") == ["这是第一句。", "这是第二句！"]
    assert sentences("هذه جملة. وهذه جملة أخرى؟") == ["هذه جملة.", "وهذه جملة أخرى؟"]


def test_code_is_no_running_text() -> None:
    assert sentences("Before.\n\n```\nx = 1. Y.\n```\n\nLike this::\n\n    code. More.\n\nAfter.") == [
        "Before.",
        "Like this::",
        "After.",
    ]


def test_a_fence_that_is_never_closed_hides_nothing() -> None:
    assert sentences("Before.\n\n```\nStill here.") == ["Before.", "Still here."]


def test_the_offset_is_where_the_sentence_begins() -> None:
    text = "\ufeff# Box #\r\n\r\n  * First one. Second\r\n    one.\r\n\r\n*   boxed text.   *\r\n"
    found = split_sentences(running_text(lay_out(text)))
    assert [sentence.text for sentence in found] == ["Box", "First one.", "Second one.", "boxed text."]
    assert all(text[sentence.offset :].startswith(sentence.text.split()[0]) for sentence in found)


def test_a_long_text_is_cut_between_sentences_into_bounded_windows() -> None:
    text = "这是一句话。" * 2000 + "This is a sentence. " * 500 + "x" * 3 * _WINDOW
    pieces = list(_windows(text))
    assert "".join(piece for _, piece in pieces) == text
    assert max(len(piece) for _, piece in pieces) <= _WINDOW <= 4000  # its time grows with the square
    assert sentences("This is a sentence. " * 500) == ["This is a sentence."] * 500


def test_words_are_runs_of_letters_and_digits() -> None:
    assert count_words("It's 2 words—or 5?") == 6

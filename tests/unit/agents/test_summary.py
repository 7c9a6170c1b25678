"""Which sentences sum a text up."""

from __future__ import annotations

import pytest

from functions.worker.agents.document_text.summary import summarize

ARTICLE = """The Lighthouse of Ness
======================

Copyright (c) 2020 The Keepers. All rights reserved.

This document describes the lighthouse of Ness and the
keepers of the lighthouse. The lighthouse was built by
the harbour board so that ships would find the harbour.

The weather
-----------

IT IS FORBIDDEN TO ENTER THE LIGHTHOUSE OF NESS WITHOUT THE KEEPERS AND THEIR WRITTEN PERMISSION.

However, it rains. See https://example.org/lighthouse for the lighthouse keepers of the lighthouse of Ness.

- `lamp --on` {lighthouse} <lighthouse> | keepers |
- The keepers of the lighthouse light the lamp of the lighthouse every evening.
"""


def texts(text: str, count: int) -> list[str]:
    return [sentence.text for sentence in summarize(text, count)]


def test_a_summary_is_readable_sentences_in_their_order() -> None:
    assert texts(ARTICLE, 3) == [
        "This document describes the lighthouse of Ness and the keepers of the lighthouse.",
        "The lighthouse was built by the harbour board so that ships would find the harbour.",
        "The keepers of the lighthouse light the lamp of the lighthouse every evening.",
    ]


@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_summary_has_no_more_sentences_than_asked_for(count: int) -> None:
    assert 1 <= len(summarize(ARTICLE, count)) <= count


def test_headings_notices_shouting_and_addresses_are_no_summary() -> None:
    assert not any(
        words in sentence
        for sentence in texts(ARTICLE, 10)
        for words in ("Copyright", "FORBIDDEN", "https", "lamp --on", "The weather")
    )


def test_scores_are_relative_to_the_best() -> None:
    scores = [sentence.score for sentence in summarize(ARTICLE, 3)]
    assert max(scores) == 1
    assert all(0 < score <= 1 for score in scores)


def test_a_sentence_stands_where_its_offset_says() -> None:
    for sentence in summarize(ARTICLE, 3):
        assert " ".join(ARTICLE[sentence.offset :].split()).startswith(sentence.text)


def test_what_repeats_a_chosen_sentence_is_passed_over() -> None:
    text = "The harbour is closed in the winter months. " * 3 + "Ships may wait outside until the spring comes."
    assert texts(text, 3) == [
        "The harbour is closed in the winter months.",
        "Ships may wait outside until the spring comes.",
    ]


def test_a_licence_of_one_long_grant_is_summed_up_by_it() -> None:
    grant = (
        "Permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby "
        "granted, provided that the following conditions are met:"
    )
    assert texts(f"Copyright (c) 2004 X\n\n{grant}\n\n- keep this notice\n", 1) == [grant]


@pytest.mark.parametrize(
    ("text", "expected"), [("", []), ("\n \t\r\n", []), ("12 + 30", []), ("hello world", ["hello world"])]
)
def test_a_text_without_sentences_has_what_there_is(text: str, expected: list[str]) -> None:
    assert texts(text, 3) == expected

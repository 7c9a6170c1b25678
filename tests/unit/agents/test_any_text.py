"""What holds for every text whatsoever."""
# ruff: noqa: RUF001 - typographic marks are what is tested

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.worker.agents.document_text.classification import classify
from functions.worker.agents.document_text.extraction import extract
from functions.worker.agents.document_text.headings import find_outline
from functions.worker.agents.document_text.layout import lay_out, running_text
from functions.worker.agents.document_text.models import Classification, Extraction, SummarySentence
from functions.worker.agents.document_text.sentences import split_sentences
from functions.worker.agents.document_text.summary import summarize

# Scraps that mean something to a stage, so that random texts get past the first look.
SCRAPS = [
    "# A Title", "== Deep ==", "=====", "-----", "1. ", "4.2.1 ", "Section 1 -- ", "IV. ", "(2) ", "- ", "```",
    "::", "Contents", "Version 2.0", "Copyright (c) 1999, 2001-2003", "29 June 2007", "May 1, 2000",
    "2007-06-29", "31. Juli 1997", "25/12/2020", "http://a.org/(x)", "mailto:", "a@b.com", "www.x.com",
    '"Work" means ', '(the "Software") ', "“You” ", "‘’", "``a''", "**T**: ", "PREAMBLE",
    "This is a sentence. ", "Is it? ", "i.e. ", "…", "。", "؟", "\n", "\n\n", "\r\n", "\r", "\t", "\f", "\v",
    "\u2028", "\x1c", "\x00", "\ufeff", "\u200f", "\ud800", "é", "💥", " " * 9, "    ", "*  boxed  *",
    "title: x", "---", "Table of Contents\n\n1. A\n",
]  # fmt: skip
texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=200),
    st.lists(st.sampled_from(SCRAPS), max_size=60).map("".join),
    st.lists(st.sampled_from(SCRAPS), max_size=60).map("\n".join),
    st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")),
)
every_text = settings(max_examples=300, deadline=None)


@every_text
@given(texts)
@example("")
@example("\ufeff")
@example("x" * 10_000)
def test_no_text_makes_a_stage_fail_and_every_result_is_valid(text: str) -> None:
    found = extract(text)
    Extraction.model_validate_json(found.model_dump_json())
    kind = classify(text, found.title, found.dates)
    Classification.model_validate_json(kind.model_dump_json())
    for sentence in summarize(text, 3):
        SummarySentence.model_validate_json(sentence.model_dump_json())


@every_text
@given(texts)
def test_every_offset_is_where_the_thing_stands(text: str) -> None:
    found = extract(text)
    flat = lay_out(text).text
    for date in found.dates:
        assert " ".join(flat[date.offset :].split()).startswith(date.text)
    for offset in [item.offset for item in (*found.sections, *found.links, *found.terms)]:
        assert 0 <= offset < len(text)
        assert not text[offset].isspace()
    assert [section.offset for section in found.sections] == sorted(section.offset for section in found.sections)


@every_text
@given(texts)
def test_sentences_are_parts_of_the_text_in_its_order(text: str) -> None:
    layout = lay_out(text)
    sentences = split_sentences(running_text(layout, find_outline(layout).spans()))
    offsets = [sentence.offset for sentence in sentences]
    assert offsets == sorted(set(offsets))
    for sentence in sentences:
        # What stands between its lines (the frame of a box) is no part of it.
        beginning = sentence.text.split()[0]
        assert layout.text[sentence.offset :].startswith(beginning)


@every_text
@given(texts)
def test_running_text_loses_and_invents_no_characters(text: str) -> None:
    layout = lay_out(text)
    blocks = running_text(layout)
    for block in blocks:
        for joined, original in zip(block.starts, block.originals, strict=True):
            part = block.text[joined:].split(" ", 1)[0]
            assert layout.text[original:].startswith(part)
    kept = sum(len(line.text) for paragraph in layout.paragraphs for line in paragraph if not line.is_rule)
    assert sum(len(block.text) - len(block.starts) + 1 for block in blocks) == kept


@every_text
@given(texts, st.integers(1, 10))
def test_a_summary_keeps_to_its_bounds(text: str, count: int) -> None:
    summary = summarize(text, count)
    assert len(summary) <= count
    assert [sentence.offset for sentence in summary] == sorted(sentence.offset for sentence in summary)
    assert all(len(sentence.text) <= 900 for sentence in summary)

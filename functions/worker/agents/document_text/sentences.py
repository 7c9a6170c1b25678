"""Sentences of the running text, by sentencex, with their offsets.

Invariant: a sentence is a slice of the text but for its white space.
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sentencex  # type: ignore[import-untyped]  # it ships no types

from functions.worker.agents.document_text.dates import begins_with_month
from functions.worker.agents.document_text.layout import Block

_WORD = re.compile(r"\w+")
_MARK = re.compile(
    r"\s+|(?:[-*+•‣◦–—>|]+|\d{1,3}(?:\.\d{1,3}){1,4}|\(?(?:\d{1,3}(?:\.\d{1,3}){0,4}|[A-Za-z]|[ivxIVX]{1,5})[.)])(?:\s+|$)"
)
# Behind the first no sentence ends; behind the second none ends before a number or a small letter.
_LATIN = re.compile(r"(?:^|[\s(\"“])(?:e\.g|i\.e|viz|cf)\.$", re.IGNORECASE)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:vs?|nos?|art|sect?|paras?|figs?|inc|ltd|corp|pp?|ch|u\.s)\.$", re.IGNORECASE
)
_DAY = re.compile(r"(?:^|\s)[0-3]?\d\.$")
_CLOSERS = ('"', "'", "”", "’", ")")
_LONGEST_ABBREVIATION = 8
_INNER_END = re.compile(r"[.!?](?=.)")
_END = re.compile(r"[.!?؟।…]\s|[。！？]")
_WINDOW = 2000


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, the offset it begins at, and whether it opens its paragraph."""

    text: str
    offset: int
    opens: bool


def split_sentences(blocks: Iterable[Block]) -> list[Sentence]:
    """The sentences of `blocks`, in order."""
    sentences: list[Sentence] = []
    for block in blocks:
        opens = True
        for start, end in _spans(block.text):
            begin = _behind_marks(block.text, start, end)
            text = " ".join(block.text[begin:end].split())
            if text:
                sentences.append(Sentence(text, block.offset(begin), opens))
                opens = False
    return sentences


def _behind_marks(text: str, start: int, end: int) -> int:
    """Where the words begin behind bullets, item numbers and blanks."""
    while mark := _MARK.match(text, start, end):
        start = mark.end()
    return start


def _spans(text: str) -> list[tuple[int, int]]:
    if text.isascii() and _INNER_END.search(text) is None:
        return [(0, len(text))]
    spans: list[tuple[int, int]] = []
    for offset, window in _windows(text):
        for boundary in sentencex.get_sentence_boundaries("en", window):
            start, end = offset + boundary["start_index"], offset + boundary["end_index"]
            if spans and _goes_on(text, spans[-1][0], start):
                spans[-1] = (spans[-1][0], end)
            elif start < end:
                spans.append((start, end))
    return spans


def _windows(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces, cut behind a sentence if there is one.

    The library's time grows with the square of what it is given at once.
    """
    start = 0
    while len(text) - start > _WINDOW:
        ends = [match.end() for match in _END.finditer(text, start + _WINDOW // 2, start + _WINDOW)]
        cut = ends[-1] if ends else text.rfind(" ", start + 1, start + _WINDOW) + 1 or start + _WINDOW
        yield start, text[start:cut]
        start = cut
    yield start, text[start:]


def _goes_on(text: str, begin: int, position: int) -> bool:
    """The sentence that began at `begin` does not end at `position` after all."""
    tail = text[max(begin, position - _LONGEST_ABBREVIATION) : position].rstrip()
    following = text[position]
    if _LATIN.search(tail) or (following.islower() and tail.endswith(_CLOSERS)):
        return True
    if _DAY.search(tail) and begins_with_month(text, position):
        return True
    return (following.islower() or following.isdigit()) and _ABBREVIATION.search(tail) is not None


def count_words(text: str) -> int:
    """Runs of letters and digits. In scripts without blanks a run is counted as one."""
    return sum(1 for _ in _WORD.finditer(text))

"""Sentences of the running text, by sentencex, with their offsets.

Invariant: a sentence is a slice of the text but for its white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import sentencex

from functions.worker.agents.document_text.layout import Block

_WORD = re.compile(r"\w+")
_LIST_MARK = re.compile(r"(?:[-*+•‣◦–—>|]+|\(?(?:\d{1,3}(?:\.\d{1,3}){0,4}|[A-Za-z]|[ivxIVX]{1,5})[.)])(?:\s+|$)")
# Behind the first no sentence ends; behind the second none ends before a number or a small letter.
_LATIN = re.compile(r"(?:^|[\s(\"“])(?:e\.g|i\.e|viz|cf)\.$", re.IGNORECASE)
_ABBREVIATION = re.compile(r"(?:^|[\s(\"“])(?:vs?|nos?|art|sect?|paras?|figs?|inc|ltd|corp|pp?|ch|u\.s)\.$", re.IGNORECASE)
_CLOSERS = ("\"", "'", "”", "’", ")")
_LONGEST_ABBREVIATION = 8


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
            mark = _LIST_MARK.match(block.text, start, end)
            while mark:
                start = mark.end()
                mark = _LIST_MARK.match(block.text, start, end)
            text = block.text[start:end].strip()
            if text:
                lead = len(block.text[start:end]) - len(block.text[start:end].lstrip())
                sentences.append(Sentence(" ".join(text.split()), block.offset(start + lead), opens))
                opens = False
    return sentences


def _spans(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for boundary in sentencex.get_sentence_boundaries("en", text):
        start, end = boundary["start_index"], boundary["end_index"]
        if spans and _goes_on(text[max(spans[-1][0], start - _LONGEST_ABBREVIATION) : start].rstrip(), text[start]):
            spans[-1] = (spans[-1][0], end)
        elif start < end:
            spans.append((start, end))
    return spans


def _goes_on(tail: str, following: str) -> bool:
    if _LATIN.search(tail) or (following.islower() and tail.endswith(_CLOSERS)):
        return True
    return (following.islower() or following.isdigit()) and _ABBREVIATION.search(tail) is not None


def count_words(text: str) -> int:
    """Runs of letters and digits. In scripts without blanks a run is counted as one."""
    return sum(1 for _ in _WORD.finditer(text))

"""The class of a document, by weighing evidence.

Scores are the squares of the summed weights, normalized to 1; `other` holds a constant weight, so
a text with little evidence for anything is `other`. Every score can be traced to `evidence`.
Refuses to call a text a licence for naming one: evidence for a licence counts in proportion to
how much of the text is about licensing.
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from functions.worker.agents.document_text import genre_clues, licence_clues
from functions.worker.agents.document_text.clues import Clue
from functions.worker.agents.document_text.models import (
    CLASSES,
    LICENCE_CLASSES,
    Classification,
    DateMention,
    DocumentClass,
    Evidence,
)

_OTHER_WEIGHT = 2.5
_GRANTING = 6.0
_LEAST_WEIGHT = 0.05
_LONG_TEXT = 1500
_SELF = re.compile(r"\bthis (?:public )?(?:license|agreement)\b")
_SELF_REFERENCES = 3
_MAX_EVIDENCE = 40
_COMMENT = re.compile(r"^[ \t]*(?:[#*;%|>]{1,3}|//+|--)[ \t]+", re.MULTILINE)
_BLANKS = re.compile(r"\s+")
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "`": "'", "–": "-", "—": "-"})
_WORD = re.compile(r"[^\W\d_]+")

_LICENSING_WORDS = """
    license licenses licensed licensor licensee warranty warranties copyright copyrighted redistribute redistribution
    sublicense liability liable permission patent patents waive waiver relinquish noninfringement merchantability
"""
_LICENSING = frozenset(_LICENSING_WORDS.split())


class _Style(NamedTuple):
    """Words whose frequency tells kinds of prose apart: what is above `usual` per thousand counts `factor` each."""

    document_class: DocumentClass
    reason: str
    words: str
    usual: float
    factor: float


_STYLES = (
    _Style(
        "agreement",
        "it speaks of parties and obligations",
        "party parties agreement agrees hereby herein hereto undersigned",
        usual=6,
        factor=0.4,
    ),
    _Style(
        "policy",
        "it speaks of members, duties and decisions",
        "members member vote votes voting election leader delegates collaborators participants enforcement behavior "
        "decision decisions developers we our",
        usual=10,
        factor=0.15,
    ),
    _Style(
        "specification",
        "it speaks in requirements",
        "must should shall required optional field fields value values format",
        usual=8,
        factor=0.2,
    ),
    _Style(
        "guide",
        "it speaks to the reader",
        "you your click run try type command file let example",
        usual=12,
        factor=0.15,
    ),
    _Style(
        "report",
        "it speaks of the past",
        "was were had became began released announced founded led held",
        usual=10,
        factor=0.3,
    ),
)
_STYLE_CAP = 5.0
_DATES_PER_THOUSAND = 4.0
_MIN_WORDS = 40


def classify(text: str, title: str | None, dates: list[DateMention]) -> Classification:
    """Weigh the evidence in `text` and its title.

    Args:
        text: The document.
        title: Its title, if it has one.
        dates: The dates found in it; many exact ones speak for a report.
    """
    normalized = _normalize(_COMMENT.sub("", text))
    words = Counter(_WORD.findall(normalized))
    total = sum(words.values())
    about_licensing = _about_licensing(normalized, words, total)
    said = [*_phrases(normalized), *_title(title)]
    granting = sum(clue.weight for clue in said if clue.document_class in LICENCE_CLASSES) >= _GRANTING
    # A licence speaks to the reader, of parties and in requirements: there it says nothing of its kind.
    elsewhere = 1 - 0.5 * about_licensing if granting else 1.0
    factors = {name: about_licensing if name in LICENCE_CLASSES else elsewhere for name in CLASSES}
    evidence = [
        *(_weighed(clue, factors[clue.document_class]) for clue in said),
        *(_weighed(clue, 1 - about_licensing) for clue in _style(words, total, dates)),
    ]
    evidence = [item for item in evidence if item.weight >= _LEAST_WEIGHT]
    evidence.sort(key=lambda item: -item.weight)
    scores = _scores(evidence)
    best = max(CLASSES, key=lambda name: scores[name])
    return Classification(document_class=best, score=scores[best], scores=scores, evidence=evidence[:_MAX_EVIDENCE])


def _about_licensing(normalized: str, words: Counter[str], total: int) -> float:
    """From 0 to 1: how much it is the text of a licence, rather than about one or something else."""
    share = min(1.0, _per_thousand(words, _LICENSING, total) / 12)
    if total > _LONG_TEXT and len(_SELF.findall(normalized)) < _SELF_REFERENCES:
        share *= 0.3  # a licence of this length would have named itself
    return share


def _weighed(clue: Clue, factor: float) -> Evidence:
    return Evidence(
        document_class=clue.document_class,
        reason=clue.phrase,
        weight=max(0.001, round(clue.weight * factor, 2)),
    )


def _normalize(text: str) -> str:
    flat = _BLANKS.sub(" ", text.translate(_QUOTES).replace("''", '"')).lower()
    return flat.replace("licence", "license")


def _phrases(normalized: str) -> Iterator[Clue]:
    for clue in (*licence_clues.PHRASES, *genre_clues.PHRASES):
        if clue.phrase in normalized:
            yield Clue(clue.document_class, clue.weight, f"the text says “{clue.phrase}”")


@cache
def _title_patterns() -> tuple[tuple[re.Pattern[str], Clue], ...]:
    return tuple((re.compile(clue.phrase), clue) for clue in (*licence_clues.TITLES, *genre_clues.TITLES))


def _title(title: str | None) -> Iterator[Clue]:
    normalized = _normalize(title or "")[:400]
    for pattern, clue in _title_patterns():
        match = pattern.search(normalized)
        if match:
            yield Clue(clue.document_class, clue.weight, f"the title says “{match[0]}”")


def _style(words: Counter[str], total: int, dates: list[DateMention]) -> Iterator[Clue]:
    if total < _MIN_WORDS:
        return
    for style in _STYLES:
        excess = _per_thousand(words, style.words.split(), total) - style.usual
        if excess > 0:
            yield Clue(style.document_class, min(_STYLE_CAP, excess * style.factor), style.reason)
    exact = 1000 * sum(date.precision != "year" for date in dates) / total
    if exact > _DATES_PER_THOUSAND:
        yield Clue("report", min(_STYLE_CAP, exact / 2), "it tells what happened when")


def _per_thousand(words: Counter[str], vocabulary: Iterable[str], total: int) -> float:
    return 1000 * sum(words[word] for word in vocabulary) / total if total else 0.0


def _scores(evidence: list[Evidence]) -> dict[DocumentClass, float]:
    weights: dict[DocumentClass, float] = dict.fromkeys(CLASSES, 0.0)
    weights["other"] = _OTHER_WEIGHT
    for item in evidence:
        weights[item.document_class] += item.weight
    total = sum(weight**2 for weight in weights.values())
    return {name: round(weight**2 / total, 4) for name, weight in weights.items()}

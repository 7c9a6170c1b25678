"""An extractive summary: the document's own sentences that say most of what it is about.

Invariant: a summary sentence is a sentence of the running text, whole and in original order. A
sentence scores by how often the document uses its words (SumBasic: Nenkova and Vanderwende, 2005),
by where it stands and by what it announces; what repeats a chosen sentence is passed over
(maximal marginal relevance: Carbonell and Goldstein, 1998).
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from functions.worker.agents.document_text.headings import find_outline
from functions.worker.agents.document_text.layout import lay_out, running_text
from functions.worker.agents.document_text.models import SummarySentence
from functions.worker.agents.document_text.sentences import Sentence, split_sentences

_STOP_WORDS = """
    a about above after all also am an and any are as at be because been before being below between both but by can
    could did do does doing done down each either every few for from further had has have having he her here hers
    him his how however i if in into is it its itself just like may me might more most must my no nor not now of off
    on once one only or other our out over own per same shall she should so some such than that the their them then
    there these they this those through thus to too under until up upon us very was we were what when where whether
    which while who whom whose why will with within without would you your der die das und oder ein eine nicht mit
    von für auf ist sind le la les un une et ou est sont pour dans que qui el los las uno una y o es son para con
    por del al lo il gli e di da che non
"""
_STOP = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"[^\W\d_]{2,}")
_BOILERPLATE = re.compile(
    r"copyright (?:\(c\)|©|\d)|©|\(c\) \d{4}|all rights reserved|everyone is permitted to copy and distribute"
    r"|verbatim copies|table of contents|https?://|www\.|\S@\S|\bfloor\b.*\bstreet\b|^(?:see|note|example|figure|table|e\.g)\b"
    r"|is not a law firm|does not provide legal|gives no warranties regarding",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"[`|\\{}<>=_]\S{0,40}|\]\(|\]\[|\*\*|::")
_GRANTS = re.compile(r"\bpermission\b|\bpermitted\b|\bgranted\b|\bcertify\b", re.IGNORECASE)
_FIELD = re.compile(r":[\w -]{1,40}:")
_DEFINES = re.compile(
    r"(?:the |an? |to )?[\"“‘].{1,60}?[\"”’].{0,60}?\b(?:means?|refers?|is an?)\b|(?:[A-Z]\w+ ){1,4}means ",
    re.IGNORECASE,
)
_ANNOUNCES = re.compile(
    r"\bthis (?:document|license|licence|agreement|standard|specification|policy|report|guide|constitution|pep|page"
    r"|paper|article|chapter|section|manual)\b|\b(?:purpose|goal|aim|intent|intended|describes|establishes|ensure|guarantee"
    r"|permission is|permitted|grants?|applies|in summary|in conclusion|we will)\b",
    re.IGNORECASE,
)
_LEANS = re.compile(
    r"(?:but|and|or|so|yet|however|therefore|thus|it|its|they|them|these|those|such|that|he|she|also|otherwise|if|then"
    r"|this (?!license|licence|document|agreement|policy|constitution|standard|specification)"
    r"|for example|in (?:this|that|the latter) case|similarly|finally|likewise|moreover|instead|when|in addition"
    r"|in particular|by contrast|on the other hand|as a result|again|here|initially|by way of)\b",
    re.IGNORECASE,
)
_ENDS = (".", "!", "?", "。", "！", "？", "؟", "।", ".”", '."', ".)", "…")
_QUOTES = "\"“‘'"
_SHORTEST, _LONGEST, _IDEAL = 6, 75, 22
_SHORTLIST = 80
_MAX_CHARACTERS = 900


@dataclass(frozen=True, slots=True)
class _Candidate:
    index: int
    sentence: Sentence
    words: frozenset[str]
    score: float


def summarize(text: str, count: int) -> list[SummarySentence]:
    """The `count` sentences of `text` that sum it up best, in original order; fewer of a short text."""
    layout = lay_out(text)
    outline = find_outline(layout)
    sentences = split_sentences(running_text(layout, outline.spans()))
    title = outline.title.text if outline.title else ""
    chosen = _choose(_candidates(sentences, title, count), count)
    best = max((candidate.score for candidate in chosen), default=0.0)
    return [
        SummarySentence(
            text=candidate.sentence.text,
            score=round(candidate.score / best, 4) if best else 0.0,
            offset=candidate.sentence.offset,
        )
        for candidate in sorted(chosen, key=lambda candidate: candidate.index)
    ]


def _candidates(sentences: list[Sentence], title: str, count: int) -> list[_Candidate]:
    bags = [
        [_stem(word) for word in _WORD.findall(sentence.text.lower()) if word not in _STOP] for sentence in sentences
    ]
    frequency = Counter(word for bag in bags for word in bag)
    if not frequency:
        return []
    top = math.log1p(frequency.most_common(1)[0][1])
    named = {_stem(word) for word in _WORD.findall(title.lower()) if word not in _STOP}
    found: list[_Candidate] = []
    for suits in (_reads_well, _is_sentence, _is_anything):
        taken = {candidate.index for candidate in found}
        for index, (sentence, bag) in enumerate(zip(sentences, bags, strict=True)):
            if bag and index not in taken and suits(sentence.text):
                weight = sum(math.log1p(frequency[word]) for word in bag) / (len(bag) * top)
                score = weight * _form(sentence.text) * _place(index, len(sentences), sentence.opens)
                score *= 1 + 0.3 * len(named.intersection(bag)) / len(named) if named else 1
                found.append(_Candidate(index, sentence, frozenset(bag), score))
        if len(found) >= count or (found and suits is _is_sentence):
            break
    return found


def _reads_well(text: str) -> bool:
    if len(text) > _MAX_CHARACTERS:
        return False
    words = len(text.split())
    if not _SHORTEST <= words <= _LONGEST or not (text[0].isalnum() or text[0] in _QUOTES) or text[0].islower():
        return False
    if not (text.endswith(_ENDS) or (text.endswith(":") and words >= 2 * _SHORTEST)):
        return False
    return not _is_shouted(text) and _is_prose(text)


def _is_sentence(text: str) -> bool:
    """What fills up a summary of a text that has too few of the others."""
    if len(text) > _MAX_CHARACTERS or not text.endswith((*_ENDS, ":", ";")):
        return False
    return len(text.split()) >= _SHORTEST // 2 and not _is_shouted(text) and _is_prose(text)


def _is_anything(text: str) -> bool:
    return len(text) <= _MAX_CHARACTERS and any(character.isalpha() for character in text)


def _is_shouted(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return sum(map(str.isupper, text)) > 0.35 * letters


def _is_prose(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    if letters < 0.7 * (len(text) - text.count(" ")) or _FIELD.match(text):
        return False
    return _BOILERPLATE.search(text) is None and len(_MARKUP.findall(text)) <= 2


def _form(text: str) -> float:
    """Prefers a length that can be read at once, an announcement, and what stands by itself."""
    factor = 1 / (1 + abs(len(text.split()) - _IDEAL) / 40) * 0.85 ** len(_MARKUP.findall(text))
    if _ANNOUNCES.search(text):
        factor *= 1.25
    if _LEANS.match(text) or _DEFINES.match(text):
        factor *= 0.6
    if text.endswith("?") or (text.endswith(":") and not _GRANTS.search(text)):
        factor *= 0.5
    return factor


def _place(index: int, total: int, opens: bool) -> float:
    """Prefers the beginning of the document and of each paragraph."""
    early = 1 + 0.6 * math.exp(-4 * index / total) + 0.4 * math.exp(-index / 4)
    return early * (1.15 if opens else 1.0)


def _choose(candidates: list[_Candidate], count: int) -> list[_Candidate]:
    waiting = sorted(candidates, key=lambda candidate: (-candidate.score, candidate.index))[:_SHORTLIST]
    chosen: list[_Candidate] = []
    while waiting and len(chosen) < count:
        best = max(waiting, key=lambda candidate: candidate.score * (1 - _overlap(candidate, chosen)))
        waiting.remove(best)
        if _overlap(best, chosen) < 0.8:
            chosen.append(best)
    return chosen


def _overlap(candidate: _Candidate, chosen: list[_Candidate]) -> float:
    return max(
        (len(candidate.words & other.words) / len(candidate.words | other.words) for other in chosen),
        default=0.0,
    )


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word

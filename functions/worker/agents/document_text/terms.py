"""Terms a document defines for itself, each with the sentence that defines it.

Refuses to take every quoted word for a term: the sentence must say what it means.
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from functions.worker.agents.document_text.models import Term
from functions.worker.agents.document_text.sentences import Sentence

_QUOTED = re.compile(
    r"\"([^\"\n]{1,60})\"|“([^“”]{1,60})”|‘([^‘’]{1,60})’|„([^„“”]{1,60})[“”]|«([^«»]{1,60})»|``([^`']{1,60})''"
)
# "Work" shall mean …; To "modify" a work means …; "You" (or "Your") means …
_MEANS = re.compile(r"\b(?:mean|means|refers? to|denotes?|stands for)\b")
_NO_BRIDGE = re.compile(r"[.;:,]|\b(?:is|are|may|must|can|that|which|if)\b")
# An "Application" is any work …
_IS = re.compile(r"\s(?:of\s[^.;:,]{1,40}?\s)?(?:is|are)\s(?:an?|any|the|either|those|defined|one)\b")
_OPENER = re.compile(r"(?:^|[,:;]\s|^\W{0,3}|\b(?:herein|hereof),?\s)(?:an?\s|the\s)?$", re.IGNORECASE)
# (the "Software"), (each and all, an "owner"), ("Commons")
_BRACKET = re.compile(
    r"\((?:(?:each(?: and all)?|collectively|together|jointly|hereinafter|hereafter|herein|below|or|as),?\s){0,3}"
    r"(?P<article>(?:the|an?)\s)?$",
    re.IGNORECASE,
)
_BRACKET_END = re.compile(r"[,.]?(?:\s(?:or|and)\s[^()]{1,60})?\)")
_ASIDE = re.compile(r",\s(?:below|herein|hereinafter),(?=\s)")
# is addressed as "you", hereinafter "Licensor", referred to as a "Larger Work"
_NAMED = re.compile(
    r"\b(?:referred to(?: herein)? as|addressed as|known as|hereinafter|hereafter|called)\s(?:an?\s|the\s)?$"
)
_COLON = re.compile(r"\s*[:–—]\s*\S")
# **ABI**: Application Binary Interface; a few such lines are no glossary
_BOLD = re.compile(r"\*\*([^\W_][^*\n]{0,60})\*\*\s*[:–—-]\s")
# Adapted Material means material …
_BARE = re.compile(
    r"(?!(?:The|This|That|It|Nothing|Which|What)\b)"
    r"([A-Z][\w-]{1,30}(?:\s(?:[A-Z][\w-]{0,30}|and|or|of|to|by|for)){0,7})\s(?:means|shall mean)\s"
)
_REACH = 100
_MAX_WORDS = 6
_LEAST_GLOSSARY = 8
_MAX_DEFINITION = 400
_MAX_CANDIDATES = 20_000


def find_terms(text: str, sentences: Iterable[Sentence]) -> list[Term]:
    """Every term that one of `sentences` of `text` defines, once, where it is first defined.

    Looks at no more than `_MAX_CANDIDATES` quoted words: beyond, the text is data, not prose.
    """
    found: dict[str, Term] = {}
    entries: list[Term] = []
    budget = _MAX_CANDIDATES
    for sentence in sentences:
        for term in _defined(sentence.text):
            budget -= 1
            if term:
                found.setdefault(term.lower(), _as_found(text, sentence, term))
        entry = _BOLD.match(sentence.text)
        if entry:
            entries.append(_as_found(text, sentence, entry[1].strip()))
        if budget <= 0:
            break
    if len(entries) >= _LEAST_GLOSSARY:
        for glossed in entries:
            found.setdefault(glossed.term.lower(), glossed)
    return sorted(found.values(), key=lambda term: term.offset)


def _defined(sentence: str) -> Iterator[str | None]:
    """The terms a sentence defines; None for a candidate that it only mentions."""
    plain = _BARE.match(sentence)
    if plain:
        yield _as_term(plain[1])
    for match in _QUOTED.finditer(sentence):
        term = _as_term(next(group for group in match.groups() if group))
        before = sentence[max(0, match.start() - _REACH) : match.start()]
        after = sentence[match.end() : match.end() + _REACH]
        yield term if term and _is_defined(term, before, after, first=not before.strip(" -–—*•")) else None


def _is_defined(term: str, before: str, after: str, *, first: bool) -> bool:
    aside = _ASIDE.match(after)
    after = after[aside.end() :] if aside else after
    means = _MEANS.search(after)
    if means and not _NO_BRIDGE.search(after, 0, means.start()):
        return True
    if _IS.match(after) and (first or _OPENER.search(before)):
        return True
    bracket = _BRACKET.search(before)
    if bracket and _BRACKET_END.match(after):
        return term[0].isupper() or bracket["article"] is not None
    return _NAMED.search(before) is not None or (first and _COLON.match(after) is not None)


def _as_term(words: str) -> str | None:
    term = " ".join(words.split()).strip(" ,.;:")
    if not any(character.isalpha() for character in term) or len(term.split()) > _MAX_WORDS:
        return None
    return term


def _as_found(text: str, sentence: Sentence, term: str) -> Term:
    return Term.model_construct(term=term, definition=_shortened(sentence.text), offset=_locate(text, sentence, term))


def _shortened(sentence: str) -> str:
    if len(sentence) <= _MAX_DEFINITION:
        return sentence
    return sentence[:_MAX_DEFINITION].rsplit(" ", 1)[0] + " …"


def _locate(text: str, sentence: Sentence, term: str) -> int:
    # The sentence may be wrapped and the term with it, so look for the term's first word.
    reach = sentence.offset + 2 * len(sentence.text) + _REACH
    position = text.find(term.split(maxsplit=1)[0], sentence.offset, reach)
    return position if position >= 0 else sentence.offset

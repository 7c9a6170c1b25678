"""What a heading looks like, judged by one line of text alone.

Refuses to look at what stands around the line: that is `headings`' part.
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import re
from typing import NamedTuple

MAX_HEADING = 120
MAX_HEADING_WORDS = 14

# Words that stay small in a title-cased English heading.
_SMALL_WORDS = """
    a an and are as at but by de der des do for from how if in into is it its nor not of off on or our per so than that
    the their this to under up via vs what when where why will with within without you your
"""
_SMALL = frozenset(_SMALL_WORDS.split())
_WORD = re.compile(r"[^\W\d_][\w'’/.&-]*")
_METADATA = re.compile(
    r"(?:copyright\s+(?:\(c\)|©|\d|<|\[|by\b)|\(c\)\s|(?:version|revision|draft)[:\s]+v?\d|revised\s+\d|by\s+\w"
    r"|last[- ](?:modified|updated|revised)\b|dated?:|written by\b|authors?:|contact:|v?\d{1,9}(?:\.\d{1,9}){1,9}\s*$"
    r"|\.\.\s|<|\[|\||\{|[-*+•]\s|:[\w -]{1,40}:)",
    re.IGNORECASE,
)
_STAMP = re.compile(r"©|\b\d{4}-\d\d-\d\d\b|\b\d{1,2}:\d{2}\b")
_KEY_VALUE = re.compile(r"[A-Z][\w-]{1,30}:\s+\S")
_ADDRESS = re.compile(r"https?:|www\.|\S@\S")
_NUMBERED = re.compile(
    r"(?:§\s?)?(?:\((?P<bracketed>\d{1,3})\)|(?P<number>\d{1,3}(?:\.\d{1,3}){0,5}|[A-Z](?:\.\d{1,3}){1,4}"
    r"|[IVXLC]{1,7}(?=[.):])|[A-Z](?=[.):]))(?P<mark>[.):]{0,2}))(?P<gap>\s+|(?=[A-Z\"“‘]))(?P<rest>\S.*)",
)
_KEYWORD = re.compile(
    r"(?P<word>chapter|article|section|part|appendix|annex|schedule|exhibit)\s+"
    r"(?P<number>\d{1,3}(?:\.\d{1,3}){0,5}|[IVXLC]{1,7}|[A-Z])\b(?P<mark>\s*[.:–—-]{1,2}|)\s*(?P<rest>.*)",
    re.IGNORECASE,
)
_LABELLED_ALONE = frozenset({"appendix", "annex", "schedule", "exhibit"})
_MARKUP = (
    (re.compile(r"!?\[([^\[\]]{1,200})\]\([^()\s]{0,500}\)"), r"\1"),
    (re.compile(r"!?\[([^\[\]]{1,200})\]\[[^\[\]]{0,200}\]"), r"\1"),
    (re.compile(r"``([^`]{1,200})``"), r"\1"),
    (re.compile(r"`([^`<>]{1,200})(?:\s<[^`<>]{1,500}>)?`_{0,2}"), r"\1"),
    (re.compile(r"(\*\*|\*)(\S(?:[^*]{0,200}\S)?)\1"), r"\2"),
    (re.compile(r"\s*\{#[\w-]{1,80}\}$"), ""),
)
# Headings that are one of these may end in a colon, as no other line may.
_KNOWN_HEADINGS = """
    abstract appendix background conclusion conclusions conditions definitions disclaimer introduction license notice
    overview permissions preamble purpose recitals requirements scope summary terms
"""
_KNOWN = frozenset(_KNOWN_HEADINGS.split())


class Numbered(NamedTuple):
    """A line that begins with a number: the number, its depth, and the rest."""

    number: str
    depth: int
    title: str
    marked: bool
    keyword: bool


def clean_heading(text: str) -> str:
    """The heading's words: no markup, no closing dot or colon, single blanks."""
    text = " ".join(text[: 4 * MAX_HEADING].split())
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    text = text.rstrip("#").strip()
    if text.endswith((".", ":")) and not text.endswith(".."):
        text = text[:-1].rstrip()
    return text


def numbered(text: str) -> Numbered | None:
    """Split `4.2. Powers` or `Section 1 -- Scope`; None where no number begins the line."""
    head = text[: 4 * MAX_HEADING]
    found = _KEYWORD.match(head)
    if found and head[0].isupper():
        rest = found["rest"].lstrip(" -–—:.").strip()
        if (rest and not (rest[0].isupper() or rest[0] in "\"“‘'(")) or (rest and not found["mark"].strip()):
            return None
        labelled = not rest or found["word"].lower() in _LABELLED_ALONE
        depth = found["number"].count(".") + 1
        return Numbered(found["number"], depth, head.strip() if labelled else rest, marked=True, keyword=True)
    found = _NUMBERED.match(head)
    if found is None:
        return None
    number = found["bracketed"] or found["number"]
    marked = bool(found["bracketed"] or found["mark"])
    if not found["gap"] and not (found["mark"] == "." and number.isdecimal()):
        return None
    return Numbered(number, number.count(".") + 1, found["rest"].strip(), marked=marked, keyword=False)


def is_metadata(text: str) -> bool:
    """A line about the document (copyright, version, author, date, address), not of it."""
    text = text[: 4 * MAX_HEADING]
    return bool(_METADATA.match(text) or _KEY_VALUE.match(text) or _ADDRESS.search(text) or _STAMP.search(text))


def words_of(text: str) -> list[str]:
    """The words of a short text."""
    return _WORD.findall(text[: 4 * MAX_HEADING])


def is_all_caps(text: str) -> bool:
    """Set in capitals throughout, with at least one real word."""
    return (
        text.upper() == text
        and text.lower() != text
        and any(sum(map(str.isalpha, word)) > 2 for word in words_of(text))
    )


def is_title_case(text: str, *, strict: bool = False) -> bool:
    """Its significant words are capitalised: all of them if `strict`, else seven of ten."""
    words = words_of(text)
    if not words or not words[0][0].isupper():
        return False
    significant = [word for word in words if word.lower() not in _SMALL]
    capitals = sum(word[0].isupper() for word in significant)
    if not significant:
        return len(words) <= 3
    return capitals == len(significant) if strict else capitals >= 0.7 * len(significant)


def could_be_heading(text: str) -> bool:
    """Short enough, begun and ended like a heading, and no metadata."""
    if not 0 < len(text) <= MAX_HEADING or text.endswith((",", ";", "-", "–", "—", "…", "...", "=", "|", "\\")):
        return False
    words = words_of(text)
    if not words or "---" in text or len(text.split()) > MAX_HEADING_WORDS or is_metadata(text):
        return False
    if text[0] in "/$`":
        return True  # about a path, a variable or a name in code
    first = next((character for character in text if character.isalpha()), "")
    return not first.islower()


def is_plain_heading(text: str) -> bool:
    """A line that reads as a heading though nothing marks it: title case or capitals, no full stop."""
    if not could_be_heading(text):
        return False
    if text.endswith(":"):
        return text[:-1].strip().lower() in _KNOWN
    if is_all_caps(text):
        return not text.endswith(("!", '"'))
    return not text.endswith((".", "!", ")", '"', "”")) and is_title_case(text)

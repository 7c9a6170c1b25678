"""Dates the text states, in ISO form and no more precise than stated.

Invariant: every date is one of the calendar. Refuses to guess: day and month that could be the
other way round, two-digit years, days without a year and bare numbers are left alone.
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from functions.worker.agents.document_text.models import DateMention, Precision

_ENGLISH = {
    "january": 1, "february": 2, "march": 3, "april": 4, "may": 5, "june": 6, "july": 7, "august": 8,
    "september": 9, "october": 10, "november": 11, "december": 12,
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10, "nov": 11,
    "dec": 12,
}  # fmt: skip
_ELSEWHERE = {
    1: "januar jänner janvier enero gennaio janeiro januari",
    2: "februar février fevrier febrero febbraio fevereiro februari",
    3: "märz mars marzo março maart",
    4: "avril abril aprile",
    5: "mai mayo maggio maio mei",
    6: "juni juin junio giugno junho",
    7: "juli juillet julio luglio julho",
    8: "août aout agosto augustus",
    9: "septembre septiembre settembre setembro",
    10: "oktober octobre octubre ottobre outubro okt",
    11: "novembre noviembre novembro",
    12: "dezember décembre decembre diciembre dicembre dezembro december dez",
}
_MONTHS = {**{name: month for month, names in _ELSEWHERE.items() for name in names.split()}, **_ENGLISH}

# The patterns that are searched for in the whole text begin with a choice of letters or a digit and look
# behind themselves only after a hit: so the engine skips what cannot begin a date.
_SPELLINGS = sorted({form for name in _MONTHS for form in (name, name.title(), name.upper())}, key=len, reverse=True)
_MONTH = re.compile("(?:" + "|".join(map(re.escape, _SPELLINGS)) + r")(?![^\W_])")
_AFTER = re.compile(
    r"\.?(?:(?P<hyphen>-)|[\s,]{1,30})(?:of\s{1,30}|de\s{1,30})?"
    r"(?:(?P<day>[0-3]?\d)(?:st|nd|rd|th)?(?:\s{0,30},\s{0,30}|\s{1,30}(?:of\s{1,30})?"
    r"(?:\d\d:\d\d(?::\d\d)?\s{1,30}(?:[A-Z]{2,5}\s{1,30}|[+-]\d{4}\s{1,30})?)?))?"  # as `date` prints it
    r"(?P<year>\d{4})(?![\w]|[.,:/]\d)"
)
_DAY_BEFORE = re.compile(
    r"(?<![\w.:/-])([0-3]?\d)(?:st|nd|rd|th|er|º|ª|\.)?(?:-|\s{1,30}|)(?:(?:day\s{1,9})?of\s{1,30}|de\s{1,30})?$"
)
_YEAR_BEFORE = re.compile(r"(?<![\w.-])(\d{4})([\s-])$")
_DAY_AFTER = re.compile(r"([\s-])([0-3]?\d)(?![\w:]|[.,]\d)")
_NUMERIC = re.compile(
    r"(?P<y>\d{4})(?P<s>[-/])(?P<m>\d\d)(?P=s)(?P<d>\d\d)(?!\d|[-/.]\d)"
    r"|(?P<a>\d{1,2})(?P<t>[./])(?P<b>\d{1,2})(?P=t)(?P<z>\d{4})(?!\w|[./-]\d)"
)
_NOTICE = re.compile(
    r"(?:©|\([cC]\)|[Cc]opyright|COPYRIGHT)[^\n\d]{0,40}?"
    r"(?P<years>\d{4}(?:\s{0,3}[-–,]\s{0,30}\d{4}|\s{1,30}\d{4}){0,60})(?![\w]|[-–]\d)"
)
_YEAR_TOLD = re.compile(
    r"(?:[Ii]n|[Ss]ince|[Dd]uring|[Uu]ntil|[Yy]ear|[Ee]arly|[Ll]ate|[Mm]id|[Ss]pring|[Ss]ummer|[Aa]utumn|[Ww]inter)"
    r"[\s-]{1,30}"
    r"(?P<year>(?:19|20)\d\d)(?![\w%]|[-–./:,]\d|\s{1,30}(?:[a-z]{3,30}s|people|percent|per)\b)"
)
_FOUR = re.compile(r"\d{4}")
_REACH = 50
_PRECISIONS: tuple[Precision, ...] = ("year", "month", "day")
_FIRST_YEAR, _LAST_YEAR = 1500, 2199


class _Span(NamedTuple):
    start: int
    end: int
    iso: str


def find_dates(text: str) -> list[DateMention]:
    """Every date in `text`, in order; of two that overlap the longer one."""
    spans = [*_with_month_names(text), *_numeric(text), *_years(text)]
    spans.sort(key=lambda span: (span.start, -span.end))
    found: list[DateMention] = []
    reached = 0
    for index, span in enumerate(spans):
        following = spans[index + 1] if index + 1 < len(spans) else None
        if span.start < reached:
            continue
        if following and following.start < span.end and following.end - following.start > span.end - span.start:
            continue
        reached = span.end
        precision = _PRECISIONS[span.iso.count("-")]
        raw = " ".join(text[span.start : span.end].split())
        found.append(DateMention.model_construct(iso=span.iso, precision=precision, text=raw, offset=span.start))
    return found


def begins_with_month(text: str, position: int) -> bool:
    """A month's name stands at `position`."""
    return _MONTH.match(text, position) is not None


def _with_month_names(text: str) -> Iterator[_Span]:
    for match in _MONTH.finditer(text):
        start, end = match.span()
        if start and (text[start - 1].isalpha() or text[start - 1] == "_"):
            continue
        name = match[0].lower()
        month = _MONTHS[name]
        after = _AFTER.match(text, end)
        if after is None:
            yield from _year_first(text, start, end, month)
            continue
        year = int(after["year"])
        before = _DAY_BEFORE.search(text[max(0, start - _REACH) : start])
        if before:
            iso = _iso(year, month, int(before[1]))
            if iso:
                yield _Span(start - len(before[0]), after.end(), iso)
            continue
        if after["hyphen"]:
            continue
        if after["day"]:
            iso = _iso(year, month, int(after["day"]))
        else:
            # A month without a day must be written as a name: "may 2000" is no date.
            iso = _iso(year, month) if name in _ENGLISH and match[0][0].isupper() else None
        if iso:
            yield _Span(start, after.end(), iso)


def _year_first(text: str, start: int, end: int, month: int) -> Iterator[_Span]:
    before = _YEAR_BEFORE.search(text[max(0, start - _REACH) : start])
    after = _DAY_AFTER.match(text, end) if before else None
    if before and after and before[2] == after[1]:
        iso = _iso(int(before[1]), month, int(after[2]))
        if iso:
            yield _Span(start - len(before[0]), after.end(), iso)


def _numeric(text: str) -> Iterator[_Span]:
    for match in _NUMERIC.finditer(text):
        start = match.start()
        if start and (text[start - 1].isalnum() or text[start - 1] in "_./-:"):
            continue
        iso: str | None
        if match["y"]:
            iso = _iso(int(match["y"]), int(match["m"]), int(match["d"]))
        else:
            first, second, year = int(match["a"]), int(match["b"]), int(match["z"])
            if match["t"] == "." or first > 12 or first == second:
                iso = _iso(year, second, first)
            else:
                iso = _iso(year, first, second) if second > 12 else None
        if iso:
            yield _Span(start, match.end(), iso)


def _years(text: str) -> Iterator[_Span]:
    for match in _NOTICE.finditer(text):
        begin = match.start("years")
        for year in _FOUR.finditer(match["years"]):
            if 1900 <= int(year[0]) <= _LAST_YEAR:
                yield _Span(begin + year.start(), begin + year.end(), year[0])
    for match in _YEAR_TOLD.finditer(text):
        start = match.start()
        if not start or not text[start - 1].isalnum():
            yield _Span(match.start("year"), match.end("year"), match["year"])


def _iso(year: int, month: int, day: int | None = None) -> str | None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    if day is None:
        return f"{year:04}-{month:02}"
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None

"""The document's title: what its first lines, front matter or first heading call it.

Refuses to make one up: a document that names itself nowhere has the title None.
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import re
from dataclasses import dataclass

from functions.worker.agents.document_text.heading_shapes import (
    clean_heading,
    is_all_caps,
    is_metadata,
    is_title_case,
    numbered,
    words_of,
)
from functions.worker.agents.document_text.layout import Layout, Line, breaks_early, width_of
from functions.worker.agents.document_text.marked_headings import Element, Heading

_FRONT_MATTER_LINES = 30
_TOP_ELEMENTS = 6
_TOP_LINES = 12
_MAX_TITLE = 160
_TITLE_FIELD = re.compile(r"title:\s*[\"']?(\S.{0,200}?)[\"']?", re.IGNORECASE)
_FIELD = re.compile(r"(?:---|[\w-]{1,40}:(?:\s.*)?)")
_VERSION = re.compile(r"version\s+\d", re.IGNORECASE)
_EDITION = re.compile(r"\d+\.\d+")
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE_TAIL = re.compile(
    rf"[\s,–—-]+(?:dated\s+)?(?:\(?\d{{4}}-\d\d-\d\d\)?|(?:\d{{1,2}}\s+)?(?:{_MONTHS})[a-z]*\.?\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?\d{{4}})$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Title:
    """The title, its part without a version, and the offset behind the lines it was read from."""

    text: str
    name: str
    end: int


def find_title(layout: Layout, elements: list[Element]) -> Title | None:
    """The title the document gives itself, if it does."""
    return _front_matter(layout) or _top_lines(layout, elements) or _first_heading(layout, elements)


def _front_matter(layout: Layout) -> Title | None:
    lines = layout.lines_from(0, _FRONT_MATTER_LINES)
    if not lines or not _FIELD.fullmatch(lines[0].text):
        return None
    for line in lines:
        found = _TITLE_FIELD.fullmatch(line.text)
        if found:
            return Title(clean_heading(found[1]), clean_heading(found[1]), line.end)
    return None


def _top_lines(layout: Layout, elements: list[Element]) -> Title | None:
    for element in elements[:_TOP_ELEMENTS]:
        if isinstance(element, Heading):
            return _with_version(element.title, element.end, layout) if element.level == 1 else None
        width = width_of(element)
        for index, line in enumerate(element[:_TOP_LINES]):
            following = element[index + 1] if index + 1 < len(element) else None
            if _could_be_title(line) and (following is None or breaks_early(line, following, width)):
                return _with_version(clean_heading(line.text), line.end, layout)
            if not (is_metadata(line.text) or line.is_rule or line.text.startswith(("..", "["))):
                return None  # running text: whatever follows is no title line
    return None


def _could_be_title(line: Line) -> bool:
    text = line.text
    if not 2 < len(text) <= _MAX_TITLE or line.is_rule or is_metadata(text) or not words_of(text):
        return False
    if text.endswith((".", ",", ";", "!")) or numbered(text) is not None:
        return False
    first = next((character for character in text if character.isalpha()), "")
    if not first or (first.islower() and not (len(words_of(text)) <= 3 and words_of(text)[-1][0].isupper())):
        return False
    return is_title_case(text) or is_all_caps(text) or len(text) <= 80


def _with_version(name: str, end: int, layout: Layout) -> Title:
    """Two editions of a document are told apart by the line below its name."""
    name = _DATE_TAIL.sub("", name) or name
    below = [line for line in layout.lines_from(end, 8) if not line.is_rule][:3]
    if any(character.isdigit() for character in name):
        return Title(name, name, end)
    for index, line in enumerate(below):
        if _VERSION.match(line.text) and len(line.text) <= 80:
            version = _DATE_TAIL.sub("", line.text).rstrip(".")
            return Title(f"{name} {version}", name, line.end)
        if index or numbered(line.text) is not None:
            continue
        if len(line.text) <= 60 and _EDITION.search(line.text) and is_title_case(line.text):
            return Title(f"{name}: {line.text}", name, line.end)
    return Title(name, name, end)


def _first_heading(layout: Layout, elements: list[Element]) -> Title | None:
    reach = max(2000, len(layout.text) // 10)
    for element in elements:
        if isinstance(element, Heading):
            near = element.start < reach and element.level == 1 and element.number is None
            return _with_version(element.title, element.end, layout) if near else None
    return None

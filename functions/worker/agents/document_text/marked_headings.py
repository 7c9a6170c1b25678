"""Headings that markup sets off: `# Markdown`, `== AsciiDoc`, underlined and overlined titles.

What is left of the paragraphs is handed on, in order, to those who look for unmarked headings.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from functions.worker.agents.document_text.heading_shapes import clean_heading, numbered, words_of
from functions.worker.agents.document_text.layout import Paragraph

_HASHES = re.compile(r"(#{1,6})\s+(\S.*)")
_EQUALS = re.compile(r"(={1,6})\s+([^=\s].*?)(?:\s+=+)?")
_MAX_TITLE = 200
_OVERLINED_LINES = 3


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading and where it stands; `style` is what marks it: a kind of underline, `#`, `=`, `keyword`, or nothing."""

    title: str
    level: int
    number: str | None
    start: int
    end: int
    style: str = ""
    indent: int = 0


Element = Heading | Paragraph


def split_marked(paragraphs: list[Paragraph]) -> list[Element]:
    """The paragraphs with every marked heading taken out into its own element."""
    elements: list[Element] = []
    for paragraph in paragraphs:
        _split(paragraph, elements)
    styles = Counter(e.style for e in elements if isinstance(e, Heading) and e.style.startswith("under"))
    ranks = {style: rank for rank, style in enumerate(styles, start=1)}  # in order of first use
    return [_ranked(e, ranks) if isinstance(e, Heading) and e.style in ranks else e for e in elements]


def _ranked(heading: Heading, ranks: dict[str, int]) -> Heading:
    depth = heading.number.count(".") + 1 if heading.number else ranks[heading.style]
    return replace(heading, level=depth)


def _split(paragraph: Paragraph, elements: list[Element]) -> None:
    rest: Paragraph = []
    index = 0
    while index < len(paragraph):
        found = None if rest else _over_or_underlined(paragraph, index)
        found = found or _prefixed(paragraph, index)
        if found is None:
            rest.append(paragraph[index])
            index += 1
            continue
        if rest:
            elements.append(rest)
            rest = []
        heading, used = found
        elements.append(heading)
        index += used
    if rest:
        elements.append(rest)


def _over_or_underlined(paragraph: Paragraph, index: int) -> tuple[Heading, int] | None:
    line = paragraph[index]
    if line.is_rule:
        for last in range(index + 2, min(index + 2 + _OVERLINED_LINES, len(paragraph))):
            closing = paragraph[last]
            if closing.is_rule:
                if closing.text[0] != line.text[0]:
                    return None
                title = paragraph[last - 1].text
                if not _fits(title, line.text):
                    return None
                return _heading(title, 1, line.start, closing.end, f"under{line.text[0]}over"), last - index + 1
        return None
    if index + 1 == len(paragraph) or not paragraph[index + 1].is_rule:
        return None
    rule = paragraph[index + 1]
    if not _fits(line.text, rule.text):
        return None
    return _heading(line.text, 1, line.start, rule.end, f"under{rule.text[0]}"), 2


def _fits(title: str, rule: str) -> bool:
    """The rule is about as long as the title: a longer one fences something else."""
    length = len(title)
    if length > _MAX_TITLE or title.startswith((".. ", "$ ")) or not words_of(title):
        return False
    return 0.6 * length <= len(rule) <= 1.5 * length + 8


def _prefixed(paragraph: Paragraph, index: int) -> tuple[Heading, int] | None:
    line = paragraph[index]
    if line.indent > 3 or line.text[:1] not in ("#", "=") or len(line.text) > 2 * _MAX_TITLE:
        return None
    found = _HASHES.fullmatch(line.text) or _EQUALS.fullmatch(line.text)
    if found is None or not words_of(found[2]):
        return None
    mark = found[1]
    # Lines of the same mark one under the other are a commented block, not headings.
    neighbours = [paragraph[near] for near in (index - 1, index + 1) if 0 <= near < len(paragraph)]
    if any(near.text.startswith(mark + " ") for near in neighbours):
        return None
    return _heading(found[2], len(mark), line.start, line.end, mark[0]), 1


def _heading(text: str, level: int, start: int, end: int, style: str) -> Heading:
    title = clean_heading(text)
    found = numbered(title)
    if found and (found.marked or found.depth > 1):
        return Heading(clean_heading(found.title), level, found.number, start, end, style)
    return Heading(title, level, None, start, end, style)

"""The outline of a document: its title and its section headings.

Reads Markdown, reStructuredText, AsciiDoc and the plain-text habits of licences, contracts,
standards and reports.

Invariant: headings come in order, do not overlap, and are words of the text; an entry of a table
of contents, a repeated title or a numbered list item is no heading.
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from functions.worker.agents.document_text.heading_shapes import (
    MAX_HEADING,
    Numbered,
    clean_heading,
    could_be_heading,
    is_all_caps,
    is_metadata,
    is_plain_heading,
    is_title_case,
    numbered,
)
from functions.worker.agents.document_text.layout import Layout, Line, Paragraph, breaks_early, width_of
from functions.worker.agents.document_text.marked_headings import Element, Heading, split_marked
from functions.worker.agents.document_text.title import Title, find_title

_CONTENTS = frozenset({"contents", "table of contents", "toc"})
_RUN_IN = re.compile(r"([^.;!?]{2,90})\.\s+(?=[A-Z\"“‘(])")
_LEADERS = re.compile(r"\.{4,}|(?:\s\.){4,}|\s{3,}\d+$")
_MARKED_IS_ENOUGH = 3
_PROSE = 60
_KEYWORD = "keyword"


@dataclass(frozen=True, slots=True)
class Outline:
    """A document's title, headings in order, and where its table of contents stands.

    Attributes:
        title: What the document calls itself.
        headings: The section headings.
        contents: The offsets that enclose the table of contents.
    """

    title: Title | None
    headings: list[Heading]
    contents: tuple[int, int] | None

    def spans(self) -> list[tuple[int, int]]:
        """What is no running text, in order and without overlap: title, contents, headings."""
        spans = [(heading.start, heading.end) for heading in self.headings]
        if self.title:
            spans.append((0, self.title.end))
        if self.contents:
            spans.append(self.contents)
        merged: list[tuple[int, int]] = []
        for start, end in sorted(spans):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged


def find_outline(layout: Layout) -> Outline:
    """The outline of a text."""
    elements, contents = _without_contents(split_marked(layout.paragraphs))
    title = find_title(layout, elements)
    marked = sum(isinstance(element, Heading) for element in elements) >= _MARKED_IS_ENOUGH
    headings: list[Heading] = []
    for index, element in enumerate(elements):
        if isinstance(element, Heading):
            headings.append(element)
            continue
        lines = [line for line in element if not _belongs_to(line, title)]
        if lines:
            following = elements[index + 1] if index + 1 < len(elements) else None
            headings.extend(_in_paragraph(lines, following, layout.body_indent, marked))
    if title is None and headings and not headings[0].number and headings[0].start < 2000:
        first = headings[0]
        title = Title(first.title, first.title, first.end)
    return Outline(title, _in_step(_tidy(headings, title)), contents)


def _belongs_to(line: Line, title: Title | None) -> bool:
    """Its own lines, and every later repetition of its name."""
    if title is None:
        return False
    return line.end <= title.end or clean_heading(line.text).lower() == title.name.lower()


def _tidy(headings: list[Heading], title: Title | None) -> list[Heading]:
    tidied: list[Heading] = []
    for heading in headings:
        words = heading.title.lower()
        if not words or words in _CONTENTS or words.startswith("end of "):
            continue
        if title and (heading.end <= title.end or words == title.name.lower()):
            continue
        tidied.append(heading)
    return tidied


def _in_step(headings: list[Heading]) -> list[Heading]:
    """Without the numbers that belong to lists inside the sections, and the entries of inner tables of contents."""
    plain = [heading for heading in headings if heading.number and heading.level == 1 and not heading.style]
    outermost = min((heading.indent for heading in plain), default=0)
    settled = sum(heading.indent == outermost for heading in plain) >= _MARKED_IS_ENOUGH
    keyed = sum(heading.style == _KEYWORD for heading in headings) >= _MARKED_IS_ENOUGH
    kept: dict[tuple[str | None, str] | int, Heading] = {}
    for position, heading in enumerate(headings):
        is_plain = heading.number and heading.level == 1 and not heading.style
        if is_plain and (keyed or (settled and heading.indent != outermost)):
            continue
        key = (heading.number, heading.title) if heading.number and heading.level > 1 else position
        kept.pop(key, None)
        kept[key] = heading
    return list(kept.values())


def _without_contents(elements: list[Element]) -> tuple[list[Element], tuple[int, int] | None]:
    """The elements without a table of contents, and where that stands, if there is one."""
    for index, element in enumerate(elements):
        words = element.title if isinstance(element, Heading) else element[0].text
        if words.strip(".: ").lower() in _CONTENTS:
            end = _end_of_contents(elements, index + 1)
            span = (_start(element), _start(elements[end]) if end < len(elements) else _end(elements[-1]))
            return elements[:index] + elements[end:], span
    return elements, None


def _start(element: Element) -> int:
    return element.start if isinstance(element, Heading) else element[0].start


def _end(element: Element) -> int:
    return element.end if isinstance(element, Heading) else element[-1].end


def _end_of_contents(elements: list[Element], index: int) -> int:
    seen: Counter[str] = Counter()
    for position in range(index, len(elements)):
        element = elements[position]
        if isinstance(element, Heading):
            return position
        entries = [entry for entry in (numbered(line.text) for line in element) if entry]
        if any(seen[entry.number] for entry in entries[:1]):
            return position  # the first entry, met again as the heading itself
        seen.update(entry.number for entry in entries)
        if not entries and _is_prose(element) and not _LEADERS.search(element[0].text[: 2 * MAX_HEADING]):
            before = elements[position - 1]
            starts_here = position > index and isinstance(before, list) and is_plain_heading(before[0].text)
            return position - 1 if starts_here else position
    return index


def _is_prose(paragraph: Paragraph) -> bool:
    text = paragraph[-1].text
    return sum(len(line.text) for line in paragraph) >= _PROSE or (text.endswith((".", ":", "?")) and " " in text)


def _in_paragraph(lines: Paragraph, following: Element | None, body_indent: int, marked: bool) -> list[Heading]:
    heading = _whole(lines, following, marked, lines[0].indent < body_indent) or _run_in(lines, marked)
    if heading is None and not marked:
        heading = _unnumbered(lines, following, body_indent)
    if heading:
        return [heading]
    width = width_of(lines)
    return [
        found for index in range(len(lines) - 1) if (found := _above_its_text(lines, index, width, marked)) is not None
    ]


def _accepts(found: Numbered, marked: bool) -> bool:
    # Beside marked headings a lone number is a list item; 1.1 is not.
    return found.depth > 1 or (found.keyword and not marked) or not marked


def _whole(lines: Paragraph, following: Element | None, marked: bool, stands_out: bool) -> Heading | None:
    """A numbered heading that is a paragraph of its own, on one line or two."""
    found = numbered(lines[0].text) if len(lines) <= 2 else None
    if found is None or not _accepts(found, marked):
        return None
    if len(lines) == 2 and (numbered(lines[1].text) or breaks_early(lines[0], lines[1], width_of(lines))):
        return None
    title = " ".join([found.title, *(line.text for line in lines[1:])])
    if len(title) > MAX_HEADING or _LEADERS.search(title) or not could_be_heading(title.rstrip(".")):
        return None
    set_off = is_title_case(title, strict=True) or is_all_caps(title)
    if not set_off:
        sentence = title.endswith((".", ":", "!")) and not (found.depth > 1 and is_title_case(title))
        if sentence or not found.marked or _is_sibling(found, following):
            return None
    if not set_off and (following is None or (found.number.isalpha() and not stands_out)):
        return None
    return _numbered_heading(found, title, lines[0], lines[-1].end)


def _is_sibling(found: Numbered, following: Element | None) -> bool:
    if not isinstance(following, list):
        return False
    other = numbered(following[0].text)
    return other is not None and other.depth == found.depth


def _run_in(lines: Paragraph, marked: bool) -> Heading | None:
    """`2. Waiver. To the greatest extent …`: the title runs into the text."""
    found = numbered(lines[0].text)
    if found is None or found.keyword or not found.marked or not _accepts(found, marked):
        return None
    goes_on = len(lines) > 1 and numbered(lines[1].text) is None
    joined = " ".join(line.text for line in lines[: 1 + goes_on])
    rest = joined[joined.find(found.title[:20]) :]
    match = _RUN_IN.match(rest)
    if match is None or not could_be_heading(match[1]):
        return None
    if not (is_title_case(match[1], strict=True) or is_all_caps(match[1])):
        return None
    length = joined.find(match[1]) + len(match[1]) + 1
    first = lines[0]
    end = first.start + length
    if length > len(first.text):
        end = lines[1].start + length - len(first.text) - 1
    return _numbered_heading(found, match[1], first, end)


def _above_its_text(lines: Paragraph, index: int, width: int, marked: bool) -> Heading | None:
    """A numbered heading with its text on the very next line."""
    line, following = lines[index], lines[index + 1]
    if (line.text[0] in "([" and index) or len(line.text) > MAX_HEADING:
        return None
    found = numbered(line.text)
    if found is None:
        if index or marked or not is_all_caps(line.text) or not could_be_heading(line.text):
            return None
        if is_all_caps(following.text) or not breaks_early(line, following, width):
            return None
        return Heading(clean_heading(line.text), 1, None, line.start, line.end)
    below = numbered(following.text)
    if not _accepts(found, marked) or (below and below.depth <= found.depth) or _LEADERS.search(line.text):
        return None
    if not breaks_early(line, following, width) or not could_be_heading(found.title.rstrip(".:")):
        return None
    set_off = is_title_case(found.title, strict=True) or is_all_caps(found.title)
    hanging = following.indent > line.indent and following.text[0].isupper()
    if index and not ((hanging or is_all_caps(found.title)) and lines[index - 1].text.endswith((".", "!", "?", ")"))):
        return None
    if not set_off:
        short = not index and following.text[0].isupper() and len(line.text) <= 0.6 * width
        if found.title.endswith((".", ":", "!", "?")) or found.number.isalpha() or not found.marked:
            return None
        if not (hanging or short):
            return None
    return _numbered_heading(found, found.title, line, line.end)


def _unnumbered(lines: Paragraph, following: Element | None, body_indent: int) -> Heading | None:
    """A short line alone over its text, in capitals or title case, or standing out to the left."""
    if len(lines) > 2 or following is None:
        return None
    if not (isinstance(following, Heading) or _is_prose(following) or numbered(following[0].text)):
        return None
    text = " ".join(line.text for line in lines)
    if len(lines) == 2 and not all(is_all_caps(line.text) for line in lines):
        is_wrapped = not breaks_early(lines[0], lines[1], width_of(lines))
        if not (is_wrapped and is_title_case(text, strict=True)):
            return None
    stands_out = (
        len(lines) == 1
        and lines[0].indent < body_indent
        and could_be_heading(text)
        and not text.endswith((".", ":", "!"))
    )
    if numbered(text) is not None or is_metadata(text) or not (stands_out or is_plain_heading(text)):
        return None
    level = 2 if stands_out and lines[0].indent and not is_all_caps(text) else 1
    return Heading(clean_heading(text), level, None, lines[0].start, lines[-1].end)


def _numbered_heading(found: Numbered, title: str, first: Line, end: int) -> Heading:
    style = _KEYWORD if found.keyword else ""
    return Heading(clean_heading(title), found.depth, found.number, first.start, end, style, first.indent)

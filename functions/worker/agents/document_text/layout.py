"""A text as lines, paragraphs and running text, without losing where each character stood.

Invariant: every line and block knows its offsets in the submitted text. What is code (fenced, or
indented under `::`) is never running text.
"""
# ruff: noqa: RUF001 - typographic quotes, dashes and stops are what is looked for

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import NamedTuple

_RULE_MARKS = frozenset("=-~^\"'`#*+.:_")
_SHORTEST_RULE = 3
_ITEM = re.compile(r"(?:[-*+•‣◦–—]|\(?(?:\d{1,3}(?:\.\d{1,3}){0,4}|[A-Za-z]|[ivxIVX]{1,5})[.)])\s+")
_SENTENCE_END = (".", ":", ";", ",", "!", "?", ")", " and", " or")
_BOXED = re.compile(r"\*\s.*\s\*|#\s.*\s#")  # a line of a box drawn around text
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_PROSE_WIDTH = 50
_FALLBACK_WIDTH = 60
_NEAR = 4000
_ONE_LINE = (0,)


class Line(NamedTuple):
    """A line without its outer blanks; `start` is the offset of its first character that is none."""

    start: int
    indent: int
    text: str

    @property
    def end(self) -> int:
        """Offset behind its last character."""
        return self.start + len(self.text)

    @property
    def is_rule(self) -> bool:
        """Three or more of one punctuation mark and nothing else."""
        text = self.text
        return len(text) >= _SHORTEST_RULE and text[0] in _RULE_MARKS and text == text[0] * len(text)


Paragraph = list[Line]


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph or list item as one line of text.

    Attributes:
        text: Its lines, joined by single blanks.
        starts: Where in `text` each line begins.
        originals: Where it began in the submitted text.
    """

    text: str
    starts: Sequence[int]
    originals: Sequence[int]

    def offset(self, position: int) -> int:
        """Where the character at `position` of the block stands in the submitted text."""
        line = bisect_right(self.starts, position) - 1
        return self.originals[line] + position - self.starts[line]


@dataclass(frozen=True, slots=True)
class Layout:
    """A text taken apart.

    Attributes:
        text: The text, with what is no character (lone surrogates) replaced one for one.
        paragraphs: Runs of lines that are neither blank nor code.
        body_indent: The indent that most long lines have.
    """

    text: str
    paragraphs: list[Paragraph]
    body_indent: int

    def lines_from(self, offset: int, count: int) -> list[Line]:
        """Those of the next `count` lines from `offset` on that are not blank."""
        lines = islice(_read(self.text[offset : offset + _NEAR]), count)
        return [line._replace(start=offset + line.start) for line in lines if line]


def lay_out(text: str) -> Layout:
    """Take `text` apart."""
    if _SURROGATES.search(text):
        text = _SURROGATES.sub("\ufffd", text)
    lines = list(_read(text))
    code = _code_lines(lines)
    paragraphs: list[Paragraph] = []
    current: Paragraph = []
    for index, line in enumerate(lines):
        if line and index not in code:
            current.append(line)
        elif current:
            paragraphs.append(current)
            current = []
    if current:
        paragraphs.append(current)
    indents = Counter(line.indent for paragraph in paragraphs for line in paragraph if len(line.text) >= _PROSE_WIDTH)
    body_indent = indents.most_common(1)[0][0] if indents else 0
    return Layout(text=text, paragraphs=paragraphs, body_indent=body_indent)


def _read(text: str) -> Iterator[Line | None]:
    """The lines; None for a blank one, because a text may be nothing but those."""
    position = 0
    for raw in text.splitlines(keepends=True):
        stripped = raw.strip().strip("\ufeff").strip()
        lead = raw.find(stripped) if stripped else 0
        if _BOXED.fullmatch(stripped):
            inner = stripped[1:-1].strip()
            lead += stripped.find(inner) if inner else 0
            stripped = inner
        indent = len(raw[:lead].expandtabs(8)) if lead else 0
        yield Line(position + lead, indent, stripped) if stripped else None
        position += len(raw)


def _code_lines(lines: Sequence[Line | None]) -> set[int]:
    code: set[int] = set()
    opened: tuple[int, str] | None = None
    for index, line in enumerate(lines):
        mark = line.text[:3] if line else ""
        if line is None or mark not in ("```", "~~~"):
            continue
        if opened is None:
            opened = (index, mark)
        elif opened[1] == mark and not line.text.strip(mark[0]):
            code.update(range(opened[0], index + 1))
            opened = None
    # A fence that is never closed is no fence: a stray mark must not swallow the document.
    below: int | None = None
    for index, line in enumerate(lines):
        if line is None or index in code:
            continue
        if below is not None and line.indent > below:
            code.add(index)
            continue
        below = None
        if line.text.endswith("::") and index + 1 < len(lines) and lines[index + 1] is None:
            below = line.indent
    return code


def width_of(paragraph: Sequence[Line]) -> int:
    """The column at which the paragraph's lines are wrapped, as far as it shows."""
    return max(_FALLBACK_WIDTH, *(line.indent + len(line.text) for line in paragraph))


def breaks_early(line: Line, following: Line, width: int) -> bool:
    """The next line's first word had room on this one: its author meant the break."""
    word = following.text.split(maxsplit=1)[0]
    return line.indent + len(line.text) + 1 + len(word) <= width


def running_text(layout: Layout, cuts: Sequence[tuple[int, int]] = ()) -> list[Block]:
    """The paragraphs and list items, each joined to one line.

    Args:
        layout: The text.
        cuts: Ranges of offsets to leave out, in order and without overlap.
    """
    blocks: list[Block] = []
    waiting = list(reversed(cuts))
    for paragraph in layout.paragraphs:
        parts: list[Line] = []
        width = width_of(paragraph)
        for index, line in enumerate(paragraph):
            previous = paragraph[index - 1] if index else None
            if line.is_rule or (previous and _starts_item(previous, line, width)):
                _close(blocks, parts)
                parts = []
            if line.is_rule:
                continue
            start = line.start
            while waiting and waiting[-1][1] <= start:
                waiting.pop()
            if waiting and waiting[-1][0] <= start:
                start = waiting[-1][1]
            if start < line.end:
                kept = line.text[start - line.start :]
                shorter = kept.lstrip()
                parts.append(Line(start + len(kept) - len(shorter), line.indent, shorter))
            else:
                _close(blocks, parts)
                parts = []
        _close(blocks, parts)
    return blocks


def _starts_item(previous: Line, line: Line, width: int) -> bool:
    found = _ITEM.match(line.text)
    if found is None:
        return False
    if not line.text[0].isalnum() and line.text[0] != "(":
        return True
    # A number may have got to the start of a line by wrapping.
    return previous.text.endswith(_SENTENCE_END) or breaks_early(previous, line, width)


def _close(blocks: list[Block], parts: Sequence[Line]) -> None:
    if not parts:
        return
    if len(parts) == 1:
        blocks.append(Block(parts[0].text, _ONE_LINE, (parts[0].start,)))
        return
    lengths = (len(part.text) + 1 for part in parts)
    starts = array("q", accumulate(lengths, initial=0))[:-1]
    originals = array("q", (part.start for part in parts))
    blocks.append(Block(" ".join(part.text for part in parts), starts, originals))

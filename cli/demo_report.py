"""The demo's table and totals, fit to the width of the terminal.

On a wide terminal the summary is a column of its own; else it goes below its document, so that nothing is squeezed.
It decides nothing about success: that is said by the rows.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from cli.demo_rows import Row

_WIDE = 132
_SUMMARY_LINES = 3
_LONGEST_LINE = 110
_LONGEST_NAME = 30
_SHORTEST_NAME = 12
_HEADINGS = ("Document", "Class", "Score", "Sect.", "Dates", "Tries", "ms")
_FIGURES = (15, 5, 5, 5, 5, 6)
"""Widths of the columns behind the document's."""
_LEFT_ALIGNED = 2
_GAP = "  "
_CLASS_STYLES = {
    "permissive": "green",
    "weak_copyleft": "cyan",
    "strong_copyleft": "magenta",
    "documentation": "blue",
    "public_domain": "yellow",
}
_NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run comes to.

    Attributes:
        retries: Attempts beyond each task's first.
        repeats: API calls that had to be repeated.
        failures: Documents without a complete row.
    """

    documents: int
    characters: int
    wall_seconds: float
    retries: int
    repeats: int
    failures: int

    @classmethod
    def of(cls, rows: Sequence[Row], *, wall_seconds: float, repeats: int) -> Totals:
        """Add up."""
        return cls(
            documents=len(rows),
            characters=sum(row.characters for row in rows),
            wall_seconds=wall_seconds,
            retries=sum(max(0, (row.attempts or 1) - 1) for row in rows),
            repeats=repeats,
            failures=sum(not row.complete for row in rows),
        )

    @property
    def per_minute(self) -> float:
        """Complete documents a minute at this pace."""
        return (self.documents - self.failures) * 60 / self.wall_seconds if self.wall_seconds else 0.0


def print_report(console: Console, rows: Sequence[Row], totals: Totals) -> None:
    """Print the table and the totals."""
    ordered = sorted(rows, key=lambda row: (not row.complete, row.document_class or "", row.document))
    console.print()
    for line in _table(ordered, console.width):
        console.print(line, no_wrap=True, overflow="ellipsis", highlight=False)
    console.print()
    for line in _totals(totals):
        console.print(line, highlight=False)
    console.print("ms: from accepted to committed, with all documents submitted at once", style="dim", highlight=False)
    console.print()


def _table(rows: Sequence[Row], width: int) -> list[Text]:
    names = max(len(row.document) for row in rows)
    figures = sum(_FIGURES) + len(_GAP) * len(_FIGURES)
    if width >= _WIDE:
        widths = (min(names, _LONGEST_NAME), *_FIGURES)
        beside = sum(widths) + len(_GAP) * len(widths)
        said_width = min(width - beside, _LONGEST_LINE)
    else:
        widths = (min(names, max(_SHORTEST_NAME, width - figures)), *_FIGURES)
        beside = 0
        said_width = min(width, _LONGEST_LINE) - len(_GAP)
    heading = _line([Text(heading) for heading in _HEADINGS], widths)
    if beside:
        heading.append(f"{_GAP}Summary, first sentence")
    heading.stylize("bold")
    table_width = beside + said_width if beside else sum(widths) + len(_GAP) * len(_FIGURES)
    lines = [heading, Text("─" * table_width, style="dim")]
    for row in rows:
        first = _line(_cells(row), widths)
        style = "red" if row.problem else "" if beside else "dim"
        said = [Text(line, style=style) for line in _said(row, said_width)]
        if beside:
            lines.append(first.append(_GAP).append_text(said[0]))
            lines += [Text(" " * beside).append_text(line) for line in said[1:]]
        else:
            lines += [first, *(Text(_GAP).append_text(line) for line in said)]
    return lines


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    """Cells side by side: the first two begin at the left, figures end at the right."""
    for position, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        cell.truncate(width, overflow="ellipsis")
        cell.align("left" if position < _LEFT_ALIGNED else "right", width)
    return Text(_GAP).join(cells)


def _cells(row: Row) -> list[Text]:
    kind = (row.document_class or _NOTHING).replace("_", " ")
    return [
        Text(row.document, style="bold"),
        Text(kind, style=_CLASS_STYLES.get(row.document_class or "", "")),
        Text(_NOTHING if row.score is None else f"{row.score:.2f}"),
        _figure(row.sections),
        _figure(row.dates),
        _figure(row.attempts, style="yellow" if (row.attempts or 0) > 1 else ""),
        _figure(row.total_ms),
    ]


def _figure(value: int | None, style: str = "") -> Text:
    return Text(_NOTHING if value is None else f"{value:,}", style=style)


def _said(row: Row, width: int) -> list[str]:
    """The summary, or what went wrong, in a few lines."""
    return textwrap.wrap(row.problem or row.summary or _NOTHING, width, max_lines=_SUMMARY_LINES, placeholder=" …")


def _totals(totals: Totals) -> tuple[Text, Text]:
    done = [
        (f"{totals.documents:,}", " documents"),
        (f"{totals.characters:,}", " characters"),
        (f"{totals.wall_seconds:.1f}", " s"),
        (f"{totals.per_minute:,.0f}", " documents a minute"),
    ]
    mended = [("retries ", totals.retries), ("repeated calls ", totals.repeats), ("failures ", totals.failures)]
    bad = "bold red" if totals.failures else "bold green"
    return (
        Text(" · ").join(Text(figure, style="bold").append(name, style="not bold") for figure, name in done),
        Text(" · ").join(
            Text(name).append(f"{count:,}", style=bad if name == "failures " else "bold") for name, count in mended
        ),
    )

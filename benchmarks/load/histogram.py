"""A histogram of latencies that is exact to one part in a hundred and needs no bounds, as HdrHistogram's are.

A value falls into one of 64 equal parts of the power of two that it lies in: a part is at most 1/64 of its value wide,
and its middle at most 1/128 off. A million values take some hundred counts, and histograms can be added up. Written
here, because the package that does it brings a compiled library along.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_PARTS = 64


class Histogram:
    """Counts values, in microseconds."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.total_us = 0
        self.max_us = 0

    @classmethod
    def of_ms(cls, values: Iterable[float]) -> Histogram:
        """Of values in milliseconds."""
        made = cls()
        for value in values:
            made.record(value)
        return made

    def record(self, milliseconds: float) -> None:
        """Count a value; what is below zero counts as zero."""
        value = max(0, round(milliseconds * 1000))
        self._counts[_place(value)] += 1
        self.count += 1
        self.total_us += value
        self.max_us = max(self.max_us, value)

    def add(self, other: Histogram) -> None:
        """Count what `other` has counted."""
        self._counts.update(other._counts)
        self.count += other.count
        self.total_us += other.total_us
        self.max_us = max(self.max_us, other.max_us)

    def percentile_ms(self, percent: float) -> float | None:
        """What `percent` of the values do not exceed, in milliseconds; None without any."""
        if not self.count:
            return None
        wanted, seen = max(1, math.ceil(self.count * percent / 100)), 0
        for place in sorted(self._counts):
            seen += self._counts[place]
            if seen >= wanted:
                return min(_middle(place), self.max_us) / 1000
        return self.max_us / 1000

    def to_json(self) -> dict[str, Any]:
        """The counts, by the middle of their part in microseconds, and the usual percentiles in milliseconds."""
        shown = {f"p{percent:g}_ms": self.percentile_ms(percent) for percent in (50, 75, 90, 95, 99, 99.9)}
        counts = {str(place): self._counts[place] for place in sorted(self._counts)}
        ends = {"max_ms": self.max_us / 1000 if self.count else None, "total_us": self.total_us, "max_us": self.max_us}
        return {"count": self.count, **shown, **ends, "counts": counts}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Histogram:
        """Read what `to_json` wrote."""
        made = cls()
        made._counts.update({int(place): count for place, count in value["counts"].items()})
        made.count, made.total_us, made.max_us = value["count"], value["total_us"], value["max_us"]
        return made


def _place(value: int) -> int:
    # Below the first 64, a part for each; above, 64 for each power of two.
    power = max(0, value.bit_length() - _PARTS.bit_length())
    return power * _PARTS + (value >> power)


def _middle(place: int) -> int:
    if place < 2 * _PARTS:
        return place
    power, part = place // _PARTS - 1, place % _PARTS + _PARTS
    return (part << power) + ((1 << power) >> 1)

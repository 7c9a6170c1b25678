"""Percentiles of many waits in little memory: a histogram whose steps grow with what they measure.

A percentile is the upper end of its step: never less than the true one, and at most 3 % (or a millisecond) more.
"""

from __future__ import annotations

import math
from collections import Counter

_STEP = math.log(1.03)
_SMALLEST = 0.001


class Waits:
    """Waits in seconds."""

    __slots__ = ("counts", "longest", "total")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.total = 0
        self.longest = 0.0

    def add(self, waits: list[float]) -> None:
        """Count the waits of one batch, the longest first."""
        counts = self.counts
        first, last = _step(waits[0]), _step(waits[-1])
        if first == last:
            counts[first] += len(waits)
        else:
            for wait in waits:
                counts[_step(wait)] += 1
        self.total += len(waits)
        self.longest = max(self.longest, waits[0])

    def merge(self, other: Waits) -> None:
        """Count what another has counted too."""
        self.counts.update(other.counts)
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    def percentile(self, share: float) -> float:
        """So many seconds that this share of all waited at the most; 0 if nothing was counted."""
        remaining = math.ceil(share * self.total)
        for step in sorted(self.counts):
            remaining -= self.counts[step]
            if remaining <= 0:
                return min(self.longest, _SMALLEST * math.exp(step * _STEP))
        return self.longest


def _step(wait: float) -> int:
    return math.ceil(math.log(wait / _SMALLEST) / _STEP) if wait > _SMALLEST else 0

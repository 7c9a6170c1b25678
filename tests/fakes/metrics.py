"""Metrics in memory."""

from __future__ import annotations

from collections import Counter


class MemoryMetrics:
    """`Metrics` that can be asked what was counted."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self.measured: list[tuple[str, float]] = []

    def count(self, name: str, amount: float = 1, **dimensions: str) -> None:
        self._counts[name, tuple(sorted(dimensions.items()))] += int(amount)

    def measure(self, name: str, milliseconds: float, **dimensions: str) -> None:
        self.measured.append((name, milliseconds))

    def counted(self, name: str, **dimensions: str) -> int:
        """How much was counted under just these dimensions."""
        return self._counts[name, tuple(sorted(dimensions.items()))]

    def total(self, name: str) -> int:
        """How much was counted under any."""
        return sum(amount for (found, _), amount in self._counts.items() if found == name)

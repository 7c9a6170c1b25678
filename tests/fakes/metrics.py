"""Metrics in memory."""

from __future__ import annotations

from collections import Counter

from flotilla.metric_ports import Unit

_Key = tuple[str, tuple[tuple[str, str], ...]]


class MemoryMetrics:
    """`Metrics` that can be asked what was counted.

    Attributes:
        measured: Names and values, as they came.
    """

    def __init__(self) -> None:
        self._counts: Counter[_Key] = Counter()
        self._sums: dict[_Key, float] = {}
        self._values: dict[_Key, list[float]] = {}
        self.measured: list[tuple[str, float]] = []

    def count(self, name: str, amount: float = 1, unit: Unit = "Count", **dimensions: str) -> None:
        key = _key(name, dimensions)
        self._counts[key] += int(amount)
        self._sums[key] = self._sums.get(key, 0.0) + amount

    def measure(self, name: str, value: float, unit: Unit = "Milliseconds", **dimensions: str) -> None:
        self.measured.append((name, value))
        self._values.setdefault(_key(name, dimensions), []).append(value)

    def counted(self, name: str, **dimensions: str) -> int:
        """How much was counted under just these dimensions."""
        return self._counts[_key(name, dimensions)]

    def sum(self, name: str, **dimensions: str) -> float:
        """The same where it is no whole number."""
        return self._sums.get(_key(name, dimensions), 0.0)

    def values(self, name: str, **dimensions: str) -> list[float]:
        """What was measured under just these dimensions."""
        return self._values.get(_key(name, dimensions), [])

    def total(self, name: str) -> int:
        """How much was counted under any."""
        return sum(amount for (found, _), amount in self._counts.items() if found == name)

    def names(self) -> set[str]:
        """Of all that was counted or measured."""
        return {name for name, _ in [*self._counts, *self._values]}

    def dimensions(self) -> dict[str, set[str]]:
        """Of each metric, the names of those that it was ever told by."""
        found: dict[str, set[str]] = {}
        for name, dimensions in [*self._counts, *self._values]:
            found.setdefault(name, set()).update(dimension for dimension, _ in dimensions)
        return found


def _key(name: str, dimensions: dict[str, str]) -> _Key:
    return name, tuple(sorted(dimensions.items()))

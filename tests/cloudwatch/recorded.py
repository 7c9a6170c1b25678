"""Recorded series: values of metrics at their times, and what CloudWatch's statistics say of a period of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MINUTE = 60


@dataclass(frozen=True)
class Series:
    """Which metric: namespace, name and dimensions."""

    namespace: str
    metric: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Series:
        """That which a template's metric names."""
        dimensions = frozenset((each["Name"], each["Value"]) for each in properties.get("Dimensions", []))
        return cls(properties["Namespace"], properties["MetricName"], dimensions)


class Recording:
    """Values of any number of series, by the minute in which they were taken."""

    def __init__(self) -> None:
        self._values: dict[Series, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def put(self, series: Series, minute: int, *values: float) -> None:
        """Adds values to a minute."""
        self._values[series][minute].extend(values)

    def put_each(self, series: Series, minutes: Iterable[int], value: float) -> None:
        """Adds one value to each of many minutes."""
        for minute in minutes:
            self.put(series, minute, value)

    def series(self) -> set[Series]:
        """Those of which there is anything."""
        return set(self._values)

    def statistic(self, series: Series, name: str, period_seconds: int, end_minute: int) -> float | None:
        """Of the period that ends before `end_minute`; None where nothing was recorded."""
        recorded = self._values.get(series)
        if recorded is None:
            return None
        length = period_seconds // MINUTE
        values = [value for minute in range(end_minute - length, end_minute) for value in recorded.get(minute, ())]
        return _statistic(name, values) if values else None


def _statistic(name: str, values: list[float]) -> float:
    match name:
        case "Sum":
            return sum(values)
        case "Maximum":
            return max(values)
        case "Minimum":
            return min(values)
        case "Average":
            return sum(values) / len(values)
        case "SampleCount":
            return len(values)
        case _ if name.startswith("p"):
            return percentile(values, float(name[1:]))
    raise NotImplementedError(f"statistic {name}")


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` percent of the others are, between two neighbours where it falls between them."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

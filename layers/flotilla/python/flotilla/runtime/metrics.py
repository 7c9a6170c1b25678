"""Metrics as CloudWatch's embedded metric format: lines of the log that CloudWatch makes metrics of, at no call.

Counts are gathered while an invocation runs and written at its end, one line for each set of dimensions: what is
counted a hundred times costs one line. What a killed process had gathered is lost; nothing depends on it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from flotilla.clock import Clock

NAMESPACE = "Flotilla"
"""Where CloudWatch puts them."""

_MOST_SETS = 500
"""Sets of dimensions between two flushes; what would be more has dimensions of too many values, and is left out."""

_MOST_VALUES = 100
"""Of one measure in one line, which is what the format takes."""

_Key = tuple[tuple[str, str], ...]


class EmbeddedMetrics:
    """`Metrics` that are lines of the log.

    Every metric is kept for the whole fleet, and for its own dimensions besides.

    Args:
        fleet: The fleet's name, a dimension of all.
        clock: Dates the lines.
        write: Takes a line.
    """

    def __init__(self, fleet: str, clock: Clock, write: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._clock = clock
        self._write = write
        self._counts: dict[_Key, dict[str, float]] = {}
        self._measures: dict[_Key, dict[str, list[float]]] = {}
        self._gathering = threading.Lock()

    def count(self, name: str, amount: float = 1, **dimensions: str) -> None:
        """See `Metrics.count`."""
        with self._gathering:
            of = self._set(self._counts, dimensions)
            if of is not None:
                of[name] = of.get(name, 0) + amount

    def measure(self, name: str, milliseconds: float, **dimensions: str) -> None:
        """See `Metrics.measure`."""
        with self._gathering:
            of = self._set(self._measures, dimensions)
            if of is not None and len(values := of.setdefault(name, [])) < _MOST_VALUES:
                values.append(milliseconds)

    def flush(self) -> None:
        """Write what was gathered."""
        with self._gathering:
            counts, self._counts = self._counts, {}
            measures, self._measures = self._measures, {}
        for key in {**counts, **measures}:
            self._write(self._line(dict(key), counts.get(key, {}), measures.get(key, {})))

    def _set(self, sets: dict[_Key, Any], dimensions: dict[str, str]) -> Any:
        key = tuple(sorted(dimensions.items()))
        if key not in sets and len(self._counts) + len(self._measures) >= _MOST_SETS:
            return None
        return sets.setdefault(key, {})

    def _line(self, dimensions: dict[str, str], counts: dict[str, float], measures: dict[str, list[float]]) -> str:
        values = {"Fleet": self._fleet} | {name.capitalize(): value for name, value in dimensions.items()}
        sets = [["Fleet"]] if len(values) == 1 else [["Fleet"], list(values)]
        metrics = [{"Name": name, "Unit": "Count"} for name in counts]
        metrics += [{"Name": name, "Unit": "Milliseconds"} for name in measures]
        directive = {"Namespace": NAMESPACE, "Dimensions": sets, "Metrics": metrics}
        head = {"Timestamp": self._clock.now_ms(), "CloudWatchMetrics": [directive]}
        return json.dumps({"_aws": head, **values, **counts, **measures}, separators=(",", ":"))

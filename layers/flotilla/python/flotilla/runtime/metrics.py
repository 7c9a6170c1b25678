"""Metrics as CloudWatch's embedded metric format: lines of the log that CloudWatch makes metrics of, at no call.

What is counted is gathered and written together: whatever does not contradict each other's dimensions shares a line,
so that an invocation that counts a hundred things of one lane writes one. What a killed process had gathered is lost;
nothing depends on it.

Bounded, whatever is counted: only known dimensions, few values of each, few sets. What would be more is kept for the
whole fleet alone.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from flotilla.clock import Clock, rfc3339
from flotilla.metric_ports import Unit

NAMESPACE = "Flotilla"
"""Where CloudWatch puts them."""

DIMENSIONS = frozenset({"lane", "agent", "class", "model", "route", "integration", "circuit", "limit", "protection"})
"""What metrics may be told apart by. Each value of each costs as much as a metric of its own."""

_MOST_DIMENSION_VALUES = 200
"""Of one dimension in one process."""

_MOST_SETS = 500
"""Sets of dimensions between two writings."""

_MOST_VALUES = 100
"""Of one measure in one line, which is what the format takes."""

_MOST_METRICS = 100
"""In one line; the format takes as many in each directive, and further dimensions than there are."""

_KEPT_VALUES = 20 * _MOST_VALUES
"""Of one measure between two writings."""

_LOOKED_AT = 16
"""Lines that are tried for room before another is begun."""

_DROPS_INFO = ("WARN", "ERROR", "FATAL")
"""Levels of Lambda's own filter, which takes a line without a level for INFO."""

_Set = tuple[tuple[str, str], ...]


class EmbeddedMetrics:
    """`Metrics` that are lines of the log.

    Args:
        fleet: The fleet's name, a dimension of all.
        clock: Dates the lines.
        write: Takes a line.
        rest_ms: Write at most so often; 0 for as often as `flush` is called. What is gathered in between is written by
            the first `flush` after it, and lost where none comes: a process may be frozen for good at any time.
    """

    def __init__(self, fleet: str, clock: Clock, write: Callable[[str], None], rest_ms: int = 0) -> None:
        self._fleet = fleet
        self._clock = clock
        self._write = write
        self._rest_ms = rest_ms
        self._written_ms: int | None = None
        self._sets: dict[_Set, dict[str, tuple[Unit, Any]]] = {}
        self._known: dict[str, set[str]] = {}
        self._gathering = threading.Lock()

    def count(self, name: str, amount: float = 1, unit: Unit = "Count", **dimensions: str) -> None:
        """See `Metrics.count`."""
        with self._gathering:
            metrics = self._set(dimensions)
            metrics[name] = (unit, metrics.get(name, (unit, 0))[1] + amount)

    def measure(self, name: str, value: float, unit: Unit = "Milliseconds", **dimensions: str) -> None:
        """See `Metrics.measure`."""
        with self._gathering:
            values = self._set(dimensions).setdefault(name, (unit, []))[1]
            if len(values) < _KEPT_VALUES:
                values.append(value)

    def flush(self) -> None:
        """Write what was gathered, unless it has been written just now."""
        now_ms = self._clock.now_ms()
        with self._gathering:
            if not self._sets:
                return
            if self._rest_ms and self._written_ms is not None and now_ms - self._written_ms < self._rest_ms:
                return
            sets, self._sets, self._written_ms = self._sets, {}, now_ms
        for line in _lines(sets):
            self._write(line.text(self._fleet, now_ms))

    def _set(self, dimensions: dict[str, str]) -> dict[str, tuple[Unit, Any]]:
        key = tuple(sorted(each for each in dimensions.items() if self._is_one_of_few(*each)))
        if key not in self._sets and len(self._sets) >= _MOST_SETS:
            key = ()
        return self._sets.setdefault(key, {})

    def _is_one_of_few(self, dimension: str, value: str) -> bool:
        if dimension not in DIMENSIONS:
            return False
        known = self._known.setdefault(dimension, set())
        if value not in known and len(known) >= _MOST_DIMENSION_VALUES:
            return False
        known.add(value)
        return True


class _Line:
    """One line while it is put together: metrics whose dimensions do not contradict each other."""

    def __init__(self) -> None:
        self.dimensions: dict[str, str] = {}
        self._metrics: dict[str, tuple[_Set, Unit, Any]] = {}

    def takes(self, key: _Set, name: str) -> bool:
        fits = all(self.dimensions.get(dimension, value) == value for dimension, value in key)
        return fits and name not in self._metrics and len(self._metrics) < _MOST_METRICS

    def add(self, key: _Set, name: str, unit: Unit, value: Any) -> None:
        self.dimensions.update(key)
        self._metrics[name] = (key, unit, value)

    def text(self, fleet: str, now_ms: int) -> str:
        """The line, as the format has it."""
        by_dimensions: dict[tuple[str, ...], list[dict[str, str]]] = {}
        for name, (key, unit, _) in self._metrics.items():
            by_dimensions.setdefault(tuple(each for each, _ in key), []).append({"Name": name, "Unit": unit})
        directives = [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [["Fleet"], *(["Fleet", _named(dimension)] for dimension in dimensions)],
                "Metrics": metrics,
            }
            for dimensions, metrics in by_dimensions.items()
        ]
        values = {name: value for name, (_, _, value) in self._metrics.items()}
        line = {
            "_aws": {"Timestamp": now_ms, "CloudWatchMetrics": directives},
            "Fleet": fleet,
            **{_named(dimension): value for dimension, value in self.dimensions.items()},
            **values,
        }
        if os.environ.get("AWS_LAMBDA_LOG_LEVEL") in _DROPS_INFO:
            line |= {"level": "ERROR", "timestamp": rfc3339(now_ms)}
        return json.dumps(line, separators=(",", ":"))


def _lines(sets: dict[_Set, dict[str, tuple[Unit, Any]]]) -> list[_Line]:
    lines: list[_Line] = []
    for key, metrics in sets.items():
        for name, (unit, found) in metrics.items():
            for value in _in_parts(found):
                line = next((each for each in lines[-_LOOKED_AT:] if each.takes(key, name)), None)
                if line is None:
                    line = _Line()
                    lines.append(line)
                line.add(key, name, unit, value)
    return lines


def _in_parts(found: Any) -> Iterator[Any]:
    """A sum; or values, as many at once as a line takes."""
    if not isinstance(found, list):
        yield _short(found)
        return
    for first in range(0, len(found), _MOST_VALUES):
        part = [_short(value) for value in found[first : first + _MOST_VALUES]]
        yield part[0] if len(part) == 1 else part


def _short(value: float) -> float:
    """As few characters as tell it: six digits behind the point, none where they are nought."""
    rounded = round(value, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def _named(dimension: str) -> str:
    return dimension.capitalize()

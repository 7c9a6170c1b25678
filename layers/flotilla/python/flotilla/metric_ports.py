"""What is counted for those on call.

Never needed for anything to go on: no method raises, and none waits for a network.
"""

from __future__ import annotations

from typing import Protocol


class Metrics(Protocol):
    """Counts and measures, by name and a few dimensions of few values each. What has many values belongs in logs."""

    def count(self, name: str, amount: float = 1, **dimensions: str) -> None:
        """Add to a count, e.g. `count("ModelFailovers", route="fast")`."""
        ...

    def measure(self, name: str, milliseconds: float, **dimensions: str) -> None:
        """Note a duration."""
        ...


class NoMetrics:
    """Counts nothing."""

    def count(self, name: str, amount: float = 1, **dimensions: str) -> None:
        """See `Metrics.count`."""

    def measure(self, name: str, milliseconds: float, **dimensions: str) -> None:
        """See `Metrics.measure`."""

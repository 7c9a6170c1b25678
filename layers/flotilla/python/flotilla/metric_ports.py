"""What is counted for those on call.

Never needed for anything to go on: no method raises, and none waits for a network.
"""

from __future__ import annotations

from typing import Literal, Protocol

Unit = Literal["Count", "Milliseconds", "Megabytes", "Seconds", "None"]
"""The units that are used, as CloudWatch calls them."""


class Metrics(Protocol):
    """Counts and measures, by name and a few dimensions of few values each. What has many values belongs in logs.

    Each is kept for the whole fleet, and for each of its dimensions by itself: what is counted for a lane and an agent
    can be asked for by lane or by agent, not by both.
    """

    def count(self, name: str, amount: float = 1, unit: Unit = "Count", **dimensions: str) -> None:
        """Add to a sum, e.g. `count("ModelFailovers", route="fast")`. Its average tells nothing."""
        ...

    def measure(self, name: str, value: float, unit: Unit = "Milliseconds", **dimensions: str) -> None:
        """Note one value of many, e.g. how long something took: percentiles can be asked for."""
        ...


class NoMetrics:
    """Counts nothing."""

    def count(self, name: str, amount: float = 1, unit: Unit = "Count", **dimensions: str) -> None:
        """See `Metrics.count`."""

    def measure(self, name: str, value: float, unit: Unit = "Milliseconds", **dimensions: str) -> None:
        """See `Metrics.measure`."""

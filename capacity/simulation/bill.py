"""What a lane costs: its invocations, the queue calls they come with, and what is kept warm.

What is paid for each task whatever its lane is allowed (writes, the API, the sending of its message) is not in it.
"""

from __future__ import annotations

from capacity import prices
from capacity.simulation.environments import Start

_MILLION = 1_000_000
_QUEUE_CALLS = 3
"""Of a batch that is run: it is received, its visibility is changed, it is deleted."""


class Bill:
    """Adds up."""

    def __init__(self, memory_mb: int, architecture: str) -> None:
        self._gigabytes = memory_mb / 1024
        self._on_demand = prices.LAMBDA_GB_SECONDS[architecture] / _MILLION
        self._in_provisioned = prices.LAMBDA_PROVISIONED_DURATION_GB_SECONDS[architecture] / _MILLION
        self._kept_warm = prices.LAMBDA_PROVISIONED_GB_SECONDS[architecture] / _MILLION
        self._calls = (prices.LAMBDA_REQUESTS + _QUEUE_CALLS * prices.SQS_FIFO_REQUESTS) / _MILLION
        self.gb_seconds = 0.0
        self.dollars = 0.0
        self.provisioned_dollars = 0.0

    def invocation(self, seconds: float, start: Start) -> None:
        """A batch was run for so long, initialisation included."""
        gb_seconds = seconds * self._gigabytes
        self.gb_seconds += gb_seconds
        self.dollars += gb_seconds * (self._in_provisioned if start is Start.PROVISIONED else self._on_demand)
        self.dollars += self._calls

    def refused(self) -> None:
        """A batch was received in vain."""
        self.dollars += prices.SQS_FIFO_REQUESTS / _MILLION

    def provisioned(self, environments: int, seconds: float) -> None:
        """So many environments were kept warm for so long."""
        dollars = environments * seconds * self._gigabytes * self._kept_warm
        self.provisioned_dollars += dollars
        self.dollars += dollars

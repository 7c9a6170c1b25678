"""When canaries are due, and when one has had its time: small tasks by which every lane is tried from end to end.

One canary for each lane and period. Its idempotency key follows from these two, so that asking twice for a period makes
no second one. Each is decided once, when it ended or its time was up, and it belongs to the round of the period that
follows: no two rounds count the same canary, and no round has to remember what an earlier one counted.

    period      k-1              k                k+1
    canary       |--accepted--ended                |
    counted                      |-- round of k --|
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

CANARY_TENANT = "flotilla"
"""Whose canaries are. No client's: they are in nobody else's lists, limits and budgets."""

CANARY_AGENT = "flotilla.canary"

_MOST_PERIODS = 60
"""Looked back over by a round: so many reads of a lane at the most."""


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """How often the lanes are tried, and how long a canary of each may take.

    Attributes:
        period_seconds: Between two canaries of a lane.
        patience_seconds: By lane, after how long a canary that has not ended has failed; at least a period.
        scheduled: Whether anything asks for canaries by itself.
    """

    period_seconds: int
    patience_seconds: Mapping[str, int]
    scheduled: bool = True

    def period_of(self, at_ms: int) -> int:
        """The beginning of the period of `at_ms`."""
        length = self.period_seconds * 1000
        return at_ms // length * length

    def window_before(self, at_ms: int) -> tuple[int, int]:
        """The period before that of `at_ms`, its end exclusive: what was decided in it is counted now."""
        period = self.period_of(at_ms)
        return period - self.period_seconds * 1000, period

    def periods_before(self, lane: str, at_ms: int) -> list[int]:
        """The periods whose canary of `lane` may have been decided within `window_before`, the newest first."""
        # Accepted anywhere in its period, and decided its patience later at the latest.
        count = 1 + math.ceil(self.patience_ms(lane) / (self.period_seconds * 1000))
        period = self.period_of(at_ms)
        return [period - number * self.period_seconds * 1000 for number in range(1, min(count, _MOST_PERIODS) + 1)]

    def patience_ms(self, lane: str) -> int:
        """How long a canary of `lane` may take, in milliseconds."""
        return self.patience_seconds[lane] * 1000


def canary_key(lane: str, period_ms: int) -> str:
    """The idempotency key of the canary of a lane and a period."""
    return f"canary/{lane}/{period_ms // 1000}"

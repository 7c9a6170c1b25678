"""The delay ladder: where a message waits for its time, and where it goes when a wait is over.

A FIFO queue delays every message by the same time, so there is one queue for each *tier*. A message
goes into the largest tier that does not take it past its time; the relay is handed it when that is
over and holds the rest of the wait in place, or passes it on to the next tier.

Invariant: nothing is let through to its lane before its time, and every path ends: a hop takes at
least `HOP_SECONDS` off what remains, and there are at most `MAX_HOPS`. Knows nothing of clocks:
what remains is given, and may be wrong by what two clocks differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

REACH_SECONDS = 900
"""The longest wait that is left to the ladder alone: what SQS delays a message for at the most."""

HOLD_SECONDS = 300
"""The longest hold in place at a time. What is held is in flight, and a FIFO queue has room for 120,000 of those."""

HOP_SECONDS = 60
"""A hop that takes less off is not worth its send: the message is held in place instead."""

SLACK_SECONDS = 0.5
"""How late a tier may end: a delay of just its length has lost some milliseconds when it is placed."""

MAX_HOPS = 100
"""After so many hops the lane itself holds the message. Twelve hours, the longest wait for which a worker
sends a message round the ladder, are 49 hops at the most with a tier of fifteen minutes."""

SCHEDULE_LEAD_SECONDS = 90
"""How long before its time what lies beyond the ladder is scheduled for. EventBridge Scheduler fires within
a minute after the time it is given; the ladder does the rest."""


@dataclass(frozen=True, slots=True)
class ToLane:
    """Put it on its lane: its time has come, or the lane's worker holds the little that is left in place."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Put it into the tier of that many seconds."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Leave it where it is, hidden for that many whole seconds."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Beyond:
    """It is too far away for the ladder: schedule it for `SCHEDULE_LEAD_SECONDS` before its time."""


class Ladder:
    """The tiers there are, and the rule that chooses among them.

    Args:
        tiers_seconds: What the tiers delay by.

    Raises:
        ValueError: There is none, or one that SQS cannot have.
    """

    def __init__(self, tiers_seconds: Iterable[int]) -> None:
        self._tiers = tuple(sorted(set(tiers_seconds)))
        if not self._tiers or self._tiers[0] < 1 or self._tiers[-1] > REACH_SECONDS:
            raise ValueError(f"tiers are of 1 to {REACH_SECONDS} seconds, and there is at least one")

    @property
    def tiers_seconds(self) -> tuple[int, ...]:
        """The tiers, shortest first."""
        return self._tiers

    def place(self, remaining_seconds: float) -> ToLane | Tier | Beyond:
        """Where a new message goes.

        Who has no scheduler asks with at most `REACH_SECONDS`; the relay sends the message round again.

        Args:
            remaining_seconds: Until its time; 0 or less when that has come.
        """
        if not remaining_seconds > 0:
            return ToLane()
        if remaining_seconds > REACH_SECONDS + SLACK_SECONDS:
            return Beyond()
        tier = self._largest_within(remaining_seconds)
        if tier is not None:
            return Tier(tier)
        # Holding in place is exact to a second; so is the smallest tier, if it is no longer than that.
        smallest = self._tiers[0]
        return Tier(smallest) if smallest - remaining_seconds <= 1 else ToLane()

    def on_arrival(self, remaining_seconds: float, hops: int = 0) -> ToLane | Hold | Tier:
        """What the relay does with a message that has come out of a tier, or of its own hold.

        Args:
            remaining_seconds: Until its time; 0 or less when that has come.
            hops: How often the message was passed on already.
        """
        if not remaining_seconds > 0 or hops >= MAX_HOPS:
            return ToLane()
        if remaining_seconds <= HOLD_SECONDS:
            return Hold(math.ceil(remaining_seconds))
        tier = self._largest_within(remaining_seconds)
        return Hold(HOLD_SECONDS) if tier is None or tier < HOP_SECONDS else Tier(tier)

    def _largest_within(self, remaining_seconds: float) -> int | None:
        return max((tier for tier in self._tiers if tier <= remaining_seconds + SLACK_SECONDS), default=None)

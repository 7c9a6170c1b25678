"""Brings lanes to what was decided, one call after another, so that a process may die between any two of them.

Invariants, at every moment, whatever fails:

- what is reserved for a lane is at least what its mapping may ask for, as a throttled receive uses up a message's
  receives: for more, first the reservation, then the mapping; for less, first the mapping, and the reservation in a
  later run, since a mapping takes some time to do as it is told;
- all reservations together never exceed the pool: what is given back comes before what is given.

Where somebody else broke one of them it is mended and never widened. A call without an answer may have had its effect:
its lane is left alone until the next run reads what became of it, and counts as what is worse until then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from flotilla.errors import RetryableError
from flotilla.scaling_ports import LaneCapacity

logger = logging.getLogger("flotilla.scaler")

LEAST = 2
"""The lowest maximum concurrency that AWS gives a mapping."""


@dataclass(slots=True)
class Held:
    """What a lane has.

    Attributes:
        concurrency: Of its mapping.
        reserved: Of its function, at the most where that is not certain.
        certain: Every call about it was answered.
        left_alone: No call is made about it.
        refused: The account's limit, or the pool, gave it less than it was to have.
    """

    concurrency: int
    reserved: int
    certain: bool = True
    left_alone: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a lane is to have.

    Attributes:
        concurrency: Of its mapping.
        reserved: Of its function; at least `concurrency`.
        share: What is its own: who has less of it comes first.
    """

    concurrency: int
    reserved: int
    share: int


class Steps:
    """One run's calls.

    Args:
        capacity: Is changed.
        pool: What all lanes together may have reserved.
        held: What each lane has now; kept up to date.
    """

    def __init__(self, capacity: LaneCapacity, pool: int, held: Mapping[str, Held]) -> None:
        self._capacity = capacity
        self._pool = pool
        self._before = {lane: have.concurrency for lane, have in held.items()}
        self.held = dict(held)

    async def take(self, wanted: Mapping[str, Wanted]) -> None:
        """Bring these lanes as near as may be to what they are to have."""
        for lane, want in wanted.items():
            if want.concurrency < self.held[lane].concurrency:
                await self._limit(lane, want.concurrency)
        for lane, want in wanted.items():
            # Not below what its mapping had when this run began: that may not know yet that it has less.
            kept = max(want.reserved, self._before[lane])
            if kept < self.held[lane].reserved:
                await self._reserve(lane, kept)
        for lane, want in sorted(wanted.items(), key=lambda each: each[1].reserved > each[1].share):
            have = self.held[lane]
            granted = min(want.reserved, have.reserved + self._free())
            have.refused = granted < want.reserved and want.reserved > have.reserved
            if granted > have.reserved:
                await self._reserve(lane, granted)
        for lane, want in wanted.items():
            have = self.held[lane]
            concurrency = max(LEAST, min(want.concurrency, have.reserved))
            too_high = have.concurrency > have.reserved
            if concurrency > have.concurrency or (too_high and concurrency < have.concurrency):
                await self._limit(lane, concurrency)

    def _free(self) -> int:
        return max(0, self._pool - sum(have.reserved for have in self.held.values()))

    async def _limit(self, lane: str, concurrency: int) -> None:
        have = self.held[lane]
        if have.left_alone:
            return
        try:
            if await self._capacity.limit(lane, concurrency):
                have.concurrency = concurrency
            else:
                logger.info("the lane's mapping is being changed", extra={"lane": lane, "wanted": concurrency})
                have.left_alone = True
        except RetryableError as error:
            self._unanswered(lane, error)

    async def _reserve(self, lane: str, reserved: int) -> None:
        have = self.held[lane]
        if have.left_alone:
            return
        try:
            if await self._capacity.reserve(lane, reserved):
                have.reserved = reserved
                return
        except RetryableError as error:
            have.reserved = max(have.reserved, reserved)
            self._unanswered(lane, error)
            return
        have.refused = True
        logger.warning("the account's limit allows no more", extra={"lane": lane, "wanted": reserved})

    def _unanswered(self, lane: str, error: RetryableError) -> None:
        self.held[lane].certain = False
        self.held[lane].left_alone = True
        logger.warning("a change was not answered", extra={"lane": lane, "error": error.message})

"""What lanes may have at once now, and whose it is: what the scaler's last run left, for who operates the fleet.

Failure policy: open. Where the memory does not answer, or no run was ever made, nothing is told of any lane.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from flotilla.errors import RetryableError
from flotilla.primitives.lending import NO_LOAN, Loan, loans
from flotilla.scaling_ports import ScalingMemories

logger = logging.getLogger("flotilla.lane_status")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one lane may have.

    Attributes:
        allowed: Invocations at once, a few minutes ago at the most; None where it is not known.
        loan: What of it is borrowed, or what it has lent.
    """

    allowed: int | None = None
    loan: Loan = NO_LOAN


class LaneAllowances:
    """Answers what lanes may have.

    Args:
        memories: Where runs of the scaler leave word.
        pool: What all lanes together may have reserved.
        shares: By lane, its own.
    """

    def __init__(self, memories: ScalingMemories, pool: int, shares: Mapping[str, int]) -> None:
        self._memories = memories
        self._pool = pool
        self._shares = dict(shares)

    async def all(self) -> dict[str, Allowance]:
        """By lane; every lane is in it."""
        try:
            left = (await self._memories.read()).lanes
        except RetryableError as error:
            logger.warning("what lanes may have is not known", extra={"error": error.message})
            left = {}
        if self._shares.keys() - left.keys():
            return {lane: Allowance() for lane in self._shares}
        lent = loans(self._pool, self._shares, {lane: left[lane].reserved for lane in self._shares})
        return {lane: Allowance(left[lane].concurrency, lent[lane]) for lane in self._shares}

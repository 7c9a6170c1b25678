"""Tokens that one process has drawn for its own later use, and how many at a time it should draw.

Times are of a clock that nobody sets: it goes on evenly and belongs to this process alone. A lease that is lost with its
process, or runs out unused, is capacity lost and never a token too many.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from flotilla.primitives.token_bucket import ms_to_credit

_SLACK_MS = 1
"""Credit is counted in whole milliseconds of another clock than this one."""


@dataclass(frozen=True, slots=True)
class Leasing:
    """How far a process may draw in advance.

    Attributes:
        period_ms: How long one draw should last a process that goes on as it did. Unused, it runs out after as long.
        ahead_ms: How far ahead of its credit a bucket that is in demand may be drawn.
        most: Tokens drawn in advance at once at the most; 0 for none, each draw being what is needed.
    """

    period_ms: int = 16_000
    ahead_ms: int = 30_000
    most: int = 1000


NO_LEASES = Leasing(most=0)


@dataclass(slots=True)
class Lease:
    """Tokens of one draw.

    Attributes:
        left_milli: Not used yet.
        rate_per_minute: At which they mature, the last one at `ripe_ms`.
        ripe_ms: When all of them may be used.
        until_ms: When they run out.
    """

    left_milli: int
    rate_per_minute: int
    ripe_ms: int
    until_ms: int

    def ripe_for_ms(self, amount_milli: int) -> int:
        """When the next `amount_milli` of it may be used."""
        return self.ripe_ms - ms_to_credit(self.rate_per_minute, self.left_milli - amount_milli - 1) + _SLACK_MS


class Leases:
    """What a process holds of one bucket; the earliest is used first."""

    def __init__(self) -> None:
        self._held: deque[Lease] = deque()

    def add(self, amount_milli: int, rate_per_minute: int, ripe_ms: int, until_ms: int) -> None:
        """Hold what was drawn, or came back."""
        if amount_milli > 0:
            self._held.append(Lease(amount_milli, rate_per_minute, ripe_ms, until_ms))

    def held_milli(self, now_ms: int) -> int:
        """What has not run out."""
        self._drop(now_ms)
        return sum(lease.left_milli for lease in self._held)

    def ripe_after_ms(self, amount_milli: int, now_ms: int) -> int | None:
        """How long until that much may be used; None where there is not that much."""
        self._drop(now_ms)
        latest = now_ms
        for lease in self._held:
            part = min(amount_milli, lease.left_milli)
            latest = max(latest, lease.ripe_for_ms(part) if part < lease.left_milli else lease.ripe_ms)
            amount_milli -= part
            if amount_milli == 0:
                return latest - now_ms
        return None

    def use(self, amount_milli: int) -> None:
        """Take what `ripe_after_ms` was asked about."""
        while amount_milli > 0:
            lease = self._held[0]
            part = min(amount_milli, lease.left_milli)
            lease.left_milli -= part
            amount_milli -= part
            if lease.left_milli == 0:
                self._held.popleft()

    def give_up(self, now_ms: int) -> int:
        """Hold nothing any more; returns what can be given back."""
        held = self.held_milli(now_ms)
        self._held.clear()
        return held

    def _drop(self, now_ms: int) -> None:
        while self._held and self._held[0].until_ms <= now_ms:
            self._held.popleft()


class LeaseSize:
    """How many tokens to draw at once: more where they are soon used up, fewer where they are not."""

    def __init__(self, leasing: Leasing) -> None:
        self._leasing = leasing
        self._size_milli = 0
        self._drawn_ms: int | None = None

    def next_milli(self, need_milli: int, now_ms: int, *, level_milli: int, queue_milli: int, drawers: int) -> int:
        """What to draw for a need, at least that.

        Args:
            need_milli: What is needed now.
            now_ms: Now.
            level_milli: What the bucket is thought to hold. Of this an equal share is left to each of the others.
            queue_milli: What is credited in `Leasing.ahead_ms`; shared likewise, where the bucket holds too little.
            drawers: How many are thought to draw from it.
        """
        if self._leasing.most == 0:
            return need_milli
        # Four times as much, so that a process that has just started draws enough after a few draws.
        size = max(self._size_milli, need_milli)
        if self._drawn_ms is not None:
            lasted_ms = now_ms - self._drawn_ms
            if lasted_ms < self._leasing.period_ms:
                wanted = size * self._leasing.period_ms // max(1, lasted_ms)
                size = min(4 * size, wanted)
            elif lasted_ms > 2 * self._leasing.period_ms:
                size //= 4
        share = (level_milli if level_milli >= need_milli else queue_milli) // max(2, drawers + 1)
        return max(need_milli, min(size, share, self._leasing.most * 1000))

    def drawn(self, amount_milli: int, now_ms: int) -> None:
        """So much was drawn."""
        self._size_milli = amount_milli
        self._drawn_ms = now_ms

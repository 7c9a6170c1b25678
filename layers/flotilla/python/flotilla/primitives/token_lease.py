"""Tokens that one process has drawn for its own later use, and how many at a time it should draw.

Times are of a clock that nobody sets: it goes on evenly and belongs to this process alone. A lease that is lost with
its process, or runs out unused, is capacity lost and never a token too many.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from flotilla.primitives.token_bucket import ms_to_credit

_MORE = 12
"""What is added to a lease that was soon used up, in multiples of what is needed."""

_CROWD = 16
_SEVERAL = 4
_UNSURE = 3
_FIRST = 12
_PROMPT = 8
"""No process takes more than one part in so many of what a bucket holds, even if it seems to be alone."""

_SLACK_MS = 1
"""Credit is counted in whole milliseconds of another clock than this one."""


@dataclass(frozen=True, slots=True)
class Leasing:
    """How far a process may draw in advance.

    Attributes:
        period_ms: How long one draw should last a process that goes on as it did. Unused, it runs out after as long.
        ahead_ms: How far ahead of its credit a bucket that is in demand may be drawn.
        most: Drawn at once, in multiples of what is needed, at the most; 1 to draw nothing in advance.
    """

    period_ms: int = 30_000
    ahead_ms: int = 45_000
    most: int = 1000


NO_LEASES = Leasing(most=1)

NO_PLACES = Leasing(ahead_ms=0, most=1)
"""Nothing in advance, and no place in a queue either: for who may not be there when its turn comes."""


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
    """How many tokens to draw at once: more where they are soon used up, fewer where they are not.

    Where the bucket is in demand each draws an equal share of what is credited in a period. What is added meanwhile is
    the same for all and what is taken off is a part of what each has: so processes that are equally busy come to draw
    equally much, however they started. Source: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for
    Congestion Avoidance", 1989.
    """

    def __init__(self, leasing: Leasing) -> None:
        self._leasing = leasing
        self._size_milli = 0
        self._drawn_ms: int | None = None
        self._queued = 0
        self._amount_milli = self._usable_ms = self._ripe_ms = 0

    def next_milli(
        self,
        need_milli: int,
        now_ms: int,
        *,
        used_milli: int,
        used_ms: int,
        level_milli: int,
        credit_milli: int,
        drawers: int,
        queueing: bool,
        returns: bool,
    ) -> int:
        """What to draw for a need, at least that.

        Args:
            need_milli: What is needed now.
            now_ms: Now.
            used_milli: What was used since the last draw.
            used_ms: When the last of it was.
            level_milli: What is in the bucket.
            credit_milli: What is credited in a period.
            drawers: How many are thought to draw from it; an equal share is left to each.
            queueing: The bucket is in such demand that what is drawn has yet to be credited.
            returns: The process has asked before, not long ago.
        """
        if self._drawn_ms is None and not (queueing and returns):
            return need_milli
        lasted_ms = 0 if self._drawn_ms is None else now_ms - self._drawn_ms
        size, more, many = self._size_milli, _MORE * need_milli, max(drawers, _CROWD)
        if queueing:
            if self._drawn_ms is None:
                size = _FIRST * need_milli
            elif used_milli < self._amount_milli:
                size = used_milli  # the rest ran out
            elif used_ms - self._ripe_ms > self._leasing.period_ms // _PROMPT:
                # It had enough for what it does: so much does it use in a period.
                size = min(size + more, used_milli * self._leasing.period_ms // (used_ms - self._usable_ms))
            else:
                # All begin anew, whatever each of them got hold of while there was enough.
                size = (size if self._queued else 0) + more
            # As if they were many: how many they are is known once all of them have had their turn.
            share = credit_milli // (many if self._queued < _UNSURE else drawers)
        else:
            if lasted_ms < self._leasing.period_ms // 2:
                size += more
            elif lasted_ms > self._leasing.period_ms:
                size = size * 3 // 4
            share = level_milli // max(_SEVERAL, drawers + 1)
            if returns:
                # The last of what there is, is not worth a write of its own.
                share = max(share, min(more, credit_milli // many))
        return max(need_milli, min(size, share, self._leasing.most * need_milli))

    def drawn(self, amount_milli: int, now_ms: int, *, usable_ms: int, ripe_ms: int, queueing: bool) -> None:
        """So much was drawn; the first of it may be used from `usable_ms` on, and the last from `ripe_ms` on."""
        # Where there was no room for more it is not for lack of demand.
        fallen_to = self._size_milli * 3 // 4 if queueing == (self._queued > 0) else 0
        self._size_milli = max(amount_milli, fallen_to)
        self._drawn_ms, self._queued = now_ms, self._queued + 1 if queueing else 0
        self._amount_milli, self._usable_ms, self._ripe_ms = amount_milli, usable_ms, ripe_ms

"""One bucket as one process draws from it: what it knows, what it holds, and what it does when nobody answers.

What costs a write is only what cannot be decided without one. A draw takes as much as the process is going to need
soon; what was seen last tells for how long there is no use in asking. Who was refused and comes again gets a place in
the queue, so that nobody starves who keeps asking: places are served in the order in which they were taken.

Failure policy: open. While the store does not answer, the process keeps to its own share of the limit by itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.limit_ports import BucketStore, Drawn
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.primitives.token_bucket import (
    SKEW_MS,
    TOKEN_MILLI,
    Bucket,
    Draw,
    Limit,
    Refuse,
    Shift,
    Wish,
    after,
    credited_milli,
    level_milli,
    matures_after_ms,
    ms_to_credit,
    plan,
    reckoned_ms,
)
from flotilla.primitives.token_lease import Leases, LeaseSize, Leasing

logger = logging.getLogger("flotilla.limits")

_TRIES = 6
_PATIENCE_SECONDS = 1.0
"""A store that has not answered by then counts as one that is down."""

_BLIND_MS = 1000
_KEPT_SECONDS = 86_400
_FROZEN_MS = 1000
_MOST_OTHERS = 1000
_NEWCOMER_MS = 5000
_MOST_DOUBLINGS = 12
_FEW = 8
"""With less in a bucket than that many draws it is as good as empty: what is drawn now is next to nothing."""


@dataclass(frozen=True, slots=True)
class BucketTools:
    """What every bucket of a process shares.

    Attributes:
        store: Where buckets are kept.
        clock: The machine's clock.
        random: Draws jitter.
        elapsed_ms: A clock that nobody sets.
        skew_ms: How wrong the fleet's clocks may be, either way.
        leasing: How far to draw in advance.
        metrics: Counts asks that the store did not answer.
    """

    store: BucketStore
    clock: Clock
    random: random.Random
    elapsed_ms: Callable[[], int]
    skew_ms: int = SKEW_MS
    leasing: Leasing = Leasing()  # noqa: RUF009 - frozen
    metrics: Metrics = NoMetrics()  # noqa: RUF009 - has no state


@dataclass(frozen=True, slots=True)
class Taken:
    """The tokens are the caller's, to be used after `wait_ms`.

    Attributes:
        guarded: They are not of the bucket, which did not answer: there is nothing to settle.
    """

    wait_ms: int
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class Short:
    """There is not enough; asking again before then is no use."""

    retry_after_ms: int


class LimitBucket:
    """Draws from the bucket `name` for all that this process does.

    Args:
        name: Of the bucket.
        tools: What it works with.
    """

    def __init__(self, name: str, tools: BucketTools) -> None:
        self._name = name
        self._tools = tools
        self._leases = Leases()
        self._size = LeaseSize(tools.leasing)
        self._lock = asyncio.Lock()
        self._met = False
        self._known: Bucket | None = None
        self._seen_ms = 0
        self._pace: tuple[int, int] | None = None
        self._others = 0
        self._others_now = 0
        self._others_use = 0
        self._insists_until_ms: int | None = None
        self._asked_ms: int | None = None
        self._drew = False
        self._used_milli = 0
        self._used_ms = 0
        self._in_vain = 0
        self._blind_until_ms: int | None = None
        self._guard: Bucket | None = None
        self._last_times: tuple[int, int] | None = None

    async def take(self, limit: Limit, need_milli: int, patience_ms: int) -> Taken | Short:
        """Get tokens that may be used within `patience_ms`."""
        self._notice_freeze()
        found = self._from_leases(need_milli, patience_ms)
        if found is None:
            async with self._lock:
                found = self._from_leases(need_milli, patience_ms)
                if found is None:
                    await self._look()
                    found = await self._draw(limit, need_milli, patience_ms)
        self._asked_ms = self._tools.elapsed_ms()
        return found

    def short(self, limit: Limit, need_milli: int, patience_ms: int) -> Short | None:
        """What `take` would refuse without asking the store."""
        now_ms = self._tools.elapsed_ms()
        ripe = self._leases.ripe_after_ms(need_milli, now_ms)
        if ripe is not None:
            return Short(ripe) if ripe > patience_ms else None
        if self._known is None or self._is_blind(now_ms) or self._queues(now_ms):
            return None
        if self._known.rate_per_minute != limit.rate_per_minute:
            return None
        lacking = need_milli - self._leases.held_milli(now_ms)
        refused = plan(self._known, limit, Wish(lacking, lacking, patience_ms, 0), self._reckoned_ms())
        if not isinstance(refused, Refuse):
            return None
        self._insist(now_ms + refused.retry_after_ms)
        return self._refusal(limit, lacking, refused)

    async def put_back(self, amount_milli: int, *, ripe_after_ms: int = 0, unused_for_ms: int = 0) -> None:
        """Take back tokens that were not used after all.

        They stay with the process for its next use, unless that is too far off or the others are short of them.
        """
        known, now_ms = self._known, self._tools.elapsed_ms()
        period_ms = self._tools.leasing.period_ms
        rate = known.rate_per_minute if known is not None else 1
        ripe_ms = now_ms + ripe_after_ms
        self._leases.add(amount_milli, rate, ripe_ms, ripe_ms + period_ms)
        wanted = self._others >= 1 and known is not None and self._level(known) < amount_milli
        if unused_for_ms > period_ms or wanted:
            await self.release()

    async def charge(self, amount_milli: int) -> None:
        """Draw what was used beyond what was taken; where it is not there, the bucket goes into debt."""
        now_ms = self._tools.elapsed_ms()
        if self._leases.ripe_after_ms(amount_milli, now_ms) is not None:
            self._leases.use(amount_milli)
            return
        if self._known is None:
            return  # it was never reached; its guard let this pass
        async with self._lock:
            await self._ask(Shift(amount_milli, None, self._reckoned_ms()), self._known.rate_per_minute, amount_milli)

    async def release(self) -> None:
        """Give back what this process holds and does not use. What does not arrive is lost to all for the moment."""
        async with self._lock:
            held = self._leases.give_up(self._tools.elapsed_ms())
            for _ in range(_TRIES):
                known = self._known
                if held == 0 or known is None:
                    return
                answer = await self._ask(Shift(-held, known, self._reckoned_ms()), known.rate_per_minute, held)
                if answer is None or answer.done or not answer.surely:
                    return

    def standing(self, limit: Limit) -> tuple[int, int]:
        """Whole tokens left and milliseconds until the bucket is full, as far as this process knows."""
        now_ms = self._tools.elapsed_ms()
        level = limit.burst_milli if self._known is None else self._level(self._known, limit)
        held = self._leases.held_milli(now_ms)
        return max(0, min(limit.burst_milli, level + held)) // TOKEN_MILLI, ms_to_credit(
            limit.rate_per_minute, limit.burst_milli - level
        )

    def _from_leases(self, need_milli: int, patience_ms: int) -> Taken | Short | None:
        ripe = self._leases.ripe_after_ms(need_milli, self._tools.elapsed_ms())
        if ripe is None:
            return None
        if ripe > patience_ms:
            return Short(ripe)
        self._leases.use(need_milli)
        self._used_milli += need_milli
        self._used_ms = self._tools.elapsed_ms() + ripe
        return Taken(ripe)

    async def _draw(self, limit: Limit, need_milli: int, patience_ms: int) -> Taken | Short:
        looked = self._in_vain == 0
        for tried in range(_TRIES):
            now_ms = self._tools.elapsed_ms()
            if self._is_blind(now_ms):
                return self._by_guard(limit, need_milli, patience_ms)
            lacking = need_milli - self._leases.held_milli(now_ms)
            reckoned = self._reckoned_ms()
            wish, queueing = self._wish(limit, need_milli, lacking, patience_ms, now_ms)
            draw = plan(
                self._known,
                limit,
                wish,
                reckoned,
                skew_ms=self._tools.skew_ms,
                others=self._others_use,
                just_seen=tried > 0,
            )
            if not looked and not isinstance(draw, Refuse):
                # More wait for a place than there are places: one sees first whether there is one.
                looked = True
                await self._look(again=True)
                continue
            if isinstance(draw, Refuse):
                if self._known is not None and self._known.rate_per_minute != limit.rate_per_minute:
                    # What is missing is credited at the new rate from now on, not once there is enough at the old one.
                    rebase = plan(self._known, limit, Wish(0, 0, 0, 0), reckoned, skew_ms=self._tools.skew_ms)
                    assert not isinstance(rebase, Refuse)
                    await self._ask(rebase, limit.rate_per_minute, limit.burst_milli)
                    continue
                self._in_vain += tried > 0 and wish.within_ms > patience_ms
                self._insist(now_ms + draw.retry_after_ms)
                return self._refusal(limit, lacking, draw)
            answer = await self._ask(draw, limit.rate_per_minute, limit.burst_milli)
            if answer is None or not answer.done:
                continue
            self._hold(draw.amount_milli, after(draw, answer.before), queueing=queueing)
            return self._from_leases(need_milli, patience_ms) or Short(1)
        self._insist(self._tools.elapsed_ms())
        return Short(1 + int(self._tools.random.random() * _TRIES * 10))

    def _wish(self, limit: Limit, need_milli: int, lacking: int, patience_ms: int, now_ms: int) -> tuple[Wish, bool]:
        """What to draw: out of what is there, or where that is too little, of what is credited in the next time."""
        ahead_ms = self._tools.leasing.ahead_ms
        insists, queues = self._insists(now_ms), self._queues(now_ms)
        level = limit.burst_milli if self._known is None else self._level(self._known, limit)
        # Who was refused and has not drawn yet does not know how many others wait, or what they drew meanwhile.
        known_others = max(self._others, self._others_now)
        others = max(known_others, _FEW) if insists and not self._drew else known_others
        there = level >= lacking * (1 + min(others, _FEW))
        size = self._size.next_milli(
            need_milli,
            now_ms,
            used_milli=self._used_milli,
            used_ms=self._used_ms,
            level_milli=level,
            credit_milli=credited_milli(limit.rate_per_minute, self._tools.leasing.period_ms),
            drawers=1 + known_others,
            queueing=not there,
            returns=queues,
        )
        # What it lacks now, and as many times more what it needs: no part of a need is left over.
        lease = lacking + (size // need_milli - 1) * need_milli
        within_ms = max(patience_ms, ahead_ms) if queues else patience_ms
        return Wish(lacking, lease, within_ms, 0 if there and not queues else max(within_ms, ahead_ms)), not there

    def _hold(self, amount_milli: int, bucket: Bucket, *, queueing: bool) -> None:
        now_ms, period_ms = self._tools.elapsed_ms(), self._tools.leasing.period_ms
        wait_ms = matures_after_ms(bucket, self._reckoned_ms())
        self._leases.add(amount_milli, bucket.rate_per_minute, now_ms + wait_ms, now_ms + wait_ms + period_ms)
        usable_ms = now_ms + max(0, wait_ms - ms_to_credit(bucket.rate_per_minute, amount_milli))
        self._size.drawn(
            amount_milli, now_ms, usable_ms=usable_ms, ripe_ms=now_ms + wait_ms, queueing=queueing or wait_ms > 0
        )
        self._used_milli = self._in_vain = 0
        self._drew = True
        if wait_ms > 0:
            self._insist(now_ms + wait_ms)

    def _refusal(self, limit: Limit, lacking: int, refused: Refuse) -> Short:
        # Where several are refused they do not all come back for the same token.
        spread = ms_to_credit(limit.rate_per_minute, lacking) * min(self._others, 10)
        if self._in_vain > 0:
            crowd_ms = ms_to_credit(limit.rate_per_minute, lacking) << min(self._in_vain, _MOST_DOUBLINGS)
            spread = max(spread, min(self._tools.leasing.period_ms, crowd_ms))
        wait_ms = refused.retry_after_ms
        if not self._drew and self._known is not None and self._level(self._known, limit) < 0:
            # Others queue: there is no use in waiting for the end of the queue before one stands in it.
            wait_ms = min(wait_ms, _NEWCOMER_MS)
        return Short(wait_ms + int(spread * self._tools.random.random()))

    def _insist(self, from_ms: int) -> None:
        """Who was refused, or had to queue, and asks again until some time after that gets a place in the queue."""
        self._insists_until_ms = from_ms + self._tools.leasing.period_ms

    def _insists(self, now_ms: int) -> bool:
        return self._insists_until_ms is not None and now_ms < self._insists_until_ms

    def _queues(self, now_ms: int) -> bool:
        """Who shares a bucket and is known to ask again and again does so at once: it saves a write in vain."""
        comes_again = self._asked_ms is not None and now_ms - self._asked_ms < self._tools.leasing.period_ms
        return self._insists(now_ms) or (comes_again and self._others >= 1)

    async def _look(self, *, again: bool = False) -> None:
        """See how the bucket is, where it is met for the first time: a tenth of the price of trying in vain."""
        if (self._met and not again) or self._is_blind(self._tools.elapsed_ms()):
            return
        answer = await self._answer(self._tools.store.look(self._name))
        if answer is not None:
            self._met = True
            self._see(answer.before)

    async def _ask(self, draw: Draw, rate_per_minute: int, burst_milli: int) -> Drawn | None:
        """One write; None when the store did not answer."""
        full_ms = self._reckoned_ms() + self._tools.leasing.ahead_ms + ms_to_credit(rate_per_minute, burst_milli)
        expires_at = full_ms // 1000 + _KEPT_SECONDS
        answer = await self._answer(self._tools.store.draw(self._name, draw, expires_at))
        if answer is not None:
            self._learn(draw, answer)
        return answer

    async def _answer(self, asked: Awaitable[Drawn]) -> Drawn | None:
        try:
            answer = await asyncio.wait_for(asked, _PATIENCE_SECONDS)
        except (RetryableError, TimeoutError) as error:
            if self._blind_until_ms is None:
                code = error.code if isinstance(error, RetryableError) else "buckets_slow"
                extra = {"protection": "limit", "limit": self._name, "code": code}
                logger.warning("protection unavailable", extra=extra)
            self._tools.metrics.count("ProtectionUnavailable", protection="limit")
            self._blind_until_ms = self._tools.elapsed_ms() + _BLIND_MS
            return None
        if self._blind_until_ms is not None:
            logger.info("protection available again", extra={"protection": "limit", "limit": self._name})
            self._blind_until_ms = self._guard = None
        return answer

    def _see(self, bucket: Bucket | None) -> None:
        now_ms = self._tools.elapsed_ms()
        if bucket is not None:
            self._pace = max(self._reckoned_ms(), bucket.clock_ms), now_ms
        self._known, self._seen_ms = bucket, now_ms

    def _learn(self, draw: Draw, answer: Drawn) -> None:
        known, before = self._known, answer.before
        passed_ms = max(1, self._tools.elapsed_ms() - self._seen_ms)
        self._see(before)
        if known is not None and before is not None and before.writes >= known.writes:
            writes = before.writes - known.writes
            self._others_now += writes
            # Taken to draw as much each time as this process does.
            use = writes * draw.amount_milli * 60_000 // (before.rate_per_minute * passed_ms)
            self._others_use = min(1000, use)
        if answer.done:
            self._known = after(draw, before)
            # How many others draw for each time that this one does: their number, where all draw alike. Too many is
            # the safer guess.
            self._others = max(min(self._others_now, _MOST_OTHERS), self._others * 3 // 4)
            self._others_now = 0

    def _is_blind(self, now_ms: int) -> bool:
        return self._blind_until_ms is not None and now_ms < self._blind_until_ms

    def _by_guard(self, limit: Limit, need_milli: int, patience_ms: int) -> Taken | Short:
        """The same rule over this process's share, as far as it knows how many there are."""
        drawers = 1 + self._others
        burst = max(-(-need_milli // TOKEN_MILLI), limit.burst // drawers)
        share = Limit(max(1, limit.rate_per_minute // drawers), burst)
        now_ms = self._tools.elapsed_ms()
        draw = plan(self._guard, share, Wish(need_milli, need_milli, patience_ms, 0), now_ms, skew_ms=0)
        if isinstance(draw, Refuse):
            return Short(draw.retry_after_ms)
        self._guard = after(draw, self._guard)
        return Taken(matures_after_ms(self._guard, now_ms), guarded=True)

    def _notice_freeze(self) -> None:
        """Drop what was held by a process that stood still: its own clock has not seen the time go by."""
        times = self._tools.clock.now_ms(), self._tools.elapsed_ms()
        if self._last_times is not None:
            by_wall, own = times[0] - self._last_times[0], times[1] - self._last_times[1]
            if by_wall > own + 2 * self._tools.skew_ms + _FROZEN_MS:
                self._leases.give_up(times[1])
        self._last_times = times

    def _level(self, known: Bucket, limit: Limit | None = None) -> int:
        limit = limit or Limit(known.rate_per_minute, 10**9)
        return level_milli(known, limit, self._reckoned_ms())

    def _reckoned_ms(self) -> int:
        own_ms = self._tools.clock.now_ms()
        if self._pace is None:
            return own_ms
        clock_ms, at_ms = self._pace
        return reckoned_ms(own_ms, clock_ms, self._tools.elapsed_ms() - at_ms)

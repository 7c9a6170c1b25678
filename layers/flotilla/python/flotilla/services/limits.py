"""Limits: how often something may be done, by all processes together.

What an ask takes from several limits it takes from all of them or from none. A limit that is known to have nothing left
refuses before any other is drawn from; where one refuses only when asked, what the others gave stays with the process
for its next ask. (A transaction would cost twice as much every time, for what happens seldom.)

Failure policy: open. See `LimitBucket`.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flotilla.clock import Clock
from flotilla.errors import LimitedError, PermanentError
from flotilla.limit_ports import BucketStore
from flotilla.metric_ports import Metrics, NoMetrics
from flotilla.primitives.token_bucket import SKEW_MS, TOKEN_MILLI, Limit, ms_to_credit
from flotilla.primitives.token_lease import Leasing
from flotilla.services.limit_board import LimitBoard
from flotilla.services.limit_bucket import BucketTools, LimitBucket, Short, Taken

_FOR_WHOM = re.compile(r"\b(client|tenant|agent)#.*", re.DOTALL)

_MOST_BUCKETS = 2000
"""Buckets of which a process remembers how they were; of the others it asks as if for the first time."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Tokens wanted of one limit.

    Attributes:
        name: Of the limit, e.g. `client#k1`, `integration#crm`, `model#fast.tokens`.
        limit: As declared; what an operator set at run time takes its place. None where only that counts.
        tokens: How many, at least 1.
        each: The name under which an operator sets the limits of its kind, e.g. `client`; each has a bucket of its own.
    """

    name: str
    limit: Limit | None
    tokens: int = 1
    each: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands, for the headers of an answer.

    Attributes:
        limit: As it is now.
        remaining: Tokens left, as far as this process knows.
        reset_seconds: Until it is full again if nobody draws.
        more_seconds: Until there is one more token.
    """

    limit: Limit
    remaining: int
    reset_seconds: int
    more_seconds: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What was asked for may be done.

    Attributes:
        tokens: Taken, by name of the limit; without those whose store did not answer.
        waited_ms: How long it took for them to be there.
    """

    tokens: Mapping[str, int]
    waited_ms: int = 0


class Limiter:
    """The limits as one process keeps to them.

    Args:
        store: Where buckets are kept.
        clock: The machine's clock.
        random: Draws jitter.
        board: Limits set at run time.
        leasing: How far to draw in advance; `NO_LEASES` to draw what is needed and no more.
        skew_ms: How wrong the fleet's clocks may be, either way.
        elapsed_ms: A clock that nobody sets, in milliseconds; the event loop's own if not given.
        metrics: Counts refusals, and asks that the store did not answer.
    """

    def __init__(
        self,
        store: BucketStore,
        clock: Clock,
        random: random.Random,
        *,
        board: LimitBoard | None = None,
        leasing: Leasing | None = None,
        skew_ms: int = SKEW_MS,
        elapsed_ms: Callable[[], int] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        leasing = Leasing() if leasing is None else leasing
        metrics = metrics or NoMetrics()
        self._tools = BucketTools(store, clock, random, elapsed_ms or _loop_ms, skew_ms, leasing, metrics)
        self._board = board
        self._buckets: OrderedDict[str, LimitBucket] = OrderedDict()

    def exactly(self) -> Limiter:
        """The same limits, of which nothing is drawn before it is used: for what must be even from second to second."""
        tools = self._tools
        return Limiter(
            tools.store,
            tools.clock,
            tools.random,
            board=self._board,
            leasing=Leasing(ahead_ms=0, most=1),
            skew_ms=tools.skew_ms,
            elapsed_ms=tools.elapsed_ms,
        )

    async def acquire(self, *asks: Ask, patience_seconds: float = 0.0) -> Admission:
        """Take from all limits at once, waiting up to `patience_seconds` for tokens that are about to be there.

        Raises:
            LimitedError: One of them has not enough in time. Nothing is taken from the others.
            PermanentError: One of them never has as much as is asked for.
        """
        patience_ms = int(patience_seconds * 1000)
        wanted = [(ask, limit) for ask in asks if (limit := await self._limit(ask)) is not None]
        for ask, limit in wanted:
            if ask.tokens > limit.burst:
                message = f"{ask.tokens} tokens at once of limit {ask.name}, which never has more than {limit.burst}"
                raise PermanentError(message, code="limit_too_small")
            short = self._bucket(ask.name).short(limit, ask.tokens * TOKEN_MILLI, patience_ms)
            if short is not None:
                raise self._limited(ask, short)
        taken: list[tuple[Ask, Taken]] = []
        admitted = False
        unused_for_ms = 0
        try:
            for ask, limit in wanted:
                found = await self._bucket(ask.name).take(limit, ask.tokens * TOKEN_MILLI, patience_ms)
                if isinstance(found, Short):
                    unused_for_ms = found.retry_after_ms
                    raise self._limited(ask, found)
                taken.append((ask, found))
            wait_ms = max((found.wait_ms for _, found in taken), default=0)
            if wait_ms > 0:
                await self._tools.clock.sleep(wait_ms / 1000)
            admitted = True
        finally:
            if not admitted:
                for ask, found in taken:
                    if not found.guarded:
                        amount = ask.tokens * TOKEN_MILLI
                        bucket = self._bucket(ask.name)
                        await bucket.put_back(amount, ripe_after_ms=found.wait_ms, unused_for_ms=unused_for_ms)
        settles = {ask.name: ask.tokens for ask, found in taken if not found.guarded}
        return Admission(settles, wait_ms)

    async def settle(self, admission: Admission, used: Mapping[str, int]) -> None:
        """Say what was really used, by limit; what is not named was used as taken.

        More than was taken is drawn at once, into debt where there is too little; less is given back.
        """
        for name, tokens in admission.tokens.items():
            more = used.get(name, tokens) - tokens
            if more > 0:
                await self._bucket(name).charge(more * TOKEN_MILLI)
            elif more < 0:
                await self._bucket(name).put_back(-more * TOKEN_MILLI)

    async def refund(self, admission: Admission) -> None:
        """Nothing was done after all."""
        await self.settle(admission, dict.fromkeys(admission.tokens, 0))

    async def release(self, *names: str) -> None:
        """Give back what is held in advance, of these limits or of all: before the process stands still, or ends."""
        for name in names or list(self._buckets):
            if (bucket := self._buckets.get(name)) is not None:
                await bucket.release()

    async def standing(self, ask: Ask) -> Standing | None:
        """How a limit stands; None where there is none of that name."""
        limit = await self._limit(ask)
        if limit is None:
            return None
        remaining, reset_ms = self._bucket(ask.name).standing(limit)
        beyond = max(0, limit.burst - remaining - 1)
        more_ms = max(0, reset_ms - ms_to_credit(limit.rate_per_minute, beyond * TOKEN_MILLI))
        return Standing(limit, remaining, -(-reset_ms // 1000), -(-more_ms // 1000))

    async def _limit(self, ask: Ask) -> Limit | None:
        return ask.limit if self._board is None else await self._board.limit(ask.name, ask.limit, ask.each)

    def _limited(self, ask: Ask, short: Short) -> LimitedError:
        self._tools.metrics.count("LimitRefusals", limit=ask.each or kind_of(ask.name))
        seconds = max(1, short.retry_after_ms) / 1000
        return LimitedError(f"limit {ask.name} allows no more for now", limit=ask.name, retry_after_seconds=seconds)

    def _bucket(self, name: str) -> LimitBucket:
        found = self._buckets.get(name)
        if found is None:
            found = self._buckets[name] = LimitBucket(name, self._tools)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return found


def kind_of(name: str) -> str:
    """A limit's name without whom it is for, of whom there may be thousands: `integration#crm.tenant`."""
    return _FOR_WHOM.sub(r"\1", name)


def _loop_ms() -> int:
    return int(asyncio.get_running_loop().time() * 1000)

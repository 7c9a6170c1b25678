"""The fleet's own limiter, and one for each process by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from benchmarks.fault_lab.limits.contest import Contest, Environment, WrongClock
from benchmarks.fault_lab.limits.stores import (
    TABLE,
    FailingBuckets,
    MemoryBuckets,
    Meter,
    MeteredClient,
    Outage,
    virtual_run_sync,
)
from flotilla.dynamo.buckets import DynamoBuckets
from flotilla.errors import LimitedError
from flotilla.limit_ports import BucketStore
from flotilla.metric_ports import Metrics
from flotilla.primitives.token_bucket import TOKEN_MILLI, Limit
from flotilla.primitives.token_lease import NO_LEASES, Leasing
from flotilla.services.limits import Ask, Limiter

BUCKET = "integration#crm"

_CONTESTS = count(1)


@dataclass(slots=True)
class _Asks:
    limiter: Limiter
    wanted: Ask

    async def ask(self) -> float | None:
        try:
            await self.limiter.acquire(self.wanted)
        except LimitedError as refusal:
            return refusal.retry_after_seconds
        return None


@dataclass(slots=True)
class Flotilla:
    """`Limiter`, with leases or without.

    Attributes:
        client: Of the engine's DynamoDB; None to keep the bucket in memory.
        outage: When its store fails.
        metrics: Told of it.
    """

    leases: bool
    client: Any = None
    outage: Outage | None = None
    metrics: Metrics | None = None

    @property
    def name(self) -> str:
        """See `Contestant.name`."""
        return "Flotilla, leases" if self.leases else "Flotilla, no leases"

    def environments(self, contest: Contest, meter: Meter) -> list[Environment]:
        """See `Contestant.environments`."""
        travel = Random(f"travel/{contest.seed}")
        store: BucketStore = MemoryBuckets(travel, meter)
        if self.client is not None:
            store = DynamoBuckets(MeteredClient(self.client, meter), TABLE, virtual_run_sync(travel))  # type: ignore[arg-type]
        if self.outage is not None:
            store = FailingBuckets(store, self.outage, Random(f"outage/{contest.seed}"))
        # One for each contest: virtual time begins anew with each.
        wanted = Ask(f"{BUCKET}.{next(_CONTESTS)}", contest.limit)
        return [
            _Asks(
                Limiter(
                    store,
                    WrongClock(skew_ms),
                    Random(f"{contest.seed}/{number}"),
                    leasing=Leasing() if self.leases else NO_LEASES,
                    skew_ms=contest.skew_ms,
                    metrics=self.metrics,
                ),
                wanted,
            )
            for number, skew_ms in enumerate(contest.skews())
        ]


class LocalBucket:
    """A token bucket of one process, in floating point: the usual one."""

    def __init__(self, rate_per_second: float, burst: float, now: Callable[[], float]) -> None:
        self._rate = rate_per_second
        self._burst = self._level = burst
        self._now = now
        self._at = now()

    async def ask(self) -> float | None:
        """See `Environment.ask`."""
        now = self._now()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level >= 1 - 1 / TOKEN_MILLI:
            self._level -= 1
            return None
        return (1 - self._level) / self._rate


@dataclass(frozen=True, slots=True)
class PerProcess:
    """A limiter in each process that knows of no other.

    Attributes:
        shared: Each has its share, because somebody told it how many there are; else each has the whole limit.
    """

    shared: bool

    @property
    def name(self) -> str:
        """See `Contestant.name`."""
        return "per process, rate / N" if self.shared else "per process, whole rate"

    def environments(self, contest: Contest, meter: Meter) -> list[Environment]:  # noqa: ARG002 - asks no store
        """See `Contestant.environments`."""
        parts = contest.size if self.shared else 1
        limit: Limit = contest.limit
        now = asyncio.get_running_loop().time
        return [
            LocalBucket(limit.rate_per_minute / 60 / parts, max(1.0, limit.burst / parts), now)
            for _ in range(contest.size)
        ]

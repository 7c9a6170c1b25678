"""zae-limiter 0.17, the package itself, on the virtual clock or in a process of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from benchmarks.fault_lab.limits.contest import Contest, Environment, WrongClock
from benchmarks.fault_lab.limits.stores import REGION, Meter, MeteredClient, VirtualAsyncClient
from benchmarks.fault_lab.peers import peer
from flotilla.clock import Clock
from flotilla.primitives.token_bucket import Limit

TABLE = "zae-limiter"
_RESOURCE = "crm"
_LIMIT = "rpm"

_CONTESTS = count(1)


@dataclass(slots=True)
class _Asks:
    limiter: Any
    entity: str
    limits: list[Any]
    refusal: type[Exception]

    async def ask(self) -> float | None:
        try:
            async with self.limiter.acquire(self.entity, _RESOURCE, {_LIMIT: 1}, limits=self.limits):
                return None
        except self.refusal as refused:
            return float(refused.retry_after_seconds)  # type: ignore[attr-defined]


@dataclass(slots=True)
class ZaeLimiter:
    """`RateLimiter` as it comes; what it asks its clock and its client is answered in virtual time."""

    client: Any
    name: str = "zae-limiter 0.17"

    def environments(self, contest: Contest, meter: Meter) -> list[Environment]:
        """See `Contestant.environments`."""
        zae = peer("zae_limiter")
        entity, limits = f"contest-{next(_CONTESTS)}", [_limit(zae, contest.limit)]
        travel = Random(f"travel/{contest.seed}")
        found: list[Environment] = []
        for skew_ms in contest.skews():
            repository = zae.Repository(TABLE, REGION, _skip_deprecation_warning=True)
            repository._client = VirtualAsyncClient(MeteredClient(self.client, meter), travel)  # noqa: SLF001
            _set_clocks(repository, WrongClock(skew_ms))
            repository._rejection_cache._clock = asyncio.get_running_loop().time  # noqa: SLF001
            found.append(_Asks(zae.RateLimiter(repository=repository), entity, limits, zae.RateLimitExceeded))
        return found


class BlockingZaeLimiter:
    """`SyncRateLimiter` for one real process."""

    def __init__(self, client: Any, meter: Meter, entity: str, limit: Limit, clock: Clock) -> None:
        zae = peer("zae_limiter")
        repository = zae.SyncRepository(TABLE, REGION, _skip_deprecation_warning=True)
        repository._client = MeteredClient(client, meter)  # noqa: SLF001
        _set_clocks(repository, clock)
        self._limiter = zae.SyncRateLimiter(repository=repository)
        self._refusal: type[Exception] = zae.RateLimitExceeded
        self._entity, self._limits = entity, [_limit(zae, limit)]

    def ask(self) -> float | None:
        """None when admitted, else in how many seconds to come back."""
        try:
            with self._limiter.acquire(self._entity, _RESOURCE, {_LIMIT: 1}, limits=self._limits):
                return None
        except self._refusal as refused:
            return float(refused.retry_after_seconds)  # type: ignore[attr-defined]


def make_table(client: Any) -> None:
    """The package's own table."""
    zae = peer("zae_limiter")
    repository = zae.SyncRepository(TABLE, REGION, _skip_deprecation_warning=True)
    repository._client = client  # noqa: SLF001
    repository.create_table()


def _limit(zae: Any, limit: Limit) -> Any:
    return zae.Limit.per_minute(_LIMIT, limit.rate_per_minute, limit.burst)


def _set_clocks(repository: Any, clock: Clock) -> None:
    repository._builder_initialized = True  # noqa: SLF001 - the table is there
    repository._now_ms = clock.now_ms  # noqa: SLF001 - the place that the package has for it

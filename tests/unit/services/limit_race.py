"""Processes that race for one limit on a virtual clock, each with a wall clock of its own."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from flotilla.errors import LimitedError
from flotilla.limit_ports import Drawn
from flotilla.primitives.token_bucket import Draw, Limit
from flotilla.primitives.token_lease import Leasing
from flotilla.services.limits import Ask, Limiter
from tests.fakes.limits import MemoryBuckets
from tests.simulation.loop import ProcessLoop, Scheduler

START_MS = 1_700_000_000_000
LATENCY_SECONDS = 0.005


class WrongClock:
    """A wall clock that is off by a constant."""

    def __init__(self, loop: ProcessLoop, off_ms: int) -> None:
        self._loop = loop
        self._off_ms = off_ms

    def now_ms(self) -> int:
        return START_MS + int(self._loop.time() * 1000) + self._off_ms

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SlowBuckets(MemoryBuckets):
    """Takes as long as a table does, so that calls overtake each other."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._random = rng

    async def look(self, name: str) -> Drawn:
        await self._travel()
        return await super().look(name)

    async def draw(self, name: str, draw: Draw, expires_at: int) -> Drawn:
        await self._travel()
        answer = self.draw_now(name, draw, expires_at)
        await self._travel()
        return answer

    async def _travel(self) -> None:
        await asyncio.sleep(LATENCY_SECONDS * self._random.uniform(0.5, 1.5))


@dataclass
class Race:
    """One race, and what came of it.

    Attributes:
        skews_ms: What each process's clock is off by.
        pause_seconds: Mean time between a process's uses; 0 for as often as it may.
        dies_after: Uses after which a process is gone, with what it holds; another takes its place.
    """

    limit: Limit
    leasing: Leasing
    skews_ms: list[int]
    seconds: float = 60.0
    patience_seconds: float = 0.0
    pause_seconds: float = 0.0
    dies_after: int | None = None
    seed: int = 1
    used: list[tuple[float, int]] = field(default_factory=list)
    writes: int = 0
    reads: int = 0

    def run(self) -> Race:
        scheduler = Scheduler()
        loop = ProcessLoop(scheduler, None)
        rng = random.Random(self.seed)
        buckets = SlowBuckets(rng)

        async def process(number: int) -> None:
            await asyncio.sleep(rng.random() * 0.1)
            limiter, since = self._limiter(loop, buckets, number), 0
            while loop.time() < self.seconds:
                try:
                    await limiter.acquire(Ask("crm", self.limit), patience_seconds=self.patience_seconds)
                except LimitedError as error:
                    await asyncio.sleep(error.retry_after_seconds)
                    continue
                if loop.time() >= self.seconds:
                    return
                self.used.append((loop.time(), number))
                since += 1
                if self.dies_after is not None and since >= self.dies_after:
                    limiter, since = self._limiter(loop, buckets, number), 0
                if self.pause_seconds:
                    await asyncio.sleep(rng.expovariate(1 / self.pause_seconds))

        async def all_processes() -> None:
            await asyncio.gather(*(process(number) for number in range(len(self.skews_ms))))

        task = loop.create_task(all_processes())
        scheduler.run(self.seconds * 4, task.done)
        task.result()
        self.writes, self.reads = buckets.writes, buckets.reads
        return self

    def _limiter(self, loop: ProcessLoop, buckets: SlowBuckets, number: int) -> Limiter:
        clock = WrongClock(loop, self.skews_ms[number])
        skew_ms = max(abs(skew) for skew in self.skews_ms)
        return Limiter(buckets, clock, random.Random(self.seed * 1000 + number), leasing=self.leasing, skew_ms=skew_ms)

    def bound(self, seconds: float) -> float:
        """What may be used within so long of the start."""
        skew = max(abs(skew) for skew in self.skews_ms) / 1000
        return self.limit.burst + self.limit.rate_per_minute / 60 * (seconds + skew)

    def broken_at(self) -> float | None:
        """When more was used than may be; None for never."""
        return next((at for number, (at, _) in enumerate(self.used, 1) if number > self.bound(at) + 1e-6), None)

    @property
    def writes_per_use(self) -> float:
        return self.writes / len(self.used)

    @property
    def slowest_of_fair_share(self) -> float:
        counts = Counter(number for _, number in self.used)
        return min(counts[number] for number in range(len(self.skews_ms))) / (len(self.used) / len(self.skews_ms))

    def __str__(self) -> str:
        return (
            f"{len(self.skews_ms)} processes, {self.limit.rate_per_minute}/min, burst {self.limit.burst}, "
            f"skew +-{max(abs(skew) for skew in self.skews_ms)} ms, "
            f"{'no leases' if self.leasing.most == 1 else 'leases'}, patience {self.patience_seconds:g} s: "
            f"{len(self.used)} uses of {self.bound(self.seconds):.0f} at most, "
            f"{self.writes_per_use:.3f} writes and {self.reads / len(self.used):.3f} reads a use, "
            f"slowest {self.slowest_of_fair_share:.2f} of its fair share"
        )


def show(race: Race) -> None:
    """For the run that is asked for its figures (`pytest -s`)."""
    print(race)  # noqa: T201 - captured otherwise

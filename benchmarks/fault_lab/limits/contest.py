"""A contest: environments that want more than a limit allows, for a minute of virtual time.

Each makes one call after the other. Who is refused comes back when it was told to, and keeps on until it is admitted.
Together they would make three times as many calls as the limit allows. What the clocks of environments say may differ.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from benchmarks.fault_lab.limits.stores import Costs, Meter, asking
from flotilla.primitives.token_bucket import Limit
from tests.fakes.virtual_time import EPOCH_MS, run_virtually

SECONDS = 60.0
_DEMAND = 3
_NO_HURRY_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Contest:
    """What is raced for, and by whom.

    Attributes:
        limit: The limit for all together.
        size: How many environments.
        skew_ms: How wrong their clocks may be, either way, and are.
        seed: Of all chance in it.
        seconds: How long.
        most_calls: Calls to the store after which it is broken off.
    """

    limit: Limit
    size: int
    skew_ms: int = 0
    seed: int = 1
    seconds: float = SECONDS
    most_calls: int = 1_000_000

    def skews(self) -> list[int]:
        """What each environment's clock is off by; the two extremes are there."""
        chance = Random(f"skews/{self.seed}")
        off = [chance.randint(-self.skew_ms, self.skew_ms) for _ in range(self.size)]
        return [self.skew_ms, -self.skew_ms, *off][: self.size]

    def bound(self, seconds: float) -> float:
        """What may be admitted within so long of the start."""
        return self.limit.burst + self.limit.rate_per_minute / 60 * (seconds + self.skew_ms / 1000)


class Environment(Protocol):
    """One process's limiter."""

    def ask(self) -> Awaitable[float | None]:
        """One ask: None when admitted, else in how many seconds to come back."""
        ...


class Contestant(Protocol):
    """A way to limit a fleet."""

    @property
    def name(self) -> str:
        """As the tables have it."""
        ...

    def environments(self, contest: Contest, meter: Meter) -> list[Environment]:
        """Its environments; made on the contest's loop."""
        ...


class WrongClock:
    """`Clock` on virtual time, off by a constant."""

    def __init__(self, off_ms: int) -> None:
        self._off_ms = off_ms

    def now_ms(self) -> int:
        """See `Clock.now_ms`."""
        return EPOCH_MS + int(asyncio.get_running_loop().time() * 1000) + self._off_ms

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class Outcome:
    """What came of a contest.

    Attributes:
        admitted: When, and which environment.
        waited: Seconds from the first ask to the admission.
        refused: How many asks were.
        refusals_cost: What they cost together.
        seconds: How long it went on.
    """

    contest: Contest
    admitted: list[tuple[float, int]] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    refused: int = 0
    refusals_cost: Costs = field(default_factory=Costs)
    meter: Meter = field(default_factory=Meter)
    seconds: float = 0.0

    def most_over(self) -> float:
        """By how many admissions the declared bound was ever exceeded; 0 where it held."""
        over = (number - self.contest.bound(at) for number, (at, _) in enumerate(sorted(self.admitted), 1))
        return max(0.0, max(over, default=0.0))

    def over_share(self) -> float:
        """By what part more was admitted than burst and rate allow by true time."""
        allowed = self.contest.limit.burst + self.contest.limit.rate_per_minute / 60 * self.seconds
        return max(0.0, len(self.admitted) / allowed - 1)

    def slowest(self) -> float:
        """What the environment that got least has of an equal share."""
        counts = Counter(number for _, number in self.admitted)
        least = min(counts[number] for number in range(self.contest.size))
        return least * self.contest.size / max(1, len(self.admitted))


def run_contest(contest: Contest, contestant: Contestant) -> Outcome:
    """Run it to its end, on a clock of its own."""
    outcome = Outcome(contest)
    run_virtually(_race(contest, contestant, outcome))
    return outcome


async def _race(contest: Contest, contestant: Contestant, outcome: Outcome) -> None:
    loop, meter = asyncio.get_running_loop(), outcome.meter
    pause = 60 * contest.size / (_DEMAND * contest.limit.rate_per_minute)

    async def live(number: int, environment: Environment) -> None:
        chance = Random(f"{contest.seed}/{number}")
        await asyncio.sleep(chance.random() * min(1.0, pause * 2))
        while True:
            since = loop.time()
            while (wait := await one_ask(environment)) is not None:  # noqa: ASYNC110 - it was told to
                await asyncio.sleep(max(_NO_HURRY_SECONDS, wait))
            outcome.admitted.append((loop.time(), number))
            outcome.waited.append(loop.time() - since)
            await asyncio.sleep(chance.expovariate(1 / pause))

    async def one_ask(environment: Environment) -> float | None:
        costs = Costs()
        asking.set(costs)
        wait = await environment.ask()
        if wait is not None:
            outcome.refused += 1
            outcome.refusals_cost.add(costs.writes, costs.reads)
        return wait

    environments = contestant.environments(contest, meter)
    lives = [loop.create_task(live(number, each)) for number, each in enumerate(environments)]
    while loop.time() < contest.seconds and meter.calls < contest.most_calls:
        await asyncio.sleep(min(0.5, contest.seconds - loop.time()))
        for life in lives:
            if life.done():
                life.result()
    outcome.seconds = loop.time()
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)

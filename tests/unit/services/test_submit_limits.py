"""Many processes of an API that admit submits under shared limits, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from flotilla.errors import LimitedError
from flotilla.primitives.rest import Rests
from flotilla.primitives.token_bucket import SKEW_MS, Limit
from flotilla.primitives.token_lease import NO_PLACES
from flotilla.services.limit_board import TTL_MS, LimitBoard
from flotilla.services.limits import Ask, Limiter
from flotilla.services.submit_limits import SubmitLimits
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings
from tests.fakes.virtual_time import VirtualClock, run_virtually

CLIENT, TENANT, ECHO = Limit(600, 60), Limit(1200, 100), Limit(300, 30)
DECLARED = {"client": CLIENT, "tenant": TENANT, "agent#echo": ECHO}


@dataclass
class Fleet:
    """What the processes share, and what they admitted."""

    buckets: MemoryBuckets = field(default_factory=MemoryBuckets)
    settings: MemoryLimitSettings = field(default_factory=MemoryLimitSettings)
    admitted: Counter[str] = field(default_factory=Counter)

    def process(self, number: int, declared: dict[str, Limit]) -> SubmitLimits:
        clock = VirtualClock()
        board = LimitBoard(self.settings, clock)
        limiter = Limiter(self.buckets, clock, random.Random(number), board=board, leasing=NO_PLACES)
        return SubmitLimits(board, lambda: limiter, declared)

    async def submits(self, number: int, until: float) -> None:
        """One process answers one request after the other, of one task or many, for one of three keys."""
        chance, limits = random.Random(number), self.process(number, DECLARED)
        while asyncio.get_running_loop().time() < until:
            client = chance.choice(("k1", "k2", "k3"))
            agents = [chance.choice(("echo", "sleep")) for _ in range(chance.choice((1, 1, 1, 20)))]
            call = await limits.admit(client, "acme", agents)
            taken = [at for at in range(len(agents)) if at not in call.refused]
            replayed = [at for at in taken if chance.random() < 0.1]
            await call.give_back(replayed)
            made = [agents[at] for at in taken if at not in replayed]
            self.admitted.update({f"client#{client}": len(made), "tenant": len(made), **Counter(made)})
            await asyncio.sleep(chance.random() / 2)


def test_no_limit_is_ever_exceeded_and_none_is_left_unused_however_requests_are_spread() -> None:
    fleet, seconds = Fleet(), 60

    async def race() -> None:
        await asyncio.gather(*(fleet.submits(number, seconds) for number in range(8)))

    run_virtually(race())
    for name, limit in (("tenant", TENANT), ("echo", ECHO), *((f"client#k{it}", CLIENT) for it in (1, 2, 3))):
        most = limit.burst + limit.rate_per_minute * (seconds + 1 + SKEW_MS / 1000) / 60
        assert fleet.admitted[name] <= most, name
    for name, limit in (("tenant", TENANT), ("echo", ECHO)):
        assert fleet.admitted[name] >= 0.9 * limit.rate_per_minute * seconds / 60, name


def test_a_limit_that_is_raised_is_raised_at_once_also_where_nothing_was_left() -> None:
    """What is missing is credited at the new rate, and not once there is enough at the old one."""
    fleet = Fleet()

    async def raise_it() -> int:
        limits = fleet.process(1, {"client": Limit(1, 1)})
        assert not (await limits.admit("k1", "acme", ["echo"])).refused
        assert (await limits.admit("k1", "acme", ["echo"])).refused[0].retry_after_seconds > 50
        await fleet.settings.put("client", Limit(6000, 100))
        await asyncio.sleep(TTL_MS / 1000)
        await limits.admit("k1", "acme", ["echo"])
        await asyncio.sleep(0.5)
        return 60 - len((await limits.admit("k1", "acme", ["echo"] * 60)).refused)

    assert run_virtually(raise_it()) >= 45


# What workers hold in advance while they stand still. (Not of submits: these hold nothing.)


async def _worker(number: int, fleet: Fleet, limit: Limit, until: float, *, gives_back: bool) -> None:
    """An environment that has a batch of ten calls about once a minute."""
    chance, clock, rests = random.Random(number), VirtualClock(), Rests()
    limiter = Limiter(fleet.buckets, clock, chance)
    await asyncio.sleep(chance.random() * 60)

    async def call() -> None:
        await asyncio.sleep(chance.random() / 2)
        try:
            await limiter.acquire(Ask("integration#crm", limit), patience_seconds=1)
            fleet.admitted["done"] += 1
        except LimitedError:
            fleet.admitted["parked"] += 1

    while asyncio.get_running_loop().time() < until:
        rests.begin(clock.now_ms())
        await asyncio.gather(*(call() for _ in range(10)))
        if rests.end(clock.now_ms()) and gives_back:
            await limiter.release()
        await asyncio.sleep(chance.expovariate(1 / 59))


def test_what_workers_give_back_before_they_rest_keeps_others_from_waiting() -> None:
    """500 calls a minute of the 600 there may be, in batches that each meet another environment."""

    def parked(*, gives_back: bool) -> float:
        fleet = Fleet()

        async def all_of_them() -> None:
            workers = (_worker(number, fleet, Limit(600, 60), 300, gives_back=gives_back) for number in range(50))
            await asyncio.gather(*workers)

        run_virtually(all_of_them())
        return fleet.admitted["parked"] / fleet.admitted.total()

    assert parked(gives_back=True) < 0.08
    assert parked(gives_back=True) < parked(gives_back=False) / 2

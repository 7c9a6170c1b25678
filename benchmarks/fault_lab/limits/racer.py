"""One real process of a race: it asks for all it can get, of several limits side by side, or for slots of a cap.

It is told what to do by a line of JSON, says when it is ready, begins when it is told the time, and ends with a line of
JSON that says what came of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.fault_lab.limits.outage import CountedMetrics
from benchmarks.fault_lab.limits.stores import TABLE, Meter, MeteredClient, client_of
from flotilla.clock import Clock, SystemClock
from flotilla.dynamo.buckets import DynamoBuckets
from flotilla.dynamo.slots import DynamoSlots
from flotilla.errors import LimitedError
from flotilla.metric_ports import Metrics
from flotilla.primitives.token_bucket import Limit
from flotilla.primitives.token_lease import NO_LEASES, Leasing
from flotilla.services.concurrency_caps import ConcurrencyCaps
from flotilla.services.limits import Ask, Limiter

if TYPE_CHECKING:
    from benchmarks.fault_lab.limits.zae import BlockingZaeLimiter

CAP = "integration#crm"
_SHORTEST_PAUSE = 0.001


class SkewedClock(SystemClock):
    """The machine's clock, off by a constant."""

    def __init__(self, off_ms: int) -> None:
        self._off_ms = off_ms

    def now_ms(self) -> int:
        """See `Clock.now_ms`."""
        return super().now_ms() + self._off_ms


class Racer:
    """What one process does."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._number: int = told["number"]
        self._seconds: float = told["seconds"]
        self._client = client_of(told["url"])
        self._clock = SystemClock()
        self._start_ms = 0

    def wait_for_the_start(self) -> None:
        """Say that all is loaded, and wait until everybody else is."""
        # The first call of a process takes longest, and sixteen of them at once very long.
        self._client.get_item(TableName=TABLE, Key={"pk": {"S": "WARM-UP"}, "sk": {"S": "WARM-UP"}})
        print("ready", flush=True)
        self._start_ms = int(sys.stdin.readline())
        time.sleep(max(0.0, (self._start_ms - self._clock.now_ms()) / 1000) + random.Random(self._number).random() / 10)

    def since_start(self) -> float:
        """Seconds, by a clock that is right."""
        return (self._clock.now_ms() - self._start_ms) / 1000

    async def buckets(self, contests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Race for every limit at once."""
        return list(await asyncio.gather(*(self._bucket(contest) for contest in contests)))

    async def _bucket(self, contest: dict[str, Any]) -> dict[str, Any]:
        meter, metrics = Meter(), CountedMetrics()
        clock = SkewedClock(contest["skews_ms"][self._number])
        if contest["kind"] == "zae":
            return await asyncio.to_thread(self._zae, contest, clock, meter)
        limiter, wanted = limiter_of(contest, self._client, clock, meter, metrics)
        admitted: list[float] = []
        while self.since_start() < self._seconds:
            try:
                await limiter.acquire(wanted)
            except LimitedError as refused:
                await asyncio.sleep(max(_SHORTEST_PAUSE, refused.retry_after_seconds))
                continue
            admitted.append(self.since_start())
        return _result(admitted, meter) | {"unanswered": metrics.counted["ProtectionUnavailable"]}

    def _zae(self, contest: dict[str, Any], clock: Clock, meter: Meter) -> dict[str, Any]:
        limiter = zae_of(contest, self._client, clock, meter)
        admitted: list[float] = []
        while self.since_start() < self._seconds:
            wait = limiter.ask()
            if wait is None:
                admitted.append(self.since_start())
            else:
                time.sleep(max(_SHORTEST_PAUSE, min(wait, self._seconds)))
        return _result(admitted, meter)

    async def slots(self, cap: int, lease_seconds: float, skew_ms: int, dies_at: float | None) -> dict[str, Any]:
        """Go in and out of a capped section; one that is to die says so once it is in, and stays."""
        meter, chance = Meter(), random.Random(self._number)
        store = DynamoSlots(MeteredClient(self._client, meter), TABLE, asyncio.to_thread)  # type: ignore[arg-type]
        clock = SkewedClock(chance.randint(-skew_ms, skew_ms))
        caps = ConcurrencyCaps(store, clock, chance, skew_ms=skew_ms)
        inside: list[tuple[float, float]] = []
        refused = 0
        while self.since_start() < self._seconds:
            try:
                async with caps.slot(CAP, cap, lease_seconds):
                    since = self.since_start()
                    if dies_at is not None and since >= dies_at:
                        print(json.dumps({"holds_since": since, "inside": inside}), flush=True)
                        await asyncio.sleep(3600)
                    await asyncio.sleep(chance.uniform(0.1, 0.5))
                    inside.append((since, self.since_start()))
                await asyncio.sleep(chance.uniform(0.1, 0.5))
            except LimitedError as full:
                refused += 1
                await asyncio.sleep(full.retry_after_seconds)
        return {"inside": inside, "refused": refused, "writes": meter.total.writes, "reads": meter.total.reads}


def limiter_of(
    contest: dict[str, Any], client: Any, clock: Clock, meter: Meter, metrics: Metrics
) -> tuple[Limiter, Ask]:
    """A process's limiter for the bucket, and what it asks for."""
    store = DynamoBuckets(MeteredClient(client, meter), TABLE, asyncio.to_thread)  # type: ignore[arg-type]
    limiter = Limiter(
        store,
        clock,
        random.Random(f"{contest['bucket']}/{os.getpid()}"),
        leasing=Leasing() if contest["kind"] == "leases" else NO_LEASES,
        skew_ms=contest["skew_ms"],
        metrics=metrics,
    )
    return limiter, Ask(contest["bucket"], Limit(contest["rate"], contest["burst"]))


def zae_of(contest: dict[str, Any], client: Any, clock: Clock, meter: Meter) -> BlockingZaeLimiter:
    """The same of the package."""
    from benchmarks.fault_lab.limits.zae import BlockingZaeLimiter

    return BlockingZaeLimiter(client, meter, contest["bucket"], Limit(contest["rate"], contest["burst"]), clock)


def make_bucket(contest: dict[str, Any], client: Any) -> None:
    """Make the bucket by a first ask, before the race: its token is back by the start, and it is not counted."""
    clock, meter = SystemClock(), Meter()
    if contest["kind"] == "zae":
        zae_of(contest, client, clock, meter).ask()
        return
    limiter, wanted = limiter_of(contest, client, clock, meter, CountedMetrics())
    asyncio.run(_acquire(limiter, wanted))


async def _acquire(limiter: Limiter, wanted: Ask) -> None:
    await limiter.acquire(wanted)


def _result(admitted: list[float], meter: Meter) -> dict[str, Any]:
    return {"admitted": admitted, "unanswered": 0, "writes": meter.total.writes, "reads": meter.total.reads}


def main() -> None:
    """Take part."""
    told = json.loads(sys.stdin.readline())
    racer = Racer(told)
    if "contests" in told:
        from concurrent.futures import ThreadPoolExecutor

        if any(contest["kind"] == "zae" for contest in told["contests"]):
            from benchmarks.fault_lab.peers import peer

            peer("zae_limiter")

        async def race() -> list[dict[str, Any]]:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * len(told["contests"])))
            return await racer.buckets(told["contests"])

        racer.wait_for_the_start()
        print(json.dumps(asyncio.run(race())), flush=True)
        return
    racer.wait_for_the_start()
    print(json.dumps(asyncio.run(racer.slots(**told["slots"]))), flush=True)


if __name__ == "__main__":
    threading.stack_size(512 * 1024)
    main()

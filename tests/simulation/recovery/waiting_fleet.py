"""Tasks that come at a steady rate and need a dependency that dies for a while: real protection, virtual time.

What a worker does with a task that is put aside is done as it does it: it comes again when the refusal says, spread as
`flotilla.primitives.parking` spreads it, wherever it is then taken up.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from flotilla.errors import ParkedError
from flotilla.integration_ports import CallAsk, Protection
from flotilla.primitives.circuit import CallOutcome
from flotilla.primitives.parking import release_seconds, unaided_seconds
from flotilla.services.concurrency_caps import ConcurrencyCaps
from flotilla.services.dependency import Dependencies
from flotilla.services.limits import Limiter
from flotilla.services.protection import Protections
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.limits import MemoryBuckets, MemorySlots
from tests.fakes.virtual_time import VirtualClock, run_virtually
from tests.unit.integrations.declarations import crm

CALL_SECONDS = 0.05
TRIES = 3
ASK = CallAsk("document.analyze", "acme", 10_000)


@dataclass(frozen=True, slots=True)
class Outage:
    """A load, and an outage in the middle of it. Times in seconds."""

    per_second: float
    seconds: float
    before: float = 60.0
    after: float = 600.0
    environments: int = 10
    seed: int = 1

    @property
    def well_at(self) -> float:
        """When the dependency is back."""
        return self.before + self.seconds


@dataclass(slots=True)
class Seen:
    """What came of it; times in seconds since the load began.

    Attributes:
        calls: That the dependency saw.
        looks: How often a task was taken up and put aside again.
        waits: From a task's coming to its end, of those that came in the outage.
        done: When the last task ended of those that came in the outage.
    """

    calls: list[float] = field(default_factory=list)
    looks: int = 0
    tasks: int = 0
    waits: list[float] = field(default_factory=list)
    done: float = 0.0

    def peak(self, since: float, seconds: float) -> float:
        """The highest rate of calls a second, over any span so long."""
        times = sorted(time for time in self.calls if time >= since)
        most = first = 0
        for last, time in enumerate(times):
            while times[first] <= time - seconds:
                first += 1
            most = max(most, last - first + 1)
        return most / seconds


def simulate(outage: Outage, settings: str = "") -> Seen:
    """Run it."""
    return run_virtually(_simulated(outage, settings))


async def _simulated(outage: Outage, settings: str) -> Seen:
    seen, loop = Seen(), asyncio.get_running_loop()
    chance, began = random.Random(outage.seed), loop.time()
    fleet = _environments(outage, settings)

    async def call(protection: Protection) -> bool:
        permit = await protection.acquire(ASK)
        seen.calls.append(loop.time() - began)
        failed = outage.before <= loop.time() - began < outage.well_at
        await asyncio.sleep(CALL_SECONDS)
        await permit.record(CallOutcome.FAILED if failed else CallOutcome.OK, int(CALL_SECONDS * 1000))
        return not failed

    async def attempt(protection: Protection, waits: int) -> float | None:
        """Seconds until the task comes again; None where it is done."""
        try:
            for _ in range(TRIES):
                if await call(protection):
                    return None
                await asyncio.sleep(chance.random() * 0.2)
            if (held := await protection.held()) is not None:
                raise held
        except ParkedError as refusal:
            return release_seconds(refusal.retry_after_seconds, chance.random())
        return release_seconds(unaided_seconds(waits), chance.random())

    async def task(came: float) -> None:
        waits = 0
        while (wait := await attempt(chance.choice(fleet), waits)) is not None:
            waits += 1
            seen.looks += 1
            await asyncio.sleep(max(1.0, wait))
        if outage.before <= came < outage.well_at:
            seen.waits.append(loop.time() - began - came)
            seen.done = max(seen.done, loop.time() - began)

    seen.tasks = int((outage.well_at + outage.after) * outage.per_second)
    tasks: list[asyncio.Task[None]] = []
    for number in range(seen.tasks):
        came = number / outage.per_second
        await asyncio.sleep(began + came - loop.time())
        tasks.append(asyncio.ensure_future(task(came)))
    await asyncio.gather(*tasks)
    return seen


def _environments(outage: Outage, settings: str) -> list[Protection]:
    circuits, buckets, slots = MemoryCircuits(), MemoryBuckets(), MemorySlots()
    clock = VirtualClock()

    def made(number: int) -> Protection:
        own = random.Random(f"{outage.seed}/{number}")
        return Protections(
            Dependencies(
                circuits=circuits,
                limiter=Limiter(buckets, clock, own),
                clock=clock,
                random=own,
                environment=f"process-{number}",
            ),
            ConcurrencyCaps(slots, clock, own),
        ).of(crm(settings))

    return [made(number) for number in range(outage.environments)]

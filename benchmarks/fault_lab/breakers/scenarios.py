"""What is put to every kind of protection, and what is read off each run.

Which sizes and rates are run at what length is chosen so that all of it takes minutes. Each function runs one scenario
against one kind of protection and says what that came to.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.fault_lab.breakers.fleets import FlotillaFleet
from benchmarks.fault_lab.breakers.world import Fleet, World, lasting, virtually
from benchmarks.fault_lab.script import Script
from flotilla.primitives.circuit_policy import CircuitPolicy

Maker = Callable[[int], Fleet]
"""Makes a fleet by a seed."""

OUTAGE_SECONDS = 30.0
SLOW_POLICY = CircuitPolicy(latency_p99_ms=500)

_SETTLED_SECONDS = 3.0
_LONGEST_RECOVERY_SECONDS = 75.0


@dataclass(frozen=True, slots=True)
class Outage:
    """What a dependency's death cost.

    Attributes:
        wasted: Calls on it while it was dead.
        held_after: Seconds until an environment was first held back: the median of environments that were.
        last_held_after: The same of the last of them.
        recovered_after: Seconds from its return until calls went through again; None where not waited for.
        cooldown_seconds: The last that was held.
        late: Calls on it once it had been dead for a while, per cooldown that ended then.
        costly: When a call was wasted, in seconds of the outage.
        most_probes: Probes under way at once; None where it has no such thing.
    """

    wasted: int
    held_after: float | None
    last_held_after: float | None
    recovered_after: float | None
    cooldown_seconds: float
    late: float
    costly: tuple[float, ...]
    most_probes: int | None


def outage(
    make: Maker, size: int, rate: float, seed: int, *, seconds: float = OUTAGE_SECONDS, recovery: bool, dying: int = 0
) -> Outage:
    """The script `outage`: well, dead, well again. Of those that try meanwhile so many die over it as `dying` says."""
    begin = 10 + 0.37 * seed
    end = begin + seconds

    async def scenario() -> tuple[Fleet, World]:
        fleet = make(seed)
        world = World(fleet, lasting(Script.named("outage"), [begin, seconds]), size, rate, seed)
        await world.until(begin + _SETTLED_SECONDS)
        world.dying = dying
        await world.until(end)
        until = end
        while recovery and until < end + _LONGEST_RECOVERY_SECONDS:
            until += 5
            await world.until(until)
            if world.recovered(end) is not None:
                break
        return fleet, world

    fleet, world = virtually(scenario())
    held = world.first_held(begin)
    late = world.wasted(begin + _SETTLED_SECONDS, end)
    flotilla = fleet if isinstance(fleet, FlotillaFleet) else None
    cooldown = flotilla.last_cooldown_seconds if flotilla else fleet.cooldown_seconds
    ended = _cooldowns(flotilla, begin, end) if flotilla else (seconds / cooldown if cooldown else 0.0)
    return Outage(
        wasted=world.wasted(begin, end),
        held_after=statistics.median(held) if held else None,
        last_held_after=held[-1] if held else None,
        recovered_after=world.recovered(end) if recovery else None,
        cooldown_seconds=cooldown,
        late=late / max(1.0, ended),
        costly=tuple(one.at - begin for one in world.made if one.failed),
        most_probes=flotilla.most_probes if flotilla else None,
    )


def _cooldowns(fleet: FlotillaFleet, begin: float, end: float) -> float:
    first = fleet.openings()[0].after.since_ms if fleet.openings() else 0
    return sum(step.after.until_ms - first < (end - begin) * 1000 for step in fleet.openings())


def trips_of(fleet: Any) -> int | None:
    """How often a fleet's protection opened anywhere; None where there is none."""
    return len(fleet.openings()) if isinstance(fleet, FlotillaFleet) else getattr(fleet, "trips", None)


@dataclass(frozen=True, slots=True)
class Background:
    """A while of background errors.

    Attributes:
        calls: That arrived.
        trips: How often something opened.
        held: Calls that were held back.
    """

    calls: int
    trips: int | None
    held: int


def background(make: Maker, size: int, rate: float, share: float, seconds: float, seed: int = 1) -> Background:
    """The script `background_errors` with another share of errors."""
    script = Script.named("background_errors")
    passes, fails = script.phases[0].replies
    replies = (_weighing(passes, 1 - share), _weighing(fails, share))

    async def scenario() -> tuple[Fleet, World]:
        fleet = make(seed)
        world = World(fleet, Script.steady(*replies, seed=script.seed), size, rate, seed)
        await world.until(seconds)
        return fleet, world

    fleet, world = virtually(scenario())
    return Background(len(world.made) + len(world.held), trips_of(fleet), len(world.held))


def _weighing(reply: Any, weight: float) -> Any:
    return type(reply)(weight, reply.status, reply.latency_ms)


def slow(make: Maker, size: int, rate: float, seconds: float = 60.0, seed: int = 1) -> float | None:
    """The script `slow_p99`: seconds from when it became slow until anything was held back."""

    async def scenario() -> World:
        world = World(make(seed), lasting(Script.named("slow_p99"), [20]), size, rate, seed)
        for second in range(21, int(20 + seconds) + 1):
            await world.until(second)
            if world.held:
                break
        return world

    held = virtually(scenario()).first_held(20)
    return held[0] if held else None


def few(make: Maker, size: int) -> bool:
    """Nine calls in nine seconds, one fewer than the least volume, all in vain: whether anything was held back."""

    async def scenario() -> bool:
        world = World(make(1), lasting(Script.named("outage"), [0, 3600]), size, 1.0)
        for number in range(9):
            await world.one(number % size)
            await asyncio.sleep(1)
        return bool(world.held) or bool(trips_of(world.fleet))

    return virtually(scenario())


@dataclass(frozen=True, slots=True)
class Flapping:
    """What a flapping dependency came to.

    Attributes:
        wasted: Calls on it while it was down.
        while_flapping: Of the calls that arrived while it was up between its failures, the share that went through.
        afterwards: The same of the half minute after them.
    """

    wasted: int
    while_flapping: float
    afterwards: float


def flapping(make: Maker, size: int, rate: float, seed: int = 1) -> Flapping:
    """The script `flapping`, after ten good seconds."""
    script = lasting(Script.named("flapping"), [10])

    async def scenario() -> World:
        world = World(make(seed), script, size, rate, seed)
        await world.until(25 + 30)
        return world

    world = virtually(scenario())
    return Flapping(
        wasted=sum(one.failed for one in world.made),
        while_flapping=_through(world, [(13, 16), (19, 22)]),
        afterwards=_through(world, [(25, 55)]),
    )


def _through(world: World, spans: Sequence[tuple[float, float]]) -> float:
    def within(at: float) -> bool:
        return any(low <= at < high for low, high in spans)

    made, held = sum(within(one.at) for one in world.made), sum(within(at) for at, _ in world.held)
    return made / max(1, made + held)


@dataclass(frozen=True, slots=True)
class Healthy:
    """What protection costs while all is well, for each call.

    Attributes:
        reads: Requests that read.
        writes: Requests that write.
        read_units: As billed; 0 where the store does not say.
        write_units: The same.
    """

    reads: float
    writes: float
    read_units: float
    write_units: float


def healthy(make: Maker, size: int, rate: float, seconds: float) -> Healthy:
    """The script `healthy`, after twelve seconds of warming up."""

    async def scenario() -> Healthy:
        fleet: Any = make(1)
        world = World(fleet, Script.named("healthy"), size, rate, 1)
        await world.until(12)
        weather = fleet.weather
        before, calls = (weather.reads, weather.writes, dict(weather.units)), len(world.made)
        await world.until(12 + seconds)
        calls = len(world.made) - calls
        return Healthy(
            (weather.reads - before[0]) / calls,
            (weather.writes - before[1]) / calls,
            (weather.units["reads"] - before[2]["reads"]) / calls,
            (weather.units["writes"] - before[2]["writes"]) / calls,
        )

    return virtually(scenario())


def lone(make: Maker, requests: int = 11, tries: int = 3) -> int:
    """The scenario of LiteLLM's issue 40405: requests one after the other, each tried so often on the only deployment.

    Returns:
        Calls that the dead deployment saw.
    """

    async def scenario() -> int:
        world = World(make(1), lasting(Script.named("outage"), [0, 3600]), 1, 1.0)
        for _ in range(requests):
            for attempt in range(tries):
                if await world.one(0):
                    break
                await asyncio.sleep(0.1 * 2**attempt)
            await asyncio.sleep(0.5)
        return len(world.made)

    return virtually(scenario())


@dataclass(frozen=True, slots=True)
class Storeless:
    """What the loss of the store itself came to.

    Attributes:
        held_while_well: Of the calls while the dependency was well, the share that was held back.
        wasted: Calls on the dependency in its minute of death.
        of: Calls that arrived in that minute.
    """

    held_while_well: float
    wasted: int
    of: int


def storeless(make: Maker, size: int, rate: float, *, throttled: float) -> Storeless:
    """The store is down, or refuses that share of its calls; after twenty seconds the dependency dies for a minute."""

    async def scenario() -> World:
        fleet: Any = make(1)
        world = World(fleet, lasting(Script.named("outage"), [32, 60]), size, rate, 1)
        await world.until(12)
        fleet.weather.down, fleet.weather.throttled = throttled == 0, throttled
        await world.until(92)
        return world

    world = virtually(scenario())
    arrived = sum(32 <= one.at < 92 for one in world.made) + sum(32 <= at < 92 for at, _ in world.held)
    return Storeless(1 - _through(world, [(12, 32)]), world.wasted(32, 92), arrived)

"""A fleet that calls one scripted dependency through one kind of protection, on one virtual clock.

When calls arrive, where, and what the n-th call on the dependency meets follow from the seed alone, so every kind of
protection is given the same. Everything is measured where it matters: a call counts as made when the dependency sees
it, and as held back when whoever wanted it was told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeVar

from benchmarks.fault_lab.script import Phase, Running, Script
from tests.fakes.virtual_time import run_virtually

T = TypeVar("T")

STARTING_SECONDS = 6.0
"""Until when environments begin to work, one after the other."""

Attempt = Callable[[], Awaitable[None]]
"""One call on the dependency; raises `DependencyError` where it fails."""


class DependencyError(Exception):
    """The call was made and failed."""


class HeldBackError(Exception):
    """The call was not made."""


class Protection(Protocol):
    """What stands before the calls of one environment."""

    async def call(self, attempt: Attempt) -> None:
        """Make the attempt, or raise `HeldBackError`."""
        ...


class Fleet(Protocol):
    """One kind of protection for a whole fleet.

    Attributes:
        name: What it is called in the tables.
        cooldown_seconds: How long it holds back at first.
    """

    name: str
    cooldown_seconds: float

    def environment(self, number: int, random: Random, /) -> Protection:
        """The protection of one more environment."""
        ...


@dataclass(frozen=True, slots=True)
class Made:
    """A call that the dependency saw."""

    at: float
    environment: int
    failed: bool


@dataclass(slots=True)
class World:
    """A run.

    Args:
        fleet: The protection.
        script: What the dependency does.
        size: Environments.
        rate: Calls a second, in each.
        seed: Of all chance.

    Attributes:
        made: Calls that the dependency saw, in order.
        held: When which environment was held back.
        dying: Environments that are still to die, each in the middle of the next call it makes.
        dead: Those that have.
    """

    fleet: Fleet
    script: Script
    size: int
    rate: float
    seed: int = 1
    made: list[Made] = field(default_factory=list)
    held: list[tuple[float, int]] = field(default_factory=list)
    dying: int = 0
    dead: set[int] = field(default_factory=set)
    in_flight: int = 0
    most_in_flight: int = 0
    _running: Running = field(init=False)
    _arrivals: Random = field(init=False)
    _protections: list[Protection] = field(init=False)
    _calls: set[asyncio.Task[None]] = field(default_factory=set)
    _pulse: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        """Build the fleet."""
        named = f"{self.seed}/{self.size}/{self.rate}"
        self._arrivals = Random(f"arrivals/{named}")
        self._running = Running(self.script, 0.0)
        chance = Random(f"environments/{named}")
        self._protections = [self.fleet.environment(number, Random(chance.random())) for number in range(self.size)]

    async def until(self, seconds: float) -> None:
        """Let calls arrive until that time."""
        loop, total = asyncio.get_running_loop(), self.size * self.rate
        while (at := loop.time() + self._arrivals.expovariate(total)) < seconds:
            await asyncio.sleep(at - loop.time())
            number = self._arrivals.randrange(self.size)
            # They do not begin all at once: nothing that each does every few seconds is to be in step.
            if number not in self.dead and at >= STARTING_SECONDS * number / self.size:
                task = loop.create_task(self.one(number))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
        await asyncio.sleep(max(0.0, seconds - loop.time()))

    async def one(self, number: int) -> bool:
        """One call by one environment; whether it was made and succeeded."""
        try:
            await self._protections[number].call(lambda: self._meet(number))
        except HeldBackError:
            self.held.append((asyncio.get_running_loop().time(), number))
        except DependencyError:
            pass
        else:
            return True
        return False

    async def _meet(self, number: int) -> None:
        at = asyncio.get_running_loop().time()
        chosen = self._running.meets(at)
        failed = chosen.reply.status >= 500 or chosen.reply.fault is not None
        self.made.append(Made(at, number, failed))
        if self.dying and number not in self.dead:
            self.dying -= 1
            self.dead.add(number)
        if number in self.dead:
            await asyncio.Event().wait()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(chosen.latency_ms / 1000)
        finally:
            self.in_flight -= 1
        if failed:
            raise DependencyError

    def wasted(self, since: float, until: float) -> int:
        """Calls between these times that failed."""
        return sum(since <= one.at < until and one.failed for one in self.made)

    def first_held(self, since: float) -> list[float]:
        """For each environment that was held back since then: how long after."""
        first: dict[int, float] = {}
        for at, number in self.held:
            if at >= since:
                first.setdefault(number, at - since)
        return sorted(first.values())

    def recovered(self, since: float) -> float | None:
        """Seconds from `since` to the first of so many arrivals in a row of which 19 in 20 were let through."""
        arrivals = sorted(
            [(one.at, True) for one in self.made if one.at >= since] + [(at, False) for at, _ in self.held]
        )
        arrivals = [arrival for arrival in arrivals if arrival[0] >= since]
        length = max(20, int(self.size * self.rate))
        passed = sum(through for _, through in arrivals[:length])
        for place in range(len(arrivals) - length + 1):
            if passed >= 0.95 * length:
                return arrivals[place][0] - since
            if place + length < len(arrivals):
                passed += arrivals[place + length][1] - arrivals[place][1]
        return None


def lasting(script: Script, seconds: Sequence[float]) -> Script:
    """The script with other lengths of its first phases."""
    phases = list(script.phases)
    for place, length in enumerate(seconds):
        phases[place] = Phase(phases[place].replies, length, phases[place].requests)
    return Script(tuple(phases), script.seed)


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run on a virtual clock that begins at 0."""
    return run_virtually(work)

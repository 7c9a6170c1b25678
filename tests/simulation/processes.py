"""A simulated process: an event loop, a clock that is a little off, and calls to ports that may kill it.

Invariant: what a call does to the world happens at one instant of virtual time, and everything before and after that
instant is a point where the process can die, the answer can get lost, and any other process can come in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from flotilla.errors import FlotillaError, StoreUnavailableError
from tests.simulation.faults import Fault, Faults
from tests.simulation.loop import ProcessLoop, Scheduler

if TYPE_CHECKING:
    from tests.simulation.stage import Stage

T = TypeVar("T")

EPOCH_MS = 1_700_000_000_000
"""What a right clock shows when a history begins."""

Trace = Callable[[str], None]


def true_ms(now: float) -> int:
    """What a right clock shows."""
    return EPOCH_MS + int(now * 1000)


class SkewedClock:
    """`Clock` of one process."""

    def __init__(self, scheduler: Scheduler, skew_seconds: float) -> None:
        self._scheduler = scheduler
        self._ahead_ms = EPOCH_MS + round(skew_seconds * 1000)

    def now_ms(self) -> int:
        return self._ahead_ms + int(self._scheduler.now * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Process:
    """One process.

    Args:
        name: For the trace.
        immortal: No fault kills it (a client); its calls may fail all the same.
    """

    def __init__(
        self, name: str, scheduler: Scheduler, faults: Faults, trace: Trace | None, *, immortal: bool = False
    ) -> None:
        self.name = name
        self.scheduler = scheduler
        self.faults = faults
        self.trace = trace
        self.clock = SkewedClock(scheduler, faults.skew())
        self.loop = ProcessLoop(scheduler, self)  # type: ignore[abstract]  # what it lacks is for I/O
        self.alive = True
        self.calls = 0
        self.stage: Stage | None = None
        self._immortal = immortal
        self._on_death: list[Callable[[], None]] = []
        self._when_dead: Callable[[], None] | None = None

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have the process run `work`."""
        return self.loop.create_task(work)

    def note(self, text: str) -> None:
        """Say something for the trace."""
        if self.trace:
            self.trace(f"{self.name} {text}")

    def on_death(self, call: Callable[[], None]) -> None:
        """Have the world told when the process dies."""
        self._on_death.append(call)

    def when_dead(self, call: Callable[[], None]) -> None:
        """Have whoever waits for an answer of the process told that there will be none."""
        self._when_dead = call

    def forget_death(self) -> None:
        """Nobody waits any more."""
        self._when_dead = None

    def die(self, why: str) -> None:
        """The process is gone, in the middle of whatever it was doing."""
        if not self.alive:
            return
        self.alive = False
        if self.trace:
            self.trace(f"{self.name} DIES: {why}")
        self.loop.die()
        told, self._on_death = self._on_death, []
        for call in told:
            call()
        if self._when_dead is not None:
            self._when_dead()

    def call(self, port: str, name: str, effect: Callable[[], Any], *, best_effort: bool = False) -> Any:
        """Make one call to the world.

        Args:
            port: Which port; an outage is one of a port.
            name: What is called, for the trace.
            effect: What it does to the world, and its answer.
            best_effort: The adapter says nothing of a failure.

        Returns:
            An awaitable of the answer.
        """
        answer: asyncio.Future[Any] = asyncio.Future(loop=self.loop)
        faults, scheduler = self.faults, self.scheduler
        self.calls += 1
        fault = faults.deal(port, scheduler.now)
        if fault in _CRASHES and self._immortal:
            fault = Fault.FAILED
        wait = faults.latency()
        if fault is Fault.SLOW:
            wait += faults.slowness()
        scheduler.at(scheduler.now + wait, None, self._arrive, (fault, f"{port}.{name}", effect, answer, best_effort))
        return answer

    def _arrive(
        self, fault: Fault, name: str, effect: Callable[[], Any], answer: asyncio.Future[Any], best_effort: bool
    ) -> None:
        if self.trace:
            self.trace(f"{self.name} {name}" + ("" if fault is Fault.NONE else f" [{fault.value}]"))
        faults, scheduler = self.faults, self.scheduler
        if fault is Fault.CRASH_BEFORE:
            self.die(f"before {name}")
            return
        result: Any = None
        error: BaseException | None = None
        if fault is Fault.FAILED or fault is Fault.LATE_EFFECT:
            error = None if best_effort else StoreUnavailableError(f"{name} did not answer")
            if fault is Fault.LATE_EFFECT:
                scheduler.at(scheduler.now + faults.slowness(), None, self._late, (name, effect))
        else:
            try:
                result = effect()
            except FlotillaError as raised:
                error = raised
            if fault is Fault.LOST_ANSWER:
                result, error = None, None if best_effort else StoreUnavailableError(f"{name} did not answer")
            elif fault is Fault.CRASH_AFTER:
                self.die(f"after {name}")
                return
        scheduler.at(scheduler.now + faults.latency(), self.loop, _respond, (answer, result, error))

    def _late(self, name: str, effect: Callable[[], Any]) -> None:
        if self.trace:
            self.trace(f"{self.name} {name} takes effect late")
        with contextlib.suppress(FlotillaError):  # nobody waits for it
            effect()


_CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)


def _respond(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.done():
        return  # who asked was cancelled
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


def current_process() -> Process:
    """The process whose code is running."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ProcessLoop)
    owner: Process = loop.owner
    return owner


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a store in memory, which waits for nothing, at one instant."""
    try:
        while True:
            work.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value

"""What an agent meets in a simulated process: the world outside, and an observer.

Invariant: a run that was observed to begin was observed to end, by the agent's return, by its error, or by the death of
its process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tests.simulation.history import Effect, History, Run, StepRun
from tests.simulation.processes import Process, current_process

if TYPE_CHECKING:
    from flotilla.agents import Context, SyncContext

T = TypeVar("T")

LONG_THREAD_SECONDS = 25.0


class Stage:
    """One worker process, as the agents in it see it."""

    def __init__(self, process: Process, history: History) -> None:
        self.process = process
        self._history = history
        self._running: list[Run] = []
        process.on_death(self.close)

    def close(self) -> None:
        """The process died: so did all that ran in it."""
        for run in self._running:
            run.ended, run.ending = self.process.scheduler.now, "died"
        self._running.clear()

    @contextmanager
    def run(self, ctx: Context | SyncContext, key: str) -> Iterator[Run]:
        """Observe one run of an agent's code."""
        now = self.process.scheduler.now
        run = Run(ctx.task_id, ctx.attempt, ctx.agent, self.process.name, key, now)
        self._history.runs.append(run)
        self._running.append(run)
        self.process.note(f"{ctx.agent} runs attempt {ctx.attempt} of {ctx.task_id[:8]}")
        try:
            yield run
            run.ending = "returned"
        except BaseException as error:
            run.ending = type(error).__name__
            raise
        finally:
            if self.process.alive and run in self._running:
                self._running.remove(run)
                run.ended = self.process.scheduler.now

    def moves_made(self, run: Run) -> int:
        """Which move is next: the number of the attempt, or of the run where identical tasks share a script."""
        if run.agent != "sim.cached":
            return run.attempt
        return sum(earlier.key == run.key for earlier in self._history.runs)

    async def effect(self, task_id: str, attempt: int, step: str, key: str) -> None:
        """Do something to the world outside, by its idempotency key."""
        await self.process.call("outside", "effect", lambda: self.effect_now(task_id, attempt, step, key))

    def effect_now(self, task_id: str, attempt: int, step: str, key: str) -> None:
        """The same, at once."""
        self._history.effects.append(Effect(self.process.scheduler.now, task_id, attempt, step, key))

    async def step(self, task_id: str, attempt: int, name: str, key: str) -> Any:
        """The function of a durable step; returns what no other run of it returns."""
        now = self.process.scheduler.now
        self._history.step_runs.append(StepRun(now, task_id, attempt, name))
        await self.effect(task_id, attempt, name, key)
        return [name, attempt, len(self._history.step_runs)]

    def turns_seen(self, ctx: Context, seen: list[Any]) -> None:
        """What an attempt found in its session's memory."""
        for run in reversed(self._history.runs):
            if (run.task_id, run.attempt) == (ctx.task_id, ctx.attempt):
                run.turns_seen = seen
                return

    async def crash(self) -> None:
        """The agent ends its process."""
        self.process.die("the agent crashed")
        await asyncio.Event().wait()

    async def block(self) -> None:
        """The agent blocks the event loop, for as long as its process lives."""
        self.process.note("the event loop is blocked")
        self.process.loop.freeze()
        await asyncio.sleep(0)


def stage() -> Stage:
    """The stage of the process whose code is running."""
    found = current_process().stage
    assert found is not None
    return found


class SimulatedThreads:
    """`RunSync`: a call that takes a little time, or far too much, and then happens at one instant."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        faults = self._process.faults
        slow = faults.happens("slow_threads", self._process.scheduler.now)
        await asyncio.sleep(faults.fraction() * LONG_THREAD_SECONDS if slow else faults.latency())
        return function(*args)


class SimulatedWatchdog:
    """`Watchdog` of a process: a thread of its own, which a blocked event loop does not stop."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._armed: dict[str, int] = {}

    def arm(self, key: str, lease_until_ms: int) -> None:
        self._armed[key] = lease_until_ms
        scheduler = self.process.scheduler
        left = (lease_until_ms - self.process.clock.now_ms()) / 1000
        scheduler.at(scheduler.now + left, None, self._look, (key, lease_until_ms))

    def disarm(self, key: str) -> None:
        self._armed.pop(key, None)

    def _look(self, key: str, lease_until_ms: int) -> None:
        if self._armed.get(key) == lease_until_ms:
            self.process.die("an attempt outlived its lease")

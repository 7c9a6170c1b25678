"""Asks what the API depends on whether it answers: all at once, briefly, and not more often than need be.

An answer is remembered for a moment, so that asking often costs one round of calls. Since when a dependency has been as
it is, is as far as this process has seen; another may know of longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.ports import RunSync

PROBE_SECONDS = 2.0
REMEMBERED_MS = 1000


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that the API calls.

    Attributes:
        name: As clients are told it.
        probes: The calls that show it answers; each returns, or raises `RetryableError`.
        needed: Without it the API is not ready.
        remembered_ms: How long it is taken to answer still, once it did.
    """

    name: str
    probes: Sequence[Callable[[], None]]
    needed: bool = True
    remembered_ms: int = REMEMBERED_MS


@dataclass(frozen=True, slots=True)
class Seen:
    """How a dependency was found.

    Attributes:
        latency_ms: Until all of its probes had answered, or were given up.
        checked_ms: When it was asked.
        since_ms: Since when it has been so.
    """

    dependency: Dependency
    answers: bool
    latency_ms: int
    checked_ms: int
    since_ms: int


class Dependencies:
    """What the API depends on.

    Args:
        dependencies: All of it.
        run_sync: Runs the probes, on threads that nothing else waits for.
        clock: Tells how old an answer is.
        probe_seconds: What has not answered by then is down.
    """

    def __init__(
        self,
        dependencies: Sequence[Dependency],
        run_sync: RunSync,
        clock: Clock,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        self._dependencies = dependencies
        self._run_sync = run_sync
        self._clock = clock
        self._probe_seconds = probe_seconds
        self._seen: dict[str, Seen] = {}

    async def look(self, *, needed_only: bool = False) -> list[Seen]:
        """How each is.

        Args:
            needed_only: Leave out what the API can do without.
        """
        wanted = [each for each in self._dependencies if each.needed or not needed_only]
        return list(await asyncio.gather(*(self._look_at(each) for each in wanted)))

    async def _look_at(self, dependency: Dependency) -> Seen:
        before = self._seen.get(dependency.name)
        now_ms = self._clock.now_ms()
        if before is not None and 0 <= now_ms - before.checked_ms < _remembered_ms(before):
            return before
        answers = await self._answers(dependency)
        since_ms = before.since_ms if before is not None and before.answers is answers else now_ms
        seen = Seen(dependency, answers, self._clock.now_ms() - now_ms, now_ms, since_ms)
        self._seen[dependency.name] = seen
        return seen

    async def _answers(self, dependency: Dependency) -> bool:
        try:
            async with asyncio.timeout(self._probe_seconds):
                await asyncio.gather(*(self._run_sync(probe) for probe in dependency.probes))
        except (RetryableError, TimeoutError):
            return False
        return True


def _remembered_ms(seen: Seen) -> int:
    # That it is well again is found out soon, whatever it costs.
    return seen.dependency.remembered_ms if seen.answers else REMEMBERED_MS

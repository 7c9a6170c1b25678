"""What is paused, as a worker knows it: at most a second old, and never in the way.

Failure policy: open. While the store does not answer, what was last known holds on, or nothing is paused where
nothing was known: a pause is an operator's wish, and must not become a second thing without which nothing runs.
"""

from __future__ import annotations

import asyncio
import logging

from flotilla.clock import Clock
from flotilla.coordination import Pause, holding, stopped_runs
from flotilla.errors import RetryableError
from flotilla.ports import Pauses

logger = logging.getLogger("flotilla.worker")

_TTL_MS = 1000
_PATIENCE_SECONDS = 1.0
"""Longest that a start waits for the store to say whether it may be."""


class PauseBoard:
    """The pauses in force, read once for all who ask within `ttl_ms`.

    Whoever pauses can rely on this: once `ttl_ms` have passed since the pause was stored, and where the store is slow
    `patience_seconds` more, no start is decided on what the store said before.

    Args:
        pauses: Where pauses are kept.
        clock: Tells how old an answer is.
        ttl_ms: How old an answer may be, counted from when it was asked for.
        patience_seconds: A store that has not answered by then counts as one that is down.
    """

    def __init__(
        self, pauses: Pauses, clock: Clock, ttl_ms: int = _TTL_MS, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._pauses = pauses
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._patience_seconds = patience_seconds
        self._known: list[Pause] = []
        self._stopped: frozenset[str] = frozenset()
        self._known_by = 0
        self._good_from_ms: int | None = None
        self._reading: asyncio.Task[None] | None = None
        self._reading_ms = 0
        self._reads = 0
        self._down = False

    async def hold(self, lane: str, agent: str) -> Pause | None:
        """The pause that holds up this agent on this lane, the widest first; None where it may start."""
        await self._know()
        return holding(self._known, lane=lane, agent=agent) if self._known else None

    async def stopped(self, run: str) -> bool:
        """Whether the workflow's run was stopped, so that none of its tasks may start."""
        await self._know()
        return run in self._stopped

    async def _know(self) -> None:
        if not self._fresh():
            await self._refresh()

    def _fresh(self) -> bool:
        return self._good_from_ms is not None and 0 <= self._clock.now_ms() - self._good_from_ms < self._ttl_ms

    async def _refresh(self) -> None:
        reading = self._reading_in_flight()
        # `wait` neither cancels the read when a waiter is cancelled nor when it takes too long: others wait for it too.
        done, _ = await asyncio.wait({reading}, timeout=self._patience_seconds)
        if done:
            reading.result()
        elif self._reading is reading:
            # Given up, so that what starts in the next moments does not wait for it all over again.
            self._reading = None
            self._fail("it does not answer in time")

    def _reading_in_flight(self) -> asyncio.Task[None]:
        """The read under way, or a new one.

        A read that is older than an answer may be was begun before this process was frozen between two invocations;
        what it brings is out of date.
        """
        reading, now_ms = self._reading, self._clock.now_ms()
        if reading is not None and not reading.done() and 0 <= now_ms - self._reading_ms < self._ttl_ms:
            return reading
        self._reading_ms = now_ms
        self._reads += 1
        self._reading = asyncio.ensure_future(self._read(self._reads, now_ms))
        return self._reading

    async def _read(self, number: int, asked_ms: int) -> None:
        try:
            found = await self._pauses.read()
        except RetryableError as error:
            self._fail(error.message)
            return
        if number < self._known_by:
            return  # a slow one, overtaken by one that was asked later
        self._known, self._stopped = found, stopped_runs(found)
        self._known_by, self._good_from_ms = number, asked_ms
        if self._down:
            logger.info("pauses are known again")
        self._down = False

    def _fail(self, why: str) -> None:
        self._good_from_ms = self._clock.now_ms()  # asked again after `ttl_ms`, not by every task
        if not self._down:
            logger.warning("pauses unknown, going by the last known", extra={"error": why, "known": len(self._known)})
        self._down = True

"""A task of high priority every now and then: how long from its acceptance to its start, by the log."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.fleet import percentile
from cli.client import ApiError, FlotillaClient
from flotilla.events import Event, Kind

LANE = "critical"
AGENT = "diagnostics.echo"

AIM = 1.5
"""The p95 beside the work may be so many times that of the idle fleet."""

COLD_MS = 3000
"""So long after a worker of the lane was killed, a task may be the one for which another has to be started."""

_SERVER_ERROR = 500


@dataclass(slots=True)
class Probe:
    """Submits tasks until it is told to stop.

    Args:
        client: Speaks to the fleet.
        every_seconds: Between two submits.

    Attributes:
        task_ids: What was accepted.
    """

    client: FlotillaClient
    every_seconds: float
    task_ids: list[str] = field(default_factory=list)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, at_most: int | None = None) -> None:
        """Submit at a steady pace, until `stop` or for so many tasks."""
        next_at = time.monotonic()
        while not self._stopped.is_set() and (at_most is None or len(self.task_ids) < at_most):
            await self._submit()
            next_at = max(next_at + self.every_seconds, time.monotonic())
            try:
                await asyncio.wait_for(self._stopped.wait(), next_at - time.monotonic())
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Submit no more."""
        self._stopped.set()

    async def _submit(self) -> None:
        """Once more under the same key where the API's own process was killed."""
        key = secrets.token_hex(16)
        while True:
            try:
                submitted = await self.client.submit(
                    AGENT, {"value": len(self.task_ids)}, lane=LANE, idempotency_key=key
                )
            except ApiError as error:
                if error.status is not None and error.status < _SERVER_ERROR:
                    raise
            else:
                self.task_ids.append(submitted.task["id"])
                return


@dataclass(frozen=True, slots=True)
class Waits:
    """How long tasks waited for their first start.

    Attributes:
        found: When each was accepted, in milliseconds since the epoch, and how many milliseconds it waited.
        unstarted: Tasks that were never started.
    """

    found: tuple[tuple[int, int], ...]
    unstarted: int = 0

    def __len__(self) -> int:
        return len(self.found)

    def p(self, percent: float) -> float:
        """A percentile, in milliseconds; none of no tasks."""
        return percentile([waited for _, waited in self.found], percent) if self.found else float("nan")

    def apart_from(self, kills: Sequence[tuple[int, str]]) -> Waits:
        """Those that were accepted while the lane had a worker that had not just been killed.

        Args:
            kills: When workers were killed, in milliseconds since the epoch, and of which functions they were.
        """
        own = [at_ms for at_ms, name in kills if name.endswith(f"-{LANE}")]
        calm = [each for each in self.found if not any(0 <= each[0] - at_ms < COLD_MS for at_ms in own)]
        return Waits(tuple(calm))


def waits(logs: Mapping[str, Sequence[Event]], task_ids: Sequence[str]) -> Waits:
    """From `accepted` to the first `started`, of each of these tasks."""
    found, unstarted = [], 0
    for task_id in task_ids:
        events = logs.get(task_id, ())
        started = next((event.at_ms for event in events if event.kind is Kind.STARTED), None)
        if started is None:
            unstarted += 1
        else:
            found.append((events[0].at_ms, started - events[0].at_ms))
    return Waits(tuple(found), unstarted)

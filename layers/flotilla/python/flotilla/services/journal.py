"""The pen of one attempt: appends the next event, or finds out that the task is someone else's.

Invariant: once an append was refused, or its fate is unknown, or the log was seen to go on without
it, this journal never writes again. The log then belongs to whoever holds the place, and only a
fresh read tells who that is.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from flotilla.clock import Clock
from flotilla.errors import AttemptRevokedError, RetryableError
from flotilla.events import Event, Kind, chain
from flotilla.ports import EventLog

logger = logging.getLogger("flotilla.worker")

CONFIRM_MS = 1000
"""How long what the log last said of its owner is believed without asking again."""

_FIRST_RETRY_SECONDS = 0.05
_SLOWEST_RETRY_SECONDS = 1.0


class Journal:
    """Appends one attempt's events in order.

    Args:
        log: The event log.
        clock: Dates the events.
        task_id: The task.
        actor: Who writes.
        attempt: Number of the attempt.
        head_seq: Newest event known.
        head_hash: Its hash.
        lease_until_ms: No append is begun or repeated after this time.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        *,
        task_id: str,
        actor: str,
        attempt: int,
        head_seq: int,
        head_hash: str,
        lease_until_ms: int,
    ) -> None:
        self._log = log
        self._clock = clock
        self._task_id = task_id
        self._actor = actor
        self._seq = head_seq
        self._hash = head_hash
        self._lease_until_ms = lease_until_ms
        self._lock = asyncio.Lock()
        self._open = True
        self._confirmed_ms = 0
        self.attempt = attempt

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the newest event known."""
        return self._seq, self._hash

    async def append(self, kind: Kind, body: dict[str, Any], *, give_up_ms: int | None = None) -> Event:
        """Append the next event.

        A caller that is cancelled meanwhile does not stop the append: the next one waits for it, so
        that what the log holds is always known.

        Raises:
            AttemptRevokedError: Another event holds the place, or an earlier append's fate is unknown.
            RetryableError: The log did not answer until `give_up_ms` (by default the end of the lease);
                it is not known whether the event is in it.
        """
        until_ms = self._lease_until_ms if give_up_ms is None else give_up_ms
        return await asyncio.shield(asyncio.ensure_future(self._append(kind, body, until_ms)))

    async def confirm(self) -> None:
        """Find out whether the task is still this attempt's, where the log has not said so for `CONFIRM_MS`.

        It may have been cancelled, or taken over. This only saves an attempt from going on in vain: what
        keeps it from committing is the condition of its next append. So a log that does not answer stops
        nobody.

        Raises:
            AttemptRevokedError: It is not.
        """
        if self._open and self._confirmed_lately():
            return
        async with self._lock:
            if not self._open:
                raise AttemptRevokedError("what this attempt last wrote is not known")
            if self._confirmed_lately():
                return
            self._confirmed_ms = self._clock.now_ms()
            try:
                head = await self._log.head(self._task_id)
            except RetryableError as error:
                logger.warning("owner not confirmed", extra={"task_id": self._task_id, "error": error.message})
                return
            if head is None or head.hash != self._hash:
                self._open = False
                raise AttemptRevokedError("the task was cancelled, or another worker owns it")

    def _confirmed_lately(self) -> bool:
        return self._clock.now_ms() - self._confirmed_ms < CONFIRM_MS

    async def _append(self, kind: Kind, body: dict[str, Any], until_ms: int) -> Event:
        async with self._lock:
            if not self._open:
                raise AttemptRevokedError("what this attempt last wrote is not known")
            event = chain(
                task_id=self._task_id,
                seq=self._seq + 1,
                kind=kind,
                at_ms=self._clock.now_ms(),
                actor=self._actor,
                attempt=self.attempt,
                body=body,
                prev_hash=self._hash,
            )
            self._open = False  # until the answer is known
            if await self._append_until_answered(event, until_ms) is not None:
                raise AttemptRevokedError("another worker owns this task")
            self._open = True
            self._seq = event.seq
            self._hash = event.hash
            self._confirmed_ms = event.at_ms
            return event

    async def _append_until_answered(self, event: Event, until_ms: int) -> Event | None:
        pause = _FIRST_RETRY_SECONDS
        while True:
            try:
                return await self._log.append(event)
            except RetryableError:
                # The very same event again: if the first try did reach the log, it is recognised as ours.
                if self._clock.now_ms() + pause * 1000 >= until_ms:
                    raise
            await self._clock.sleep(pause)
            pause = min(pause * 2, _SLOWEST_RETRY_SECONDS)

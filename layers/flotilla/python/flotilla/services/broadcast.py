"""From the events of a stream to those who want to hear of them: a bus, a topic, webhook endpoints.

Invariant: of every transition that somebody asks for, each gets the notice at least once. What did not surely get
through is reported, and the stream brings it again with all that came after it, so a notice may come twice; its id is
the same. Notices are sent in the stream's order, which for one task is the order of its log, but no carrier promises
to keep it: `seq` tells.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from flotilla.broadcast import Endpoint, Notice, WebhookMessage
from flotilla.broadcast_ports import Publisher, WebhookQueue
from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, ParkedError, RetryableError
from flotilla.events import Event, TaskState
from flotilla.models import Status
from flotilla.ports import EventLog
from flotilla.primitives.backoff import full_jitter_seconds
from flotilla.primitives.webhook_signature import message_id
from flotilla.services.decision_links import DecisionLinks
from flotilla.services.endpoint_directory import EndpointDirectory
from flotilla.services.notices import Notices, status_after

logger = logging.getLogger("flotilla.broadcaster")

S = TypeVar("S")
T = TypeVar("T")

_TRIES = 3
_BACKOFF_BASE_SECONDS = 0.2
_BACKOFF_CAP_SECONDS = 1.0
_READS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Told:
    """A transition that somebody may want to hear of."""

    position: int
    state: TaskState
    notice: Notice


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An event whose status somebody asks for."""

    position: int
    event: Event


class Broadcaster:
    """Tells transitions.

    Args:
        log: For the events before those of a batch: only the first one says whose task it is.
        notices: Makes what is told.
        publishers: The bus, the topic, both or none.
        queue: The webhooks' queue.
        directory: Knows the endpoints.
        transitions: Statuses that are published.
        clock: Tells the time.
        dice: Draws jitter.
        links: Makes the links by which people decide; None where there are none.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        notices: Notices,
        publishers: Sequence[Publisher],
        queue: WebhookQueue,
        directory: EndpointDirectory,
        transitions: Collection[Status],
        clock: Clock,
        dice: random.Random,
        links: DecisionLinks | None = None,
    ) -> None:
        self._log = log
        self._notices = notices
        self._publishers = publishers
        self._queue = queue
        self._directory = directory
        self._published = frozenset(transitions) if publishers else frozenset()
        self._clock = clock
        self._dice = dice
        self._links = links

    async def run(self, events: Sequence[Event]) -> int | None:
        """Tell what a batch of a stream holds.

        Args:
            events: In the stream's order.

        Returns:
            Position of the first event that must come again, with all after it; None where all is told.
        """
        if not events:
            return None  # nor is it the time to learn who asks for what: what is learnt is kept for a while
        try:
            asked_for = await self._asked_for()
        except RetryableError as error:
            logger.warning("endpoints unknown", extra={"error": error.message})
            return 0
        statuses = self._published | asked_for
        wanted = [_Wanted(position, event) for position, event in enumerate(events) if status_after(event) in statuses]
        told, stopped_at = await self._told(wanted, events)
        failed_at = await self._send(told, asked_for)
        return min((position for position in (stopped_at, failed_at) if position is not None), default=None)

    async def _asked_for(self) -> frozenset[Status]:
        """What some endpoint may want to hear of: a task may name any, which is then told that it waits."""
        asked_for = await self._directory.asked_for()
        return asked_for | {Status.WAITING} if asked_for else asked_for

    async def _told(self, wanted: Sequence[_Wanted], events: Sequence[Event]) -> tuple[list[_Told], int | None]:
        """What is told, up to the first event whose task cannot be read now, and the position of that one."""
        logs = _Logs(self._log, events)
        results = await asyncio.gather(*(self._notice(each, logs) for each in wanted))
        told: list[_Told] = []
        for each, result in zip(wanted, results, strict=True):
            if isinstance(result, RetryableError):
                logger.warning("a task cannot be read", extra=_keys(each.event, result))
                return told, each.position
            if result is not None:
                told.append(result)
        return told, None

    async def _notice(self, wanted: _Wanted, logs: _Logs) -> _Told | RetryableError | None:
        try:
            log = await logs.up_to(wanted.event)
            if log is None:
                logger.warning("a transition without its log is not told", extra=_keys(wanted.event))
                return None
            state, notice = await self._notices.make(log, wanted.event.seq)
        except CorruptLogError as error:
            # It stays corrupt however often the stream brings it, and others wait behind it.
            logger.error("a corrupt log is not told", extra=_keys(wanted.event, error))
            return None
        except RetryableError as error:
            return error
        return _Told(wanted.position, state, notice)

    async def _send(self, told: Sequence[_Told], asked_for: Collection[Status]) -> int | None:
        """Position of the first that did not surely get through to all who want it."""
        published = [each for each in told if each.state.status in self._published]
        sends = [self._through(publisher.publish, published, _notice_of) for publisher in self._publishers]
        asked = [each for each in told if each.state.status in asked_for]
        positions = await asyncio.gather(*sends, self._send_webhooks(asked))
        return min((position for position in positions if position is not None), default=None)

    async def _send_webhooks(self, told: Sequence[_Told]) -> int | None:
        tenants = sorted({each.state.tenant for each in told})
        try:
            found = await asyncio.gather(*(self._directory.of(tenant) for tenant in tenants))
        except RetryableError as error:
            logger.warning("endpoints unknown", extra={"error": error.message})
            return min(each.position for each in told)
        endpoints = dict(zip(tenants, found, strict=True))
        deliveries = [
            (each, endpoint)
            for each in told
            for endpoint in endpoints[each.state.tenant]
            if endpoint.wants(each.state.status, each.state.agent, each.state.webhook)
        ]
        try:
            key = await self._signing_key(told for told, _ in deliveries)
        except RetryableError as error:
            logger.warning("signing key unknown", extra={"error": error.message})
            return min(each.position for each in told)
        return await self._through(self._queue.send_batch, deliveries, partial(self._message, key))

    async def _signing_key(self, told: Iterable[_Told]) -> bytes | None:
        """What links to decisions are signed with, where one is to be made and can be.

        Raises:
            RetryableError: The secrets did not answer.
        """
        if self._links is None or all(each.state.status is not Status.WAITING for each in told):
            return None
        try:
            return await self._links.prepare()
        except ParkedError as error:
            # It is for an operator to mend. Others wait behind this batch, and the signal can be given by the API.
            logger.error("no links to decisions", extra={"code": error.code, "error": error.message})
            return None

    def _message(self, key: bytes | None, delivery: tuple[_Told, Endpoint]) -> tuple[int, WebhookMessage]:
        told, endpoint = delivery
        task_id, seq = told.state.task_id, told.state.head_seq
        payload = told.notice.payload
        if self._links is not None and key is not None:
            payload = self._links.into(payload, told.state, endpoint.id, key)
        return told.position, WebhookMessage(
            id=message_id(task_id, seq, endpoint.id),
            tenant=endpoint.tenant,
            endpoint_id=endpoint.id,
            task_id=task_id,
            seq=seq,
            queued_at_ms=self._clock.now_ms(),
            payload=payload,
            trace=told.state.trace,
        )

    async def _through(
        self,
        send: Callable[[Sequence[T]], Awaitable[list[bool]]],
        items: Sequence[S],
        convert: Callable[[S], tuple[int, T]],
    ) -> int | None:
        """Send, and again what did not get through; the first position that did not in the end."""
        left = [convert(item) for item in items]
        for failures in range(1, _TRIES + 1):
            if not left:
                return None
            through = await send([item for _, item in left])
            left = [each for each, done in zip(left, through, strict=True) if not done]
            if not any(through):
                break  # it is not busy but down, and was tried again by its client: the stream has more patience
            if left and failures < _TRIES:
                await self._clock.sleep(self._backoff_seconds(failures))
        return left[0][0] if left else None

    def _backoff_seconds(self, failures: int) -> float:
        return full_jitter_seconds(
            failures,
            base_seconds=_BACKOFF_BASE_SECONDS,
            cap_seconds=_BACKOFF_CAP_SECONDS,
            fraction=self._dice.random(),
        )


def _notice_of(told: _Told) -> tuple[int, Notice]:
    return told.position, told.notice


class _Logs:
    """The logs of a batch's tasks: out of the batch itself where it holds them whole, else read, each once.

    Args:
        log: Where they are read.
        events: The batch.
    """

    def __init__(self, log: EventLog, events: Sequence[Event]) -> None:
        self._log = log
        self._in_batch: dict[str, dict[int, Event]] = {}
        for event in events:
            self._in_batch.setdefault(event.task_id, {})[event.seq] = event
        self._reads: dict[str, asyncio.Task[list[Event]]] = {}
        self._permits = asyncio.Semaphore(_READS_AT_ONCE)

    async def up_to(self, event: Event) -> list[Event] | None:
        """The task's events from the first up to `event` at least; None where they are gone."""
        in_batch = self._in_batch[event.task_id]
        if all(seq in in_batch for seq in range(event.seq + 1)):
            return [in_batch[seq] for seq in range(event.seq + 1)]
        reading = self._reads.get(event.task_id)
        if reading is None:
            reading = self._reads[event.task_id] = asyncio.ensure_future(self._read(event.task_id))
        events = await reading
        # Retention drops a task's events one by one; what lacks its first event is gone.
        if len(events) <= event.seq or events[0].seq != 0:
            return None
        return events

    async def _read(self, task_id: str) -> list[Event]:
        async with self._permits:
            return await self._log.read(task_id)


def _keys(event: Event, error: RetryableError | CorruptLogError | None = None) -> dict[str, object]:
    keys: dict[str, object] = {"task_id": event.task_id, "seq": event.seq}
    return keys if error is None else keys | {"error": error.message}

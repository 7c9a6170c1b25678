"""The ports of one simulated process: stores in memory and queues, behind calls that can go wrong.

Every call is a scheduling point, and takes effect at one instant or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from flotilla.coordination import Turn
from flotilla.errors import StoreUnavailableError
from flotilla.events import Event
from flotilla.models import Delivery, TaskMessage
from tests.fakes import MemoryEventLog
from tests.fakes.session_turns import MemorySessionTurns
from tests.simulation.faults import Fault
from tests.simulation.processes import Process, drive
from tests.simulation.queues import FifoQueue, Message

_BATCH = 10

Append = Callable[[Event, str], Event | None]


class Store:
    """Any port whose calls are each one call of a store in memory.

    Args:
        process: Who calls.
        port: The port's name.
        target: The store.
    """

    def __init__(self, process: Process, port: str, target: object) -> None:
        self._process = process
        self._port = port
        self._target = target

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._target, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._process.call(self._port, name, lambda: drive(method(*args, **kwargs)))

        self.__dict__[name] = call
        return call


class Log:
    """`EventLog` of a process.

    Args:
        append: Writes to the store, and tells the observer and the stream.
        decided: When each event was first tried to be written, by its hash.
    """

    def __init__(self, process: Process, store: MemoryEventLog, append: Append, decided: dict[str, float]) -> None:
        self._process = process
        self._store = store
        self._append = append
        self._decided = decided

    async def append(self, event: Event) -> Event | None:
        self._decided.setdefault(event.hash, self._process.scheduler.now)
        name = f"append {event.task_id[:8]}/{event.seq} {event.kind}" if self._process.trace else "append"
        found: Event | None = await self._process.call("log", name, lambda: self._append(event, self._process.name))
        return found

    async def read(self, task_id: str) -> list[Event]:
        found: list[Event] = await self._process.call("log", "read", lambda: drive(self._store.read(task_id)))
        return found

    async def head(self, task_id: str) -> Event | None:
        found: Event | None = await self._process.call("log", "head", lambda: drive(self._store.head(task_id)))
        return found


class Turns:
    """`SessionTurns` of a process: each turn is a write of its own."""

    def __init__(self, process: Process, store: MemorySessionTurns) -> None:
        self._process = process
        self._store = store

    async def read(self, tenant: str, session: str) -> list[Turn]:
        found: list[Turn] = await self._process.call("turns", "read", lambda: drive(self._store.read(tenant, session)))
        return found

    async def put(self, tenant: str, session: str, turns: Sequence[Turn]) -> None:
        for turn in turns:
            await self._process.call("turns", "put", partial(self._put, tenant, session, turn))

    def _put(self, tenant: str, session: str, turn: Turn) -> None:
        drive(self._store.put(tenant, session, [turn]))


class Lanes:
    """`Lanes` of a process."""

    def __init__(self, process: Process, queues: dict[str, FifoQueue]) -> None:
        self._process = process
        self._queues = queues

    async def send(self, message: TaskMessage) -> None:
        await self._process.call("lanes", "send", lambda: self._send(message))

    async def send_batch(self, messages: Sequence[TaskMessage]) -> list[bool]:
        broken: set[tuple[str, str]] = set()
        durable: list[bool] = []
        for start in range(0, len(messages), _BATCH):
            chunk = messages[start : start + _BATCH]
            wanted = [message for message in chunk if (message.lane, message.group) not in broken]
            sent: list[bool] = []
            if wanted:
                try:
                    sent = await self._process.call("lanes", "send_batch", partial(self._send_all, wanted))
                except StoreUnavailableError:
                    sent = [False] * len(wanted)
            answers = dict(zip([message.deduplication_id for message in wanted], sent, strict=True))
            for message in chunk:
                fine = answers.get(message.deduplication_id, False)
                durable.append(fine)
                if not fine:
                    broken.add((message.lane, message.group))
        return durable

    def _send_all(self, messages: Sequence[TaskMessage]) -> list[bool]:
        """Each entry of a batch can fail alone, and then so does the rest of its group."""
        faults, now = self._process.faults, self._process.scheduler.now
        broken: set[tuple[str, str]] = set()
        sent: list[bool] = []
        for message in messages:
            group = (message.lane, message.group)
            fault = faults.deal("lanes", now)
            if group in broken or fault in (Fault.FAILED, Fault.LATE_EFFECT):
                broken.add(group)
                sent.append(False)
                continue
            self._send(message)
            if fault is Fault.LOST_ANSWER:
                broken.add(group)
            sent.append(fault is not Fault.LOST_ANSWER)
        return sent

    def _send(self, message: TaskMessage) -> None:
        now = self._process.scheduler.now
        self._queues[message.lane].send(now, message.to_body(), message.group, message.deduplication_id)


class Delays:
    """`Delays` of a process."""

    def __init__(self, process: Process, tiers: dict[int, FifoQueue]) -> None:
        self._process = process
        self._tiers = tiers

    async def send(self, message: TaskMessage, tier_seconds: int) -> None:
        await self._process.call("delays", f"send to {tier_seconds}", lambda: self._send(message, tier_seconds))

    def _send(self, message: TaskMessage, tier_seconds: int) -> None:
        deduplication_id = f"{message.task_id}-{message.seq}-{message.hops}"
        now = self._process.scheduler.now
        self._tiers[tier_seconds].send(now, message.to_body(), message.task_id, deduplication_id)


class Depths:
    """`LaneDepths` of a process."""

    def __init__(self, process: Process, waiting: Callable[[str], int]) -> None:
        self._process = process
        self._waiting = waiting

    async def waiting(self, lane: str) -> int:
        found: int = await self._process.call("lanes", "depth", lambda: self._waiting(lane))
        return found


class Receipts:
    """What is done with the messages of one queue. Each entry of a call can fail alone, and nobody says so.

    Args:
        deleted: Told of each message that is deleted.
    """

    def __init__(
        self,
        process: Process,
        queue: FifoQueue,
        dead_letters: FifoQueue | None,
        deleted: Callable[[FifoQueue, Message], None],
    ) -> None:
        self._process = process
        self._queue = queue
        self._dead_letters = dead_letters
        self._deleted = deleted

    async def set_visibility(self, timeouts: Sequence[tuple[Delivery, int]]) -> None:
        for start in range(0, len(timeouts), _BATCH):
            chunk = timeouts[start : start + _BATCH]
            await self._process.call(
                "receipts", "set_visibility", partial(self._set_visibility, chunk), best_effort=True
            )

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        for start in range(0, len(deliveries), _BATCH):
            chunk = deliveries[start : start + _BATCH]
            await self._process.call("receipts", "delete", partial(self._delete, chunk), best_effort=True)

    async def put_aside(self, delivery: Delivery, reason: str) -> None:
        await self._process.call("receipts", "put_aside", lambda: self._put_aside(delivery))

    def _set_visibility(self, timeouts: Sequence[tuple[Delivery, int]]) -> None:
        now = self._process.scheduler.now
        for delivery, seconds in timeouts:
            if self._process.trace:
                self._process.note(f"hides {delivery.message_id} for {seconds} s")
            self._queue.set_visibility(now, delivery.receipt_handle, seconds)

    def _delete(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            message = self._queue.delete(self._process.scheduler.now, delivery.receipt_handle)
            if message is not None:
                self._deleted(self._queue, message)

    def _put_aside(self, delivery: Delivery) -> None:
        assert self._dead_letters is not None
        self._dead_letters.send(self._process.scheduler.now, delivery.body, delivery.group, delivery.message_id)

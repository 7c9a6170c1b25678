"""What hands messages to functions: Lambda's pollers for queues, as AWS documents them.

Invariants: never more invocations at once than the mapping's maximum; what an invocation does not name as failed is
deleted; what it names, or all of it where it died, stays and comes back when its visibility ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from flotilla.models import Delivery
from tests.simulation.faults import Faults
from tests.simulation.functions import Function
from tests.simulation.loop import Scheduler, Timer
from tests.simulation.queues import FifoQueue, Message

BATCH_LIMITS = (1, 2, 3, 10, 10, 10)
SHORTEST_EXPIRY_SECONDS = 0.01
LONGEST_EXPIRY_SECONDS = 15.0

Deleted = Callable[[FifoQueue, Message], None]


class QueueSource:
    """The mapping of a queue to a function.

    Args:
        concurrency: Invocations at once.
        deleted: Told of each message that is deleted.
    """

    def __init__(
        self,
        queue: FifoQueue,
        function: Function[Any],
        scheduler: Scheduler,
        faults: Faults,
        deleted: Deleted,
        *,
        concurrency: int,
    ) -> None:
        self._queue = queue
        self._function = function
        self._scheduler = scheduler
        self._faults = faults
        self._deleted = deleted
        self._free = concurrency
        self._planned: Timer | None = None
        queue.changed = self.plan

    def plan(self) -> None:
        """See to it that what becomes receivable is received."""
        now = self._scheduler.now
        at = self._queue.receivable_at(now)
        if at is None or not self._free:
            return
        at += self._faults.latency()
        planned = self._planned
        if planned is not None and planned.live:
            if planned.time <= at:
                return
            planned.cancel()
        self._planned = self._scheduler.at(at, None, self._poll)

    def _poll(self) -> None:
        self._planned = None
        now = self._scheduler.now
        limit = BATCH_LIMITS[self._faults.choice(len(BATCH_LIMITS))]
        batch = [delivery for _, delivery in self._queue.receive(now, limit)] if self._free else []
        if batch:
            copies = 2 if self._free > 1 and self._faults.happens("twice", now) else 1
            for _ in range(copies):
                self._free -= 1
                self._invoke(batch)
            if self._faults.happens("expire", now):
                spread = LONGEST_EXPIRY_SECONDS * self._faults.fraction() ** 3
                receipts = [delivery.receipt_handle for delivery in batch]
                self._scheduler.at(now + SHORTEST_EXPIRY_SECONDS + spread, None, self._expire, (receipts,))
        self.plan()

    def _expire(self, receipts: Sequence[str]) -> None:
        self._queue.expire(self._scheduler.now, receipts)

    def _invoke(self, batch: list[Delivery]) -> None:
        def finished(fine: bool, failures: Any) -> None:
            self._scheduler.at(
                self._scheduler.now + self._faults.latency(), None, self._answered, (batch, fine, failures)
            )

        self._function.invoke(batch, finished)

    def _answered(self, batch: list[Delivery], fine: bool, failures: Any) -> None:
        self._free += 1
        if fine:
            now = self._scheduler.now
            failed = set(failures)
            for delivery in batch:
                if delivery.message_id in failed or self._faults.happens("undeleted", now):
                    continue
                message = self._queue.delete(now, delivery.receipt_handle)
                if message is not None:
                    self._deleted(self._queue, message)
        self.plan()


def task_of(message: Message) -> str | None:
    """The task that a message stands for."""
    try:
        found = json.loads(message.body).get("task_id")
    except ValueError:
        return None
    return found if isinstance(found, str) else None

"""EventBridge Scheduler: one-time schedules that put a message into a queue, up to a minute late, at times twice."""

from __future__ import annotations

import hashlib

from flotilla.models import TaskMessage
from tests.simulation.faults import Faults
from tests.simulation.loop import Scheduler, Timer
from tests.simulation.processes import EPOCH_MS, Process
from tests.simulation.queues import FifoQueue

LATEST_SECONDS = 60.0


class ScheduleStore:
    """All schedules of a fleet.

    Args:
        target: The queue they put messages into; it deduplicates by content.
    """

    def __init__(self, scheduler: Scheduler, faults: Faults, target: FifoQueue) -> None:
        self.waiting: dict[tuple[str, int], Timer] = {}
        self._scheduler = scheduler
        self._faults = faults
        self._target = target

    def holds(self, task_id: str) -> bool:
        return any(task == task_id for task, _ in self.waiting)

    def put(self, message: TaskMessage, at_ms: int) -> None:
        key = (message.task_id, message.seq)
        if key in self.waiting:
            return
        # As the real one, to the whole second that has begun.
        at = max((at_ms // 1000 * 1000 - EPOCH_MS) / 1000, self._scheduler.now)
        at += LATEST_SECONDS * self._faults.fraction() ** 2
        self.waiting[key] = self._scheduler.at(at, None, self._fire, (key, message.to_body(), message.task_id))

    def remove(self, task_id: str, seq: int) -> None:
        timer = self.waiting.pop((task_id, seq), None)
        if timer is not None:
            timer.cancel()

    def _fire(self, key: tuple[str, int], body: str, group: str) -> None:
        self.waiting.pop(key, None)
        now = self._scheduler.now
        self._target.send(now, body, group, hashlib.sha256(body.encode()).hexdigest())
        if self._faults.happens("twice", now):
            self.waiting[key] = self._scheduler.at(now + 400, None, self._fire, (key, body, group))


class Schedules:
    """`Schedules` of a process."""

    def __init__(self, process: Process, store: ScheduleStore) -> None:
        self._process = process
        self._store = store

    async def put(self, message: TaskMessage, at_ms: int) -> None:
        await self._process.call("schedules", "put", lambda: self._store.put(message, at_ms))

    async def remove(self, task_id: str, seq: int) -> None:
        await self._process.call("schedules", "remove", lambda: self._store.remove(task_id, seq))

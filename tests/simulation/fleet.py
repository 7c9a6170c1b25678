"""The stores and queues of a fleet, and the observer at them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from flotilla.coordination import Pause, PauseScope
from flotilla.events import Event, Kind
from flotilla.models import Payload
from tests.fakes import MemoryEventLog, MemoryPayloadStore
from tests.fakes.flights import MemoryFlights
from tests.fakes.metrics import MemoryMetrics
from tests.fakes.pauses import MemoryPauses
from tests.fakes.retention import MemoryRetentionLedger
from tests.fakes.session_turns import MemorySessionTurns
from tests.fakes.views import MemoryReadModel
from tests.fakes.watchlist import MemoryWatchlist
from tests.simulation.event_sources import task_of
from tests.simulation.faults import FaultPlan, Faults
from tests.simulation.history import Deleted, History, PauseSpan, Written
from tests.simulation.loop import Scheduler
from tests.simulation.processes import drive
from tests.simulation.queues import FifoQueue, Message
from tests.simulation.schedules import ScheduleStore
from tests.simulation.states import States
from tests.simulation.stream import Shard
from tests.simulation.workload import LANES, Workload

TIERS = (1, 15, 120, 480, 900)
SHORT_FUNCTION_SECONDS = 30.0
"""Timeout of every function but the workers."""

VISIBILITY_FACTOR = 6

_ENDS = frozenset({Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED})
_NO_MESSAGE_NEEDED = _ENDS | {Kind.REDRIVEN, Kind.WAITING, Kind.SIGNALLED}
"""The task has ended; or waits for a signal; or was set going by somebody who sends a message of his own."""


class SharedLog(MemoryEventLog):
    """A log whose readers share the events.

    Copying them would be most of a history's time. Who changes what he shares breaks the hash chain, and is found out.
    """

    async def append(self, event: Event) -> Event | None:
        self.appends += 1
        existing = self.logs.setdefault(event.task_id, {}).setdefault(event.seq, event)
        return None if existing.hash == event.hash else existing

    async def read(self, task_id: str) -> list[Event]:
        self.reads += 1
        return [event for _, event in sorted(self.logs.get(task_id, {}).items())]

    async def head(self, task_id: str) -> Event | None:
        self.reads += 1
        log = self.logs.get(task_id)
        return log[max(log)] if log else None


class SharedArchive:
    """`Archive` that keeps the logs as they are."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, list[Event]]] = {}

    async def put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
        self.objects[key] = {log[0].task_id: list(log) for log in logs}

    async def get(self, key: str, task_id: str) -> list[Event]:
        return list(self.objects.get(key, {}).get(task_id, []))


class ObservedPauses(MemoryPauses):
    """Tells the observer since when, and until when, what is in force."""

    def __init__(self, scheduler: Scheduler, history: History) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._history = history

    async def put(self, pause: Pause) -> None:
        await super().put(pause)
        if not self._in_force(pause.scope, pause.name):
            self._history.pauses.append(PauseSpan(pause.scope.value, pause.name, self._scheduler.now))

    async def remove(self, scope: PauseScope, name: str) -> None:
        await super().remove(scope, name)
        for span in self._in_force(scope, name):
            span.until = self._scheduler.now

    def _in_force(self, scope: PauseScope, name: str) -> list[PauseSpan]:
        found = (scope.value, name)
        return [span for span in self._history.pauses if (span.scope, span.name) == found and span.until is None]


class Fleet:
    """What outlives every process of one history."""

    def __init__(self, plan: FaultPlan, workload: Workload, seed: int) -> None:
        self.scheduler = Scheduler()
        self.rng = random.Random(seed)
        self.faults = Faults(plan, self.rng)
        self.workload = workload
        self.history = History()
        self.log = SharedLog()
        self.payloads = MemoryPayloadStore()
        self.pauses = ObservedPauses(self.scheduler, self.history)
        self.flights = MemoryFlights()
        self.turns = MemorySessionTurns()
        self.states = States(self.scheduler)
        self.metrics = MemoryMetrics()
        self.views = MemoryReadModel()
        self.watchlist = MemoryWatchlist(self.views.entries)
        self.archive = SharedArchive()
        self.ledger = MemoryRetentionLedger()
        self.shards: list[Shard] = []
        self.open_tasks: set[str] = set()
        limit, seconds = workload.max_receive_count, SHORT_FUNCTION_SECONDS
        self.dead = {lane: self._queue(f"{lane}-dead", seconds) for lane in LANES}
        self.lanes = {
            lane: self._queue(lane, workload.worker_timeout_seconds, limit=limit, dead=self.dead[lane])
            for lane in LANES
        }
        self.dead_delays = self._queue("delays-dead", seconds)
        self.tiers = {
            tier: self._queue(f"delay-{tier}", seconds, delay=tier, limit=limit, dead=self.dead_delays)
            for tier in TIERS
        }
        self.schedules = ScheduleStore(self.scheduler, self.faults, self.tiers[TIERS[0]])
        for queue in self.lanes.values():
            queue.buried = self._buried
        self.queues = [*self.lanes.values(), *self.dead.values(), *self.tiers.values(), self.dead_delays]

    def _queue(
        self, name: str, seconds: float, *, delay: float = 0.0, limit: int = 0, dead: FifoQueue | None = None
    ) -> FifoQueue:
        return FifoQueue(
            name,
            self.rng,
            visibility_seconds=seconds * VISIBILITY_FACTOR,
            delay_seconds=delay,
            max_receive_count=limit,
            dead_letters=dead,
        )

    def append(self, event: Event, process: str) -> Event | None:
        """The log's own append, seen by the observer."""
        before = self.log.logs.get(event.task_id, {}).get(event.seq)
        answer = drive(self.log.append(event))
        after = self.log.logs[event.task_id][event.seq]
        if before is None:
            self._observe(after, process)
        elif before.hash != after.hash:
            self.history.replaced.append((self.scheduler.now, before, after))
        return answer

    def _observe(self, event: Event, process: str) -> None:
        now = self.scheduler.now
        self.history.written.append(Written(now, self.history.decided.get(event.hash, now), event, process))
        if event.kind in _ENDS:
            self.open_tasks.discard(event.task_id)
        else:
            self.open_tasks.add(event.task_id)
        self.shards[int(event.task_id[-1], 16) % len(self.shards)].add(event)

    def payload_of(self, value: dict[str, Any]) -> Any:
        """The value that a payload in an event stands for."""
        payload = Payload.from_json(value)
        return payload.inline if payload.ref is None else json.loads(self.payloads.objects[payload.ref])

    def waiting(self, lane: str) -> int:
        """About how many messages of a lane could be handed out now."""
        now = self.scheduler.now
        return sum(message.visible_at <= now for message in self.lanes[lane].messages())

    def deleted(self, queue: FifoQueue, message: Message) -> None:
        """A message was taken off a queue for good."""
        task_id = task_of(message)
        if task_id is not None:
            self.history.deleted.append(
                Deleted(self.scheduler.now, queue.name, task_id, self._waits(task_id), self._finished(task_id))
            )

    def _buried(self, message: Message) -> None:
        task_id = task_of(message)
        if task_id is not None:
            self.history.buried.add(task_id)

    def _waits(self, task_id: str) -> bool:
        marker = f'"task_id":"{task_id}"'
        return self.schedules.holds(task_id) or any(
            marker in message.body for queue in self.queues for message in queue.messages()
        )

    def _finished(self, task_id: str) -> bool:
        log = self.log.logs.get(task_id)
        if not log:
            return False
        return log[max(log)].kind in _NO_MESSAGE_NEEDED

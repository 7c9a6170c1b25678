"""A whole fleet in memory: its stores and queues, its functions, and the mappings between them."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.simulation.event_sources import QueueSource
from tests.simulation.faults import FaultPlan
from tests.simulation.fleet import SHORT_FUNCTION_SECONDS, Fleet
from tests.simulation.functions import Build, Function, Run
from tests.simulation.loop import Timer
from tests.simulation.processes import Process, Trace
from tests.simulation.queues import FifoQueue
from tests.simulation.roles import Roles
from tests.simulation.stream import Shard
from tests.simulation.workload import Workload

SHARDS = 2
RECONCILER_SECONDS = 60.0
FIRST_TICK_SECONDS = 60.0
LAST_TICK_SECONDS = 3600.0
MAX_TICKS = 60


class World(Fleet):
    """One fleet, one history.

    Args:
        plan: What goes wrong.
        workload: What the fleet is like, and what is asked of it.
        seed: Of the one random sequence.
        trace: Told every step.
        roles: How processes are wired.
    """

    def __init__(
        self,
        plan: FaultPlan,
        workload: Workload,
        seed: int,
        trace: Trace | None = None,
        roles: type[Roles] = Roles,
    ) -> None:
        super().__init__(plan, workload, seed)
        self.processes: list[Process] = []
        self.functions: list[Function[Any]] = []
        self.roles = roles(self)
        self._trace = trace
        self.api = self._function("api", SHORT_FUNCTION_SECONDS, self.roles.api, self.roles.answer)
        self._map_queues(self.roles)
        projector = self._small("projector", self.roles.projector, self.roles.project)
        self.shards += [Shard(projector, self.scheduler, self.faults) for _ in range(SHARDS)]
        self._reconciler = self._function("reconciler", RECONCILER_SECONDS, self.roles.reconciler, self.roles.reconcile)
        self.ticks = 0
        self._next_tick: Timer | None = None

    def _map_queues(self, roles: Roles) -> None:
        seconds = self.workload.worker_timeout_seconds
        for lane, queue in self.lanes.items():
            worker = self._function(f"worker-{lane}", seconds, partial(roles.worker, lane=lane), roles.work)
            self._map(queue, worker, self.workload.concurrency)
        for queue in self.tiers.values():
            self._map(queue, self._small(f"relay-{queue.name}", partial(roles.relay, queue=queue), roles.pass_on), 2)
        for queue in (*self.dead.values(), self.dead_delays):
            triage = self._small(f"triage-{queue.name}", partial(roles.triage, queue=queue), roles.sort_out)
            self._map(queue, triage, 1)

    def _small(self, name: str, build: Build[Any], run: Run[Any]) -> Function[Any]:
        return self._function(name, SHORT_FUNCTION_SECONDS, build, run)

    def _function(self, name: str, timeout_seconds: float, build: Build[Any], run: Run[Any]) -> Function[Any]:
        function = Function(name, timeout_seconds, self.history, self.process, build, run)
        self.functions.append(function)
        return function

    def _map(self, queue: FifoQueue, function: Function[Any], concurrency: int) -> None:
        QueueSource(queue, function, self.scheduler, self.faults, self.deleted, concurrency=concurrency)

    def process(self, name: str, *, immortal: bool = False) -> Process:
        """A new process."""
        process = Process(name, self.scheduler, self.faults, self._trace, immortal=immortal)
        self.processes.append(process)
        return process

    def settled(self) -> bool:
        """Nothing is under way or waits anywhere, and every task has ended.

        Where nothing waits and a task has not ended, its message was lost, and it is the reconciler's turn.
        """
        if not self._idle():
            return False
        if not self.open_tasks:
            return True
        if self.ticks < MAX_TICKS and (self._next_tick is None or not self._next_tick.live):
            wait = min(FIRST_TICK_SECONDS * 1.3**self.ticks, LAST_TICK_SECONDS)
            self._next_tick = self.scheduler.at(self.scheduler.now + wait, None, self._tick)
        return False

    def _tick(self) -> None:
        self.ticks += 1
        if self._next_tick is not None:
            self._next_tick.live = False
        self._reconciler.invoke(None, lambda fine, result: None)

    def _idle(self) -> bool:
        for function in self.functions:
            if function.active:
                return False
        for queue in self.queues:
            if queue.groups:
                return False
        return not self.schedules.waiting and not any(shard.records for shard in self.shards)

    def died(self, request_id: str) -> bool:
        """Whether the process of an invocation died over it."""
        return any(request_id in function.died for function in self.functions)

    def clear(self) -> None:
        """Dispose of every process."""
        for process in self.processes:
            process.loop.clear()

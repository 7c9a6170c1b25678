"""A reconciler and its surroundings in memory, and tasks whose message was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flotilla.events import GENESIS_HASH, Event, Kind, chain
from flotilla.primitives.ladder import Ladder
from flotilla.services.dispatch import Dispatch
from flotilla.services.project import entry_of_log
from flotilla.services.reconcile import Reconciled, Reconciler
from tests.fakes import ManualClock, MemoryEventLog, MemoryLanes
from tests.fakes.delays import MemoryDelays
from tests.fakes.schedules import MemorySchedules
from tests.fakes.views import MemoryReadModel
from tests.fakes.watchlist import MemoryLaneDepths, MemoryWatchlist
from tests.logs import BODIES
from tests.unit.services.crashes import Calls
from tests.unit.services.fleet import run

RUN_SECONDS = 40

Step = tuple[float, Kind] | tuple[float, Kind, dict[str, Any]]
"""When it happened, in seconds after the task was accepted, what, and what its body says besides the least."""


class ForgetfulLanes(MemoryLanes):
    """Lanes that keep each send, as after the five minutes for which SQS remembers deduplication ids."""

    async def send(self, message: Any) -> None:
        await super().send(message)
        self.history.append((message.task_id, message.seq))

    def __init__(self) -> None:
        super().__init__()
        self.history: list[tuple[str, int]] = []


@dataclass
class Yard:
    """Logs, the read model made of them, and the reconciler."""

    clock: ManualClock = field(default_factory=ManualClock)
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    views: MemoryReadModel = field(default_factory=MemoryReadModel)
    lanes: ForgetfulLanes = field(default_factory=ForgetfulLanes)
    delays: MemoryDelays = field(default_factory=MemoryDelays)
    depths: MemoryLaneDepths = field(default_factory=MemoryLaneDepths)

    def __post_init__(self) -> None:
        self.watchlist = MemoryWatchlist(self.views.entries)

    def events(self, task_id: str, steps: Sequence[Step], **accepted: Any) -> list[Event]:
        """A log that begins now, or `began_ms`."""
        began_ms = accepted.pop("began_ms", self.clock.now_ms())
        events: list[Event] = []
        attempt = 0
        for after_seconds, kind, *more in [(0.0, Kind.ACCEPTED, accepted), *steps]:
            attempt += kind is Kind.STARTED
            events.append(
                chain(
                    task_id=task_id,
                    seq=len(events),
                    kind=kind,
                    at_ms=began_ms + int(after_seconds * 1000),
                    actor="worker:w/1",
                    attempt=attempt,
                    body={**BODIES[kind], **(more[0] if more else {})},
                    prev_hash=events[-1].hash if events else GENESIS_HASH,
                )
            )
        return events

    def task(self, task_id: str, *steps: Step, projected: int | None = None, **accepted: Any) -> list[Event]:
        """Write a task's log; the read model follows the first `projected` events of it, or all."""
        events = self.events(task_id, steps, **accepted)
        for event in events:
            run(self.log.append(event))
        self.project(events[:projected])
        return events

    def project(self, events: Sequence[Event]) -> None:
        if events:
            run(self.views.put(entry_of_log(events)))

    def reconciler(self, calls: Calls | None = None) -> Reconciler:
        calls = calls or Calls()
        dispatch = Dispatch(
            lanes=calls.through(self.lanes),
            delays=calls.through(self.delays),
            schedules=calls.through(MemorySchedules()),
            ladder=Ladder([1, 15, 120, 480, 900]),
            clock=self.clock,
        )
        return Reconciler(
            log=calls.through(self.log),
            views=calls.through(self.views),
            watchlist=calls.through(self.watchlist),
            dispatch=dispatch,
            depths=calls.through(self.depths),
            lane_names=("critical", "standard"),
            clock=self.clock,
        )

    def reconcile(self, calls: Calls | None = None, *, run_seconds: float = RUN_SECONDS) -> Reconciled:
        until_ms = self.clock.now_ms() + int(run_seconds * 1000)
        result: Reconciled = run(self.reconciler(calls).run(until_ms))
        return result

    def minutes(self, count: int, *, every: int = 1) -> list[tuple[int, str]]:
        """Run once a minute, or so; when (in minutes from now) and to whom messages were sent."""
        sent: list[tuple[int, str]] = []

        async def all_runs() -> None:
            for minute in range(every, count + 1, every):
                self.clock.advance(60 * every)
                before = len(self.lanes.history)
                await self.reconciler().run(self.clock.now_ms() + RUN_SECONDS * 1000)
                sent.extend((minute, task_id) for task_id, _ in self.lanes.history[before:])

        run(all_runs())
        return sent

    def kinds(self, task_id: str) -> list[str]:
        return [event.kind.value for _, event in sorted(self.log.logs[task_id].items())]

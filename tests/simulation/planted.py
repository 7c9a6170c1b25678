"""The system broken on purpose, in one place at a time: a checker that does not find these would find nothing.

Each planted fault is a wiring of processes (`roles.Roles`) of which one part is broken. Nothing is changed behind the
back of the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flotilla.coordination import Turn
from flotilla.errors import RetryableError
from flotilla.events import Event, Kind
from flotilla.models import TaskMessage
from flotilla.ports import SessionTurns
from flotilla.primitives.ladder import Ladder, ToLane
from flotilla.read_model import Entry
from flotilla.services.archive_logs import Log, LogArchiver
from flotilla.services.pause_board import PauseBoard
from flotilla.services.project import Projector, _Projected, entry_of_log
from flotilla.services.signal import NotWaitingError, Signal, Signalled, SignalService
from flotilla.services.single_flight import SingleFlight, _TakeOver
from flotilla.services.submit import Accepted, Submission, SubmitService
from tests.fakes.views import MemoryReadModel
from tests.simulation import planted_workers as workers
from tests.simulation.fleet import TIERS, Fleet, SharedLog
from tests.simulation.ports import Lanes, Turns
from tests.simulation.processes import Process
from tests.simulation.roles import ReconcilerTools, Roles

_FOR_EVER_MS = 10**12


@dataclass(frozen=True)
class PlantedFault:
    """A way to break the system.

    Attributes:
        broken: What is wrong with it.
        found_by: The rules of which one must find it.
        roles: The broken wiring.
    """

    broken: str
    found_by: frozenset[str]
    roles: type[Roles]


class _OverwritingLog(SharedLog):
    async def append(self, event: Event) -> Event | None:
        if event.kind is not Kind.SUCCEEDED:
            return await super().append(event)
        self.logs[event.task_id][event.seq] = event
        return None


class _UnconditionalCommit(Roles):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        fleet.log = _OverwritingLog()


class _AlteringLog(SharedLog):
    async def append(self, event: Event) -> Event | None:
        return await super().append(replace(event, at_ms=event.at_ms + 1) if event.kind is Kind.PARKED else event)


class _AlteredEvents(Roles):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        fleet.log = _AlteringLog()


class _AcknowledgedFirst(Roles):
    batches = workers.AcknowledgesFirst


class _AcknowledgedAll(Roles):
    batches = workers.AcknowledgesAll


class _LeaseIgnored(Roles):
    batches = workers.IgnoresLeases


class _StaleCommit(Roles):
    batches = workers.Pushy


class _OrderIgnored(Roles):
    batches = workers.SkipsAhead


class _GroupByTask(Lanes):
    def _send(self, message: TaskMessage) -> None:
        now = self._process.scheduler.now
        self._queues[message.lane].send(now, message.to_body(), message.task_id, message.deduplication_id)


class _SessionsNotGrouped(Roles):
    def sends(self, process: Process) -> Lanes:
        return _GroupByTask(process, self.fleet.lanes)


class _FlatLadder(Ladder):
    def place(self, remaining_seconds: float) -> ToLane:
        return ToLane()

    def on_arrival(self, remaining_seconds: float, hops: int = 0) -> ToLane:
        return ToLane()


class _DelayUnguarded(Roles):
    batches = workers.NeverTooEarly

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.ladder = _FlatLadder(TIERS)


class _DeadlineUnasked(Roles):
    batches = workers.NeverTooLate


class _AttemptsUndercounted(Roles):
    batches = workers.Undercounts


class _ParkingCharged(Roles):
    batches = workers.ChargesParking


class _StepsForgotten(Roles):
    batches = workers.ForgetsSteps


class _CancelUnheard(Roles):
    batches = workers.Deaf


class _Heedless(SingleFlight):
    async def _of_leader(self, *asked: Any) -> _TakeOver:
        return _TakeOver("it was not asked")


class _LeaderUnasked(Roles):
    flights = _Heedless


class _PausesReadOnce(Roles):
    def pause_board(self, process: Process) -> PauseBoard:
        return PauseBoard(self.pauses(process), process.clock, ttl_ms=_FOR_EVER_MS)


class _SloppyTurns(Turns):
    async def put(self, tenant: str, session: str, turns: Sequence[Turn]) -> None:
        try:
            await super().put(tenant, session, turns)
        except RetryableError:
            return


class _TurnsNotMadeSure(Roles):
    def turns(self, process: Process) -> SessionTurns:
        return _SloppyTurns(process, self.fleet.turns)


class _LastPutWins(MemoryReadModel):
    async def put(self, entry: Entry) -> bool:
        self.entries[entry.task_id] = entry
        return True


class _AsItComes(Projector):
    def _tells(self, task_id: str, found: dict[int, Event]) -> bool:
        return True

    async def _projected(self, task_id: str, found: dict[int, Event]) -> Any:
        try:
            log = await self._log.read(task_id)
        except RetryableError as error:
            return error
        events = log[: max(found) + 1]
        return _Projected(events, entry_of_log(events))


class _UnorderedProjection(Roles):
    projectors = _AsItComes

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        views = _LastPutWins()
        views.entries = fleet.views.entries  # which the watchlist reads too
        fleet.views = views


class _CutsLogs(LogArchiver):
    async def archive(self, logs: Sequence[Log]) -> dict[str, str]:
        return await super().archive([log[:-1] for log in logs])


class _ArchiveCutShort(Roles):
    archivers = _CutsLogs


class _ReconcilerAsleep(Roles):
    async def reconcile(self, tools: ReconcilerTools, request_id: str, ends: float, event: object) -> None:
        return None


class _ForgetsKeys(SubmitService):
    async def submit(self, submission: Submission) -> Accepted:
        return await super().submit(replace(submission, idempotency_key=submission.request_id))


class _KeysForgotten(Roles):
    submits = _ForgetsKeys


class _WaitCutShort(Roles):
    batches = workers.Impatient


class _Obliging(SignalService):
    async def signal(self, task_id: str, signal: Signal, *, tenant: str | None) -> Signalled | None:
        try:
            return await super().signal(task_id, signal, tenant=tenant)
        except NotWaitingError as error:
            return Signalled(error.state, changed=False)


class _SignalsUnheard(Roles):
    signals = _Obliging


class _StatesUntold(Roles):
    batches = workers.Mute


class _StatesToldFirst(Roles):
    batches = workers.Hasty


def _planted(roles: type[Roles], found_by: str, broken: str) -> PlantedFault:
    return PlantedFault(broken, frozenset(found_by.split()), roles)


FAULTS = {
    "unconditional-commit": _planted(_UnconditionalCommit, "log", "a result is written over whatever holds its place"),
    "stale-commit": _planted(_StaleCommit, "log fence", "a worker whose place is taken commits after the log's head"),
    "altered-events": _planted(_AlteredEvents, "log", "the log keeps another event than was chained"),
    "early-acknowledgement": _planted(_AcknowledgedFirst, "deleted", "messages are deleted before their work is done"),
    "failures-unreported": _planted(_AcknowledgedAll, "deleted", "messages are deleted whatever came of them"),
    "lease-ignored": _planted(_LeaseIgnored, "overlap", "a task is taken over from a worker that is alive"),
    "order-ignored": _planted(_OrderIgnored, "order", "a session goes on while its first task has to wait"),
    "sessions-not-grouped": _planted(_SessionsNotGrouped, "order", "the message group is the task, not its session"),
    "delay-unguarded": _planted(_DelayUnguarded, "early", "messages are passed on, and tasks started, at once"),
    "deadline-unasked": _planted(_DeadlineUnasked, "deadline", "nobody asks whether the deadline has passed"),
    "attempts-undercounted": _planted(_AttemptsUndercounted, "attempts", "a failing task has one attempt too many"),
    "parking-charged": _planted(_ParkingCharged, "dead", "parking uses up an attempt"),
    "steps-forgotten": _planted(_StepsForgotten, "steps", "recorded steps are run again"),
    "cancel-unheard": _planted(_CancelUnheard, "cancel", "a running attempt does not ask whether it was cancelled"),
    "leader-unasked": _planted(_LeaderUnasked, "cache", "who finds a leader takes its place unasked"),
    "pauses-read-once": _planted(_PausesReadOnce, "pause", "a worker reads the pauses once in its life"),
    "turns-not-made-sure": _planted(_TurnsNotMadeSure, "memory", "turns that were not stored are given up"),
    "unordered-projection": _planted(_UnorderedProjection, "projection", "entries follow records as they come"),
    "archive-cut-short": _planted(_ArchiveCutShort, "archive", "logs are archived without their last event"),
    "reconciler-asleep": _planted(_ReconcilerAsleep, "liveness", "nobody looks for lost messages"),
    "wait-cut-short": _planted(_WaitCutShort, "waits", "any message ends a wait, whatever its time"),
    "signals-unheard": _planted(_SignalsUnheard, "waits", "a signal that nobody waits for is answered as if given"),
    "states-untold": _planted(_StatesUntold, "states", "a state that could not be told is given up"),
    "states-told-first": _planted(_StatesToldFirst, "states", "a state is told of a result before the log has it"),
    "keys-forgotten": _planted(_KeysForgotten, "answers", "every call makes a task of its own"),
}

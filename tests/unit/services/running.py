"""Runs of workflows and their surroundings in memory, with states that ask for tasks when a test says so."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flotilla.agents.catalog import Catalog
from flotilla.events import GENESIS_HASH, Event, Kind, TaskState, chain, fold
from flotilla.models import WorkflowStep
from flotilla.primitives.ladder import Ladder
from flotilla.services.callbacks import Callbacks
from flotilla.services.cancel import CancelService
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.executions import RunEnds, RunStarter
from flotilla.services.open_logs import OpenLogs
from flotilla.services.past_logs import PastLogs
from flotilla.services.project import entry_of_log
from flotilla.services.reconcile import Reconciler
from flotilla.services.redrive import RedriveService
from flotilla.services.run_follower import RunFollower
from flotilla.services.run_remains import RunRemains
from flotilla.services.runs import NewRun, RunService, with_runs
from flotilla.services.submit import Accepted, SubmitService
from flotilla.workflow_ports import ExecutionStatus
from flotilla.workflows.declaration import StepSpec, Workflow
from tests.fakes import ManualClock, MemoryEventLog, MemoryLanes, MemoryPayloadStore
from tests.fakes.archive import MemoryArchive
from tests.fakes.assembly import TIERS_SECONDS
from tests.fakes.delays import MemoryDelays
from tests.fakes.metrics import MemoryMetrics
from tests.fakes.pauses import MemoryPauses
from tests.fakes.schedules import MemorySchedules
from tests.fakes.views import MemoryReadModel
from tests.fakes.watchlist import MemoryLaneDepths, MemoryWatchlist
from tests.fakes.workflows import MemoryExecutions, MemoryTaskTokens
from tests.logs import BODIES
from tests.unit.services.crashes import Calls
from tests.unit.services.fleet import run

ANALYSIS = Workflow(
    name="analysis",
    version="d1",
    description="",
    input_schema=None,
    steps=(StepSpec("Extract", "document.extract", map="Documents"), StepSpec("Report", "document.report")),
)
WORKFLOWS = {"analysis": ANALYSIS}
INLINE_BYTES = 1000
RETENTION_DAYS = 30


@dataclass
class Process:
    """What one process has of the services of runs: the API's, the recorder's, the broadcaster's and the reconciler's.

    What each has is cut short where the test's `calls` say so.
    """

    runs: RunService
    ends: RunEnds
    redrive: RedriveService
    cancel: CancelService
    remains: RunRemains
    follower: RunFollower
    reconciler: Reconciler
    dispatch: Dispatch


@dataclass
class Running:
    """Everything a run meets, on one clock."""

    clock: ManualClock = field(default_factory=ManualClock)
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    lanes: MemoryLanes = field(default_factory=MemoryLanes)
    payloads: MemoryPayloadStore = field(default_factory=MemoryPayloadStore)
    views: MemoryReadModel = field(default_factory=MemoryReadModel)
    pauses: MemoryPauses = field(default_factory=MemoryPauses)
    executions: MemoryExecutions = field(default_factory=lambda: MemoryExecutions(WORKFLOWS))
    tokens: MemoryTaskTokens = field(default_factory=MemoryTaskTokens)
    metrics: MemoryMetrics = field(default_factory=MemoryMetrics)

    def __post_init__(self) -> None:
        self.watchlist = MemoryWatchlist(self.views.entries)
        self.requests = itertools.count()
        self.api = self.process()

    def process(self, calls: Calls | None = None) -> Process:
        through: Callable[[Any], Any] = calls.through if calls is not None else _as_it_is
        log, executions = through(self.log), through(self.executions)
        views, pauses = through(self.views), through(self.pauses)
        claim_check = ClaimCheck(through(self.payloads), INLINE_BYTES)
        ends = RunEnds(log=log, executions=executions, claim_check=claim_check, clock=self.clock)
        dispatch = Dispatch(
            lanes=through(self.lanes),
            delays=MemoryDelays(),
            schedules=MemorySchedules(),
            ladder=Ladder(TIERS_SECONDS),
            clock=self.clock,
            start_run=RunStarter(log=log, executions=executions, claim_check=claim_check, ends=ends, clock=self.clock),
        )
        past = PastLogs(views=views, archive=MemoryArchive(), clock=self.clock, retention_days=RETENTION_DAYS)
        logs = OpenLogs(log=log, past=past, clock=self.clock, retention_days=RETENTION_DAYS)
        cancel = CancelService(logs=logs, schedules=None, clock=self.clock)
        remains = RunRemains(views=views, executions=executions, pauses=pauses, cancel=cancel, clock=self.clock)
        submit = SubmitService(log=log, dispatch=dispatch, claim_check=claim_check, clock=self.clock)
        return Process(
            runs=RunService(submit=submit, default_lane="standard"),
            ends=ends,
            redrive=RedriveService(
                logs=logs,
                dispatch=dispatch,
                claim_check=claim_check,
                catalog=with_runs(Catalog({}), WORKFLOWS),
                lanes=("standard", "batch"),
                clock=self.clock,
            ),
            cancel=cancel,
            remains=remains,
            follower=RunFollower(
                log=log, callbacks=Callbacks(through(self.tokens), claim_check, self.metrics), remains=remains
            ),
            reconciler=Reconciler(
                log=log,
                views=views,
                watchlist=through(self.watchlist),
                dispatch=dispatch,
                depths=MemoryLaneDepths(),
                lane_names=("standard", "batch"),
                clock=self.clock,
                remains=remains,
            ),
            dispatch=dispatch,
        )

    def wanted(self, value: Any = None, **options: Any) -> NewRun:
        return NewRun(
            tenant=options.pop("tenant", "acme"),
            actor="key:test",
            request_id=f"request-{next(self.requests)}",
            workflow=options.pop("workflow", ANALYSIS),
            input=value,
            request={"input": value},
            **options,
        )

    def start(self, value: Any = None, *, process: Process | None = None, **options: Any) -> Accepted:
        answer: Accepted = run((process or self.api).runs.start(self.wanted(value, **options)))
        return answer

    def started(self, value: Any = None, **options: Any) -> str:
        """Start a run; its id."""
        return self.start(value, **options).state.task_id

    def name(self, run_id: str, seq: int = 0) -> tuple[str, str]:
        """How its execution is found."""
        return "analysis", f"{run_id}-{seq}"

    def document(self, run_id: str, seq: int = 0) -> dict[str, Any]:
        """What its execution was handed."""
        found: dict[str, Any] = json.loads(self.executions.documents[self.name(run_id, seq)])
        return found

    def end(self, run_id: str, status: ExecutionStatus, seq: int = 0, **how: Any) -> bool:
        """Have its execution end, and the recorder told."""
        execution = self.executions.end(*self.name(run_id, seq), status, **how)
        return bool(run(self.api.ends.record(execution)))

    def cancelled(self, run_id: str) -> None:
        run(self.api.cancel.cancel("acme", run_id, actor="key:test", request_id="cancel"))

    def task(
        self,
        run_id: str,
        step: str,
        number: int,
        *kinds: Kind | tuple[Kind, dict[str, Any]],
        actor: str = "worker:w/1",
        projected: bool = True,
    ) -> str:
        """A task that a state of the run asked for, and what became of it; a state waits for it."""
        task_id = f"tsk_{number:032x}"
        token = f"token-{number}"
        self.tokens.waiting.add(token)
        body = {"agent": "document.extract", "workflow": WorkflowStep(run_id, step, token).to_json(), "parent": run_id}
        self.append(task_id, Kind.ACCEPTED, body, actor="workflow:analysis")
        for each in kinds:
            kind, more = (each, {}) if isinstance(each, Kind) else each
            self.append(task_id, kind, more, actor=actor)
        if projected:
            self.project()
        return task_id

    def append(self, task_id: str, kind: Kind, body: dict[str, Any], *, actor: str = "worker:w/1") -> Event:
        log = self.log.logs.setdefault(task_id, {})
        head = log[max(log)] if log else None
        event = chain(
            task_id=task_id,
            seq=0 if head is None else head.seq + 1,
            kind=kind,
            at_ms=self.clock.now_ms(),
            actor=actor,
            attempt=0 if kind is Kind.ACCEPTED else 1,
            body=BODIES[kind] | body,
            prev_hash=GENESIS_HASH if head is None else head.hash,
        )
        log[event.seq] = event
        return event

    def project(self) -> None:
        """Let the read model follow the log."""

        async def follow() -> None:
            for log in self.log.logs.values():
                await self.views.put(entry_of_log([event for _, event in sorted(log.items())]))

        run(follow())

    def state(self, task_id: str) -> TaskState:
        return fold(self.events(task_id))

    def events(self, task_id: str) -> list[Event]:
        return [event for _, event in sorted(self.log.logs[task_id].items())]

    def kinds(self, task_id: str) -> list[str]:
        return [event.kind.value for event in self.events(task_id)]

    def status(self, task_id: str) -> str:
        return self.state(task_id).status.value

    def follow(self, *events: Event, process: Process | None = None, seconds: float = 60) -> int | None:
        """Hand the follower a batch of the stream."""
        give_up_ms = self.clock.now_ms() + int(seconds * 1000)
        position: int | None = run((process or self.api).follower.run(events, give_up_ms=give_up_ms))
        return position

    def reconcile(self, process: Process | None = None) -> dict[str, int]:
        """One run of the reconciler; its looks."""
        result = run((process or self.api).reconciler.run(self.clock.now_ms() + 40_000))
        return {look.value: count for look, count in result.looks.items()}


def _as_it_is(port: Any) -> Any:
    return port

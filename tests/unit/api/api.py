"""The API over ports in memory, and agents for it to accept tasks of."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from flotilla.agents.catalog import AgentSpec, Catalog, OnOpen
from flotilla.broadcast import Endpoint
from flotilla.events import Event, Kind, chain
from flotilla.models import TaskMessage
from flotilla.ports import EventLog, PayloadStore
from flotilla.primitives.ladder import Ladder
from flotilla.primitives.token_bucket import Limit
from flotilla.primitives.token_lease import NO_PLACES
from flotilla.services.cancel import CancelService
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dead_letters import DeadLetterService
from flotilla.services.decision_links import SigningKey
from flotilla.services.decisions import Decisions
from flotilla.services.dispatch import Dispatch
from flotilla.services.executions import RunEnds, RunStarter
from flotilla.services.hold_back import HoldBack
from flotilla.services.limit_board import LimitBoard
from flotilla.services.limits import Limiter
from flotilla.services.listing import ListService
from flotilla.services.open_logs import OpenLogs
from flotilla.services.past_logs import PastLogs
from flotilla.services.project import entry_of_log
from flotilla.services.read import ReadService
from flotilla.services.redrive import RedriveService
from flotilla.services.run_reading import RunReader
from flotilla.services.run_story import RunStory
from flotilla.services.runs import RunService, with_runs
from flotilla.services.signal import SignalService
from flotilla.services.submit import SubmitService
from flotilla.services.submit_limits import SubmitLimits
from flotilla.workflows.declaration import StepSpec, Workflow
from functions.api.agents import AgentRoutes
from functions.api.application import Application
from functions.api.batches import BatchRoutes
from functions.api.dead_letters import DeadLetterRoutes
from functions.api.decisions import DecisionRoutes
from functions.api.gateway import Request
from functions.api.health import alive
from functions.api.operations import TaskOperations
from functions.api.routing import Route, Router
from functions.api.submissions import Lanes, Submissions
from functions.api.task_view import TaskViews
from functions.api.tasks import TaskRoutes
from functions.api.validation import InputValidators
from functions.api.workflows import RunRequests, WorkflowRoutes
from tests.agent_specs import agent_spec
from tests.fakes import ManualClock, MemoryEventLog, MemoryLanes, MemoryPayloadStore
from tests.fakes.archive import MemoryArchive
from tests.fakes.assembly import TIERS_SECONDS
from tests.fakes.broadcast import MemoryEndpoints
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.delays import MemoryDelays
from tests.fakes.integrations import MemorySecrets
from tests.fakes.limits import MemoryBuckets, MemoryLimitSettings
from tests.fakes.pauses import MemoryPauses
from tests.fakes.schedules import MemorySchedules
from tests.fakes.views import MemoryReadModel
from tests.fakes.workflows import MemoryExecutions
from tests.gateway_events import Answer, http_event, identity

INLINE_BYTES = 1000

ANYTHING: dict[str, Any] = {}
SLEEP = {
    "type": "object",
    "properties": {"seconds": {"type": "number", "minimum": 0}},
    "required": ["seconds"],
    "additionalProperties": False,
}


def agent(name: str, input_schema: dict[str, Any], *, lane: str | None = None, on_open: OnOpen = "park") -> AgentSpec:
    return agent_spec(
        name,
        version="7",
        lane=lane,
        integrations=("bedrock",),
        input_schema=input_schema,
        output_schema={"type": "object"},
        on_open=on_open,
    )


CATALOG = Catalog({spec.name: spec for spec in (agent("echo", ANYTHING), agent("sleep", SLEEP, lane="batch"))})


ENDPOINT = Endpoint("whk_1", "acme", "https://hooks.example/in", (), None, (), 1)
DECISIONS_KEY = "a key of sixty-four characters, which nobody but the fleet may know."
LANES = ("critical", "standard", "batch")
RETENTION_DAYS = 30

WORKFLOWS = {
    "analysis": Workflow(
        name="analysis",
        version="d1",
        description="",
        input_schema=None,
        steps=(StepSpec("Extract", "document.extract", map="Documents"), StepSpec("Report", "document.report")),
    ),
    "nap": Workflow("nap", "d2", "", SLEEP, (StepSpec("Sleep", "sleep"),)),
}


class OneEndpoint:
    """The webhook endpoints of a fleet in which one tenant has one."""

    async def named(self, tenant: str, name: str) -> Endpoint | None:
        return ENDPOINT if tenant == ENDPOINT.tenant and name in (ENDPOINT.id, ENDPOINT.url) else None


@dataclass
class Api:
    """An API with everything behind it in memory."""

    clock: ManualClock = field(default_factory=ManualClock)
    memory: MemoryEventLog = field(default_factory=MemoryEventLog)
    lanes: MemoryLanes = field(default_factory=MemoryLanes)
    delays: MemoryDelays = field(default_factory=MemoryDelays)
    schedules: MemorySchedules = field(default_factory=MemorySchedules)
    read_model: MemoryReadModel = field(default_factory=MemoryReadModel)
    archive: MemoryArchive = field(default_factory=MemoryArchive)
    circuits: MemoryCircuits = field(default_factory=MemoryCircuits)
    buckets: MemoryBuckets = field(default_factory=MemoryBuckets)
    executions: MemoryExecutions = field(default_factory=lambda: MemoryExecutions(WORKFLOWS))
    limits_set: MemoryLimitSettings = field(default_factory=MemoryLimitSettings)
    limits_declared: dict[str, Limit] = field(default_factory=dict)
    log: EventLog | None = None
    payloads: PayloadStore = field(default_factory=MemoryPayloadStore)
    endpoints: MemoryEndpoints = field(default_factory=MemoryEndpoints)
    secrets: MemorySecrets = field(default_factory=lambda: MemorySecrets({"decisions": DECISIONS_KEY}))
    catalog: Catalog = CATALOG

    def __post_init__(self) -> None:
        self.hold_back = HoldBack(self.circuits, self.clock, {"fast": ("haiku", "mini")})
        self.limits = submit_limits(self.limits_set, self.buckets, self.limits_declared, self.clock)
        self.application = Application(self._router, self.clock)

    def _router(self) -> Router:
        log = self.log or self.memory
        claim_check = ClaimCheck(self.payloads, INLINE_BYTES)
        lanes = Lanes(LANES, "standard")
        validators = InputValidators()
        views = TaskViews(claim_check, _link)
        past = PastLogs(views=self.read_model, archive=self.archive, clock=self.clock, retention_days=RETENTION_DAYS)
        logs = OpenLogs(log=log, past=past, clock=self.clock, retention_days=RETENTION_DAYS)
        ends = RunEnds(log=log, executions=self.executions, claim_check=claim_check, clock=self.clock)
        dispatch = Dispatch(
            lanes=self.lanes,
            delays=self.delays,
            schedules=self.schedules,
            ladder=Ladder(TIERS_SECONDS),
            clock=self.clock,
            start_run=RunStarter(
                log=log, executions=self.executions, claim_check=claim_check, ends=ends, clock=self.clock
            ),
        )
        runnable = with_runs(self.catalog, WORKFLOWS)
        submissions = Submissions(
            catalog=self.catalog,
            lanes=lanes,
            validators=validators,
            endpoints=OneEndpoint,
            dependencies=lambda: self.hold_back,
            clock=self.clock,
        )
        submit = SubmitService(log=log, dispatch=dispatch, claim_check=claim_check, clock=self.clock)
        read = ReadService(log=log, clock=self.clock, past=past)
        listing = ListService(views=self.read_model, log=log, past=past)
        cancel = CancelService(logs=logs, schedules=self.schedules, clock=self.clock)
        tasks = TaskRoutes(
            submissions=submissions,
            limits=self.limits,
            submit=submit,
            read=read,
            listing=listing,
            views=views,
            clock=self.clock,
        )
        workflows = WorkflowRoutes(
            requests=RunRequests(
                workflows=WORKFLOWS, lanes=lanes, validators=validators, endpoints=OneEndpoint, clock=self.clock
            ),
            limits=self.limits,
            runs=RunService(submit=submit, default_lane="standard"),
            read=read,
            reader=RunReader(views=self.read_model, listing=listing, executions=self.executions, workflows=WORKFLOWS),
            story=RunStory(self.read_model, listing),
            cancel=cancel,
            tasks=views,
            clock=self.clock,
        )
        batches = BatchRoutes(submissions=submissions, limits=self.limits, submit=submit, views=views)
        redrive = RedriveService(
            logs=logs,
            dispatch=dispatch,
            claim_check=claim_check,
            catalog=runnable,
            lanes=LANES,
            clock=self.clock,
        )
        signals = SignalService(logs=logs, dispatch=dispatch, lanes=LANES, clock=self.clock)
        decisions = DecisionRoutes(
            Decisions(
                key=SigningKey(self.secrets, "decisions", self.clock),
                logs=logs,
                signals=signals,
                endpoints=self.endpoints,
                clock=self.clock,
            )
        )
        operations = TaskOperations(
            cancel=cancel,
            redrive=redrive,
            signals=signals,
            catalog=runnable,
            validators=validators,
            views=views,
        )
        dead_letters = DeadLetterRoutes(
            dead_letters=DeadLetterService(read_model=self.read_model, redrive=redrive, clock=self.clock),
            redrive=redrive,
            catalog=runnable,
            validators=validators,
            download_link=_link,
            clock=self.clock,
        )
        return Router(
            [
                Route("POST", "/v1/tasks", "tasks:write", tasks.submit),
                Route("GET", "/v1/tasks", "tasks:read", tasks.list),
                Route("GET", "/v1/tasks/{task_id}", "tasks:read", tasks.get),
                Route("GET", "/v1/tasks/{task_id}/events", "tasks:read", tasks.events),
                Route("POST", "/v1/task-batches", "tasks:write", batches.submit),
                Route("POST", "/v1/tasks/{task_id}/cancel", "tasks:write", operations.cancel),
                Route("POST", "/v1/tasks/{task_id}/redrive", "tasks:write", operations.redrive),
                Route("POST", "/v1/tasks/{task_id}/signal", "tasks:write", operations.signal),
                Route("GET", "/v1/decisions/{token}", None, decisions.show),
                Route("POST", "/v1/decisions/{token}", None, decisions.decide),
                Route("GET", "/v1/workflows", "tasks:read", workflows.list),
                Route("POST", "/v1/workflows/{name}", "tasks:write", workflows.start),
                Route("GET", "/v1/workflows/{run_id}", "tasks:read", workflows.get),
                Route("GET", "/v1/workflows/{run_id}/tasks", "tasks:read", workflows.tasks),
                Route("GET", "/v1/workflows/{run_id}/events", "tasks:read", workflows.events),
                Route("POST", "/v1/workflows/{run_id}/cancel", "tasks:write", workflows.cancel),
                Route("GET", "/v1/dead-letters", "operate", dead_letters.list),
                Route("GET", "/v1/dead-letters/groups", "operate", dead_letters.groups),
                Route("POST", "/v1/dead-letters/redrive", "operate", dead_letters.redrive),
                Route("GET", "/v1/agents", "operate", AgentRoutes(self.catalog, lanes, MemoryPauses()).list),
                Route("GET", "/healthz", None, alive),
            ]
        )

    def send(self, event: dict[str, Any], *, seconds: float = 28.0) -> Answer:
        request = Request.from_event(event, ends_ms=self.clock.now_ms() + int(seconds * 1000))
        response = asyncio.run(self.application.answer(request))
        return Answer.of(response.to_gateway(with_body=request.method != "HEAD"))

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Call as a key with every scope, unless an `authorizer` is given."""
        options.setdefault("authorizer", identity())
        return self.send(http_event(method, path, body, **options))

    def submit(self, body: dict[str, Any] | None = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "/v1/tasks", body or {"agent": "echo", "input": {"value": 1}}, headers=sent)

    def append(self, task_id: str, kind: Kind, body: dict[str, Any], attempt: int = 1) -> None:
        """Let a worker write the next event of a task."""
        log = self.memory.logs[task_id]
        head = log[max(log)]
        event = chain(
            task_id=task_id,
            seq=head.seq + 1,
            kind=kind,
            at_ms=self.clock.now_ms(),
            actor="worker:w/1",
            attempt=attempt,
            body=body,
            prev_hash=head.hash,
        )
        log[event.seq] = event

    def finish(self, task_id: str, output: Any = None) -> None:
        """Let a worker run a task to its end."""
        self.append(task_id, Kind.STARTED, {"lease_until_ms": self.clock.now_ms() + 60_000})
        usage = {"duration_ms": 12, "billed_ms": 3}
        self.append(task_id, Kind.SUCCEEDED, {"output": {"inline": output}, "usage": usage})

    def wait(self, task_id: str, name: str = "decision", **body: Any) -> int:
        """Let a worker run a task until it waits; the number of the event that says so."""
        self.append(task_id, Kind.STARTED, {"lease_until_ms": self.clock.now_ms() + 60_000})
        self.append(task_id, Kind.WAITING, {"for": name, **body})
        return max(self.memory.logs[task_id])

    def events(self, task_id: str) -> list[Event]:
        return [event for _, event in sorted(self.memory.logs[task_id].items())]

    def project(self) -> None:
        """Let the read model follow the log."""

        async def follow() -> None:
            for log in self.memory.logs.values():
                await self.read_model.put(entry_of_log([event for _, event in sorted(log.items())]))

        asyncio.run(follow())

    def kill(self, task_id: str, message: str = "it broke", code: str = "broken") -> None:
        """Let a worker give a task up."""
        self.append(task_id, Kind.STARTED, {"lease_until_ms": self.clock.now_ms() + 60_000})
        error = {"code": code, "message": message, "retryable": False}
        self.append(task_id, Kind.DEAD_LETTERED, {"cause": "permanent", "error": error})

    def messages(self, task_id: str) -> list[TaskMessage]:
        """What was sent of a task to its lane, in order."""
        return [message for message in self.lanes.sent.values() if message.task_id == task_id]


def submit_limits(
    limits_set: MemoryLimitSettings,
    buckets: MemoryBuckets,
    declared: dict[str, Limit],
    clock: ManualClock,
) -> SubmitLimits:
    """The limits on submits as one process of the API keeps to them."""
    board = LimitBoard(limits_set, clock)
    limiter = Limiter(
        buckets, clock, random.Random(1), board=board, leasing=NO_PLACES, skew_ms=0, elapsed_ms=clock.now_ms
    )
    return SubmitLimits(board, lambda: limiter, declared)


def _link(key: str) -> str:
    return f"https://link.example/{len(key)}"

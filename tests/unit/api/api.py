"""The API over ports in memory, and agents for it to accept tasks of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.events import Event, Kind, chain
from flotilla.ports import EventLog, PayloadStore
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.read import ReadService
from flotilla.services.submit import SubmitService
from functions.api.agents import AgentRoutes
from functions.api.application import Application
from functions.api.gateway import Request
from functions.api.health import alive
from functions.api.routing import Route, Router
from functions.api.task_view import TaskViews
from functions.api.tasks import Lanes, TaskRoutes
from tests.fakes import ManualClock, MemoryEventLog, MemoryLanes, MemoryPayloadStore
from tests.gateway_events import Answer, http_event, identity

INLINE_BYTES = 1000

ANYTHING: dict[str, Any] = {}
SLEEP = {
    "type": "object",
    "properties": {"seconds": {"type": "number", "minimum": 0}},
    "required": ["seconds"],
    "additionalProperties": False,
}


def agent(name: str, input_schema: dict[str, Any], *, lane: str | None = None) -> AgentSpec:
    return AgentSpec(
        name=name,
        version="7",
        module="nowhere",
        function="nothing",
        is_async=True,
        lane=lane,
        timeout_seconds=60.0,
        max_attempts=4,
        backoff_base_seconds=1.0,
        backoff_cap_seconds=300.0,
        integrations=("bedrock",),
        cache_ttl_seconds=None,
        input_schema=input_schema,
        output_schema={"type": "object"},
    )


CATALOG = Catalog({spec.name: spec for spec in (agent("echo", ANYTHING), agent("sleep", SLEEP, lane="batch"))})


@dataclass
class Api:
    """An API with everything behind it in memory."""

    clock: ManualClock = field(default_factory=ManualClock)
    memory: MemoryEventLog = field(default_factory=MemoryEventLog)
    lanes: MemoryLanes = field(default_factory=MemoryLanes)
    log: EventLog | None = None
    payloads: PayloadStore = field(default_factory=MemoryPayloadStore)

    def __post_init__(self) -> None:
        self.application = Application(self._router, self.clock)

    def _router(self) -> Router:
        log = self.log or self.memory
        claim_check = ClaimCheck(self.payloads, INLINE_BYTES)
        lanes = Lanes(("critical", "standard", "batch"), "standard")
        tasks = TaskRoutes(
            submit=SubmitService(log=log, lanes=self.lanes, claim_check=claim_check, clock=self.clock),
            read=ReadService(log=log, clock=self.clock),
            catalog=CATALOG,
            views=TaskViews(claim_check, lambda key: f"https://link.example/{len(key)}"),
            lanes=lanes,
            clock=self.clock,
        )
        return Router(
            [
                Route("POST", "/v1/tasks", "tasks:write", tasks.submit),
                Route("GET", "/v1/tasks/{task_id}", "tasks:read", tasks.get),
                Route("GET", "/v1/tasks/{task_id}/events", "tasks:read", tasks.events),
                Route("GET", "/v1/agents", "operate", AgentRoutes(CATALOG, lanes).list),
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

    def events(self, task_id: str) -> list[Event]:
        return [event for _, event in sorted(self.memory.logs[task_id].items())]

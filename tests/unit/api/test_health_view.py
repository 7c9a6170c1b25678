"""`GET /v1/health`: one look, one verdict, its reasons in words, whatever cannot be learned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from flotilla.coordination import Pause, PauseScope
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.events import Event, Kind, chain
from flotilla.models import LaneCounts, LaneReading, Payload
from flotilla.primitives.canary import CANARY_TENANT, CanaryPlan, canary_key
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.canaries import Canaries
from flotilla.services.circuit_desk import CircuitDesk
from flotilla.services.health import HealthService
from flotilla.services.project import entry_of_log
from flotilla.services.submit import Submission, accepted_event, task_id_for
from functions.api.application import Application
from functions.api.dependencies import Dependencies, Dependency
from functions.api.gateway import Request
from functions.api.health_view import HealthRoutes
from functions.api.routing import Route, Router
from tests.agent_specs import agent_spec
from tests.fakes import ManualClock, MemoryEventLog, run_on_thread
from tests.fakes.circuits import MemoryCircuits, MemoryTransitions
from tests.fakes.lane_status import MemoryLaneMeter, MemoryLaneQueues
from tests.fakes.pauses import MemoryPauses
from tests.fakes.views import MemoryReadModel
from tests.gateway_events import Answer, http_event, identity

LANES: dict[str, int | None] = {"critical": 30, "standard": 300}
PERIOD_SECONDS = 300


def down() -> None:
    raise RetryableError("the table does not answer")


class Down:
    """A store that does not answer, whatever it is asked."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*_args: Any, **_options: Any) -> Any:
            raise StoreUnavailableError(f"no answer to {name}")

        return call


@dataclass
class Looking:
    """The route, over ports in memory."""

    clock: ManualClock = field(default_factory=ManualClock)
    log: Any = field(default_factory=MemoryEventLog)
    queues: Any = field(default_factory=MemoryLaneQueues)
    meter: MemoryLaneMeter = field(default_factory=MemoryLaneMeter)
    pauses: Any = field(default_factory=MemoryPauses)
    circuits: Any = field(default_factory=MemoryCircuits)
    read_model: Any = field(default_factory=MemoryReadModel)
    probes: dict[str, Callable[[], None]] = field(default_factory=lambda: {"events": lambda: None})
    optional: dict[str, Callable[[], None]] = field(default_factory=dict)
    scheduled: bool = True

    def __post_init__(self) -> None:
        self.plan = CanaryPlan(PERIOD_SECONDS, dict.fromkeys(LANES, PERIOD_SECONDS), self.scheduled)
        self.clock.advance(PERIOD_SECONDS - self.clock.now_ms() / 1000 % PERIOD_SECONDS + 100)

    def ask(self) -> Answer:
        dependencies = [
            *(Dependency(name, [probe]) for name, probe in self.probes.items()),
            *(Dependency(name, [probe], needed=False) for name, probe in self.optional.items()),
        ]
        desk = CircuitDesk(self.circuits, {"integration#crm": CircuitPolicy()}, self.clock, MemoryTransitions())
        service = HealthService(
            lanes=LANES,
            queues=self.queues,
            meter=self.meter,
            pauses=self.pauses,
            circuits=desk,
            canaries=Canaries(self.log, self.plan, self.clock),
            plan=self.plan,
            read_model=self.read_model,
            clock=self.clock,
        )
        routes = HealthRoutes(Dependencies(dependencies, run_on_thread, self.clock), service)
        application = Application(lambda: Router([Route("GET", "/v1/health", "operate", routes.show)]), self.clock)
        request = Request.from_event(
            http_event("GET", "/v1/health", authorizer=identity()), ends_ms=self.clock.now_ms() + 28_000
        )
        return Answer.of(asyncio.run(application.answer(request)).to_gateway())

    def health(self) -> dict[str, Any]:
        answer = self.ask()
        assert answer.status == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def canary(self, lane: str, *ends: tuple[Kind, dict[str, Any]], seconds_ago: float = 60) -> str:
        """Let a canary have been accepted, and have come so far a tenth of a second later."""
        at_ms = self.clock.now_ms() - round(seconds_ago * 1000)
        key = canary_key(lane, self.plan.period_of(at_ms))
        task_id = task_id_for(CANARY_TENANT, key)
        submission = Submission(
            tenant=CANARY_TENANT,
            actor="canary",
            request_id="r",
            agent=agent_spec("flotilla.canary"),
            lane=lane,
            input={"value": key},
            request={},
        )
        events: list[Event] = [accepted_event(task_id, Payload(inline={"value": key}), submission, at_ms)]
        for kind, body in ends:
            events.append(
                chain(
                    task_id=task_id,
                    seq=len(events),
                    kind=kind,
                    at_ms=at_ms + 100,
                    actor="w",
                    attempt=1,
                    body=body if kind is not Kind.SUCCEEDED else {"output": {"inline": {"value": key}}, "usage": {}},
                    prev_hash=events[-1].hash,
                )
            )
        self.log.logs[task_id] = {event.seq: event for event in events}
        return task_id

    def canaries_succeed(self) -> None:
        for lane in LANES:
            self.canary(lane, *SUCCEEDED)
        self.project()

    def project(self) -> None:
        async def follow() -> None:
            for log in self.log.logs.values():
                await self.read_model.put(entry_of_log([event for _, event in sorted(log.items())]))

        asyncio.run(follow())


STARTED = (Kind.STARTED, {"lease_until_ms": 1})
SUCCEEDED = (STARTED, (Kind.SUCCEEDED, {}))
DEAD = (STARTED, (Kind.DEAD_LETTERED, {"error": {"code": "x", "message": "it broke", "retryable": False}}))


@pytest.fixture
def looking() -> Looking:
    return Looking()


def test_a_fleet_in_which_all_is_well_is_healthy_and_says_what_was_looked_at(looking: Looking) -> None:
    looking.canaries_succeed()
    health = looking.health()
    assert (health["status"], health["reasons"], health["circuits"]) == ("healthy", [], [])
    (dependency,) = health["dependencies"]
    assert (dependency["name"], dependency["status"], dependency["needed"]) == ("events", "ok", True)
    assert dependency["since"] == dependency["checked_at"]
    lane = health["lanes"][0]
    assert (lane["name"], lane["state"], lane["depth"], lane["objective_seconds"]) == ("critical", "active", 0, 30)
    assert (lane["canary"]["status"], lane["canary"]["latency_ms"]) == ("succeeded", 100)
    assert health["read_model"]["status"] == "ok"


def test_a_needed_dependency_that_is_down_makes_it_unhealthy_and_another_one_degraded() -> None:
    looking = Looking(optional={"archive": down})
    looking.canaries_succeed()
    health = looking.health()
    assert (health["status"], health["reasons"]) == ("degraded", ["archive does not answer"])
    looking.probes["control"] = down
    health = looking.health()
    assert (health["status"], health["reasons"]) == (
        "unhealthy",
        ["control does not answer", "archive does not answer"],
    )


@pytest.mark.parametrize(
    ("scope", "name", "said"),
    [
        (PauseScope.FLEET, "", "lane critical starts nothing: the fleet was paused by key:op: fire"),
        (PauseScope.LANE, "critical", "lane critical starts nothing: lane critical was paused by key:op: fire"),
    ],
)
def test_what_is_paused_is_named_with_who_did_it_and_why(
    looking: Looking, scope: PauseScope, name: str, said: str
) -> None:
    looking.canaries_succeed()
    asyncio.run(looking.pauses.put(Pause(scope, name, "fire", "key:op", 0)))
    health = looking.health()
    assert health["status"] == "degraded"
    assert said in health["reasons"]
    assert health["lanes"][0]["state"] == "paused"


def test_a_lane_whose_oldest_task_waits_for_longer_than_it_should_is_late(looking: Looking) -> None:
    looking.canaries_succeed()
    looking.queues.lanes["critical"] = LaneCounts(500, 20, 0)
    looking.meter.readings["critical"] = LaneReading(oldest_seconds=31)
    health = looking.health()
    assert health["status"] == "degraded"
    assert health["reasons"] == ["lane critical is late: its oldest task waits for 31 s, the objective is 30 s"]
    looking.queues.lanes["critical"] = LaneCounts(0, 0, 0)  # the metric is minutes old
    assert looking.health()["status"] == "healthy"


def test_a_circuit_that_is_not_closed_or_that_somebody_holds_is_named(looking: Looking) -> None:
    looking.canaries_succeed()
    opened = CircuitRecord(version=1, state=CircuitState.OPEN, until_ms=2**50, opened_at_ms=1, reason="failure rate")
    looking.circuits.records["integration#crm"] = opened
    health = looking.health()
    assert (health["status"], [each["name"] for each in health["circuits"]]) == ("degraded", ["integration#crm"])
    assert health["reasons"] == ["circuit integration#crm is open: failure rate"]
    held = replace(opened, state=CircuitState.CLOSED, mode=CircuitMode.CLOSED, reason="", by="key:op")
    looking.circuits.records["integration#crm"] = held
    assert looking.health()["reasons"] == ["circuit integration#crm is closed, held so by key:op"]


def test_a_canary_that_failed_makes_it_unhealthy_and_is_named(looking: Looking) -> None:
    looking.canaries_succeed()
    dead = looking.canary("standard", *DEAD)
    health = looking.health()
    assert health["status"] == "unhealthy"
    assert health["reasons"] == [f"the last canary of lane standard failed (dead lettered): {dead}"]


def test_where_canaries_should_be_and_none_is_that_is_said_and_elsewhere_it_is_not() -> None:
    assert Looking().health()["reasons"] == [f"no canary was seen on lane {lane} lately" for lane in LANES]
    assert Looking(scheduled=False).health()["status"] == "healthy"


def test_a_canary_under_way_is_no_trouble(looking: Looking) -> None:
    for lane in LANES:
        looking.canary(lane)
    health = looking.health()
    assert (health["status"], health["read_model"]["status"]) == ("healthy", "unknown")
    assert health["lanes"][0]["canary"]["status"] == "pending"


def test_a_read_model_that_misses_what_ended_a_minute_ago_is_behind(looking: Looking) -> None:
    for lane in LANES:
        looking.canary(lane, *SUCCEEDED, seconds_ago=30)
    assert looking.health()["read_model"]["status"] == "unknown"
    looking.clock.advance(60)
    health = looking.health()
    assert (health["status"], health["read_model"]["status"]) == ("degraded", "behind")
    looking.project()
    assert looking.health()["read_model"]["status"] == "ok"


@pytest.mark.parametrize("port", ["log", "queues", "pauses", "circuits", "read_model"])
def test_whatever_does_not_answer_is_unknown_and_takes_nothing_else_with_it(looking: Looking, port: str) -> None:
    looking.canaries_succeed()
    setattr(looking, port, Down())
    health = looking.health()
    assert health["status"] == "degraded"
    assert any("not known, a store did not answer" in reason for reason in health["reasons"])
    assert [lane["name"] for lane in health["lanes"]] == list(LANES)

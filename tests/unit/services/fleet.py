"""A worker and its surroundings in memory, and agents to run on it."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flotilla.agents.catalog import Catalog
from flotilla.agents.decorator import definition_of
from flotilla.agents.loader import AgentLoader
from flotilla.coordination import Pause, PauseScope
from flotilla.events import TaskState, fold
from flotilla.models import Delivery, TaskMessage
from flotilla.ports import EventLog
from flotilla.primitives.ladder import Ladder
from flotilla.services.attempt_tools import AttemptTools, Invocation
from flotilla.services.batch import BatchResult, BatchService
from flotilla.services.bridge import Bridge
from flotilla.services.callbacks import Callbacks
from flotilla.services.children import DeployedLanes
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch
from flotilla.services.gate import Gate
from flotilla.services.pause_board import PauseBoard
from flotilla.services.single_flight import SingleFlight
from flotilla.services.submit import Accepted, Submission, SubmitService
from flotilla.workflow_ports import TaskTokens
from tests.fakes import (
    ManualClock,
    MemoryEventLog,
    MemoryLanes,
    MemoryPayloadStore,
    MemoryReceipts,
    MemoryWatchdog,
    run_on_thread,
)
from tests.fakes.assembly import TIERS_SECONDS
from tests.fakes.delays import MemoryDelays
from tests.fakes.flights import MemoryFlights
from tests.fakes.metrics import MemoryMetrics
from tests.fakes.pauses import MemoryPauses
from tests.fakes.schedules import MemorySchedules
from tests.fakes.session_turns import MemorySessionTurns
from tests.fakes.workflows import MemoryTaskTokens
from tests.unit.services.crashes import Calls

FUNCTION_SECONDS = 120
LANES = ("critical", "standard", "batch")


@dataclass
class Fleet:
    """Everything a task meets, on one clock."""

    agents: list[Callable[..., Any]]
    clock: ManualClock = field(default_factory=ManualClock)
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    lanes: MemoryLanes = field(default_factory=MemoryLanes)
    delays: MemoryDelays = field(default_factory=MemoryDelays)
    schedules: MemorySchedules = field(default_factory=MemorySchedules)
    pauses: MemoryPauses = field(default_factory=MemoryPauses)
    flights: MemoryFlights = field(default_factory=MemoryFlights)
    turns: MemorySessionTurns = field(default_factory=MemorySessionTurns)
    payloads: MemoryPayloadStore = field(default_factory=MemoryPayloadStore)
    receipts: MemoryReceipts = field(default_factory=MemoryReceipts)
    watchdog: MemoryWatchdog = field(default_factory=MemoryWatchdog)
    tokens: MemoryTaskTokens = field(default_factory=MemoryTaskTokens)
    metrics: MemoryMetrics = field(default_factory=MemoryMetrics)
    invocations: int = 0
    requests: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        definitions = [definition_of(agent) for agent in self.agents]
        self.catalog = Catalog({found.name: found.spec() for found in definitions if found is not None})
        self.claim_check = ClaimCheck(self.payloads, inline_bytes=1000)
        self.ladder = Ladder(TIERS_SECONDS)
        self.dispatch = self._dispatch(_as_it_is)
        self.submits = self.submitting()
        self.tools = self.process()

    def submitting(self, calls: Calls | None = None) -> SubmitService:
        """What the API's process holds."""
        through = calls.through if calls is not None else _as_it_is
        return SubmitService(
            log=through(self.log),
            dispatch=self._dispatch(through),
            claim_check=ClaimCheck(through(self.payloads), inline_bytes=1000),
            clock=self.clock,
        )

    def _dispatch(self, through: Callable[[Any], Any]) -> Dispatch:
        return Dispatch(
            lanes=through(self.lanes),
            delays=through(self.delays),
            schedules=through(self.schedules),
            ladder=self.ladder,
            clock=self.clock,
        )

    def process(self, calls: Calls | None = None) -> AttemptTools:
        """What a worker's process holds: what it knows of the world is its own."""
        through = calls.through if calls is not None else _as_it_is
        chance = random.Random(7)
        log: EventLog = through(self.log)
        claim_check = ClaimCheck(through(self.payloads), inline_bytes=1000)
        # A worker makes no schedules.
        dispatch = Dispatch(
            lanes=through(self.lanes),
            delays=through(self.delays),
            schedules=None,
            ladder=self.ladder,
            clock=self.clock,
        )
        tokens = through(self.tokens)
        return AttemptTools(
            log=log,
            receipts=through(self.receipts),
            dispatch=dispatch,
            gate=Gate(
                pauses=PauseBoard(through(self.pauses), self.clock),
                flights=SingleFlight(through(self.flights), log, claim_check, self.clock, chance),
                clock=self.clock,
                random=chance,
            ),
            turns=through(self.turns),
            claim_check=claim_check,
            catalog=self.catalog,
            loader=AgentLoader(),
            clock=self.clock,
            run_agent=run_on_thread,
            watchdog=self.watchdog,
            random=chance,
            lanes=DeployedLanes(LANES, "standard"),
            bridge=self.bridge(log, tokens, dispatch, "standard", claim_check),
            callbacks=Callbacks(tokens, claim_check, self.metrics),
            files=through(self.payloads),
        )

    def bridge(
        self, log: EventLog, tokens: TaskTokens, dispatch: Dispatch, lane: str, claim_check: ClaimCheck | None = None
    ) -> Bridge:
        """What makes tasks of the orders on a lane."""
        claim_check = claim_check or self.claim_check
        return Bridge(
            log=log,
            claim_check=claim_check,
            dispatch=dispatch,
            callbacks=Callbacks(tokens, claim_check, self.metrics),
            clock=self.clock,
            lane=lane,
            lanes=LANES,
        )

    def submission(self, agent: str, value: Any, **options: Any) -> Submission:
        return Submission(
            tenant=options.pop("tenant", "acme"),
            actor="key:test",
            request_id=f"request-{next(self.requests)}",
            agent=self.catalog.get(agent),
            lane="standard",
            input=value,
            request={"agent": agent, "input": value},
            **options,
        )

    async def submit(self, agent: str, value: Any, **options: Any) -> Accepted:
        return await self.submits.submit(self.submission(agent, value, **options))

    async def pause(self, scope: PauseScope = PauseScope.FLEET, name: str = "") -> None:
        await self.pauses.put(Pause(scope, name, "a reason", "key:operator", self.clock.now_ms()))

    def message(self, task_id: str) -> TaskMessage:
        return next(message for message in self.lanes.sent.values() if message.task_id == task_id)

    def delivery(self, task_id: str, receive_count: int = 1) -> Delivery:
        message = self.message(task_id)
        return Delivery(
            message_id=task_id,
            receipt_handle=f"{task_id}/{receive_count}",
            group=message.group,
            receive_count=receive_count,
            body=message.to_body(),
        )

    def invocation(self) -> Invocation:
        self.invocations += 1
        now_ms = self.clock.now_ms()
        return Invocation(f"worker/{self.invocations}", now_ms, now_ms + FUNCTION_SECONDS * 1000)

    async def deliver(self, *deliveries: Delivery, process: AttemptTools | None = None) -> BatchResult:
        return await BatchService(process or self.tools).run(deliveries, self.invocation())

    async def state(self, task_id: str) -> TaskState:
        return fold(await self.log.read(task_id))

    def kinds(self, task_id: str) -> list[str]:
        return [event.kind.value for _, event in sorted(self.log.logs[task_id].items())]


def _as_it_is(port: Any) -> Any:
    return port


def run(work: Any) -> Any:
    """Run a test's coroutine on a loop of its own."""
    return asyncio.run(work)

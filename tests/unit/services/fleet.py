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
from flotilla.events import TaskState, fold
from flotilla.models import Delivery, TaskMessage
from flotilla.services.attempt import AttemptTools, Invocation
from flotilla.services.batch import BatchResult, BatchService
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.submit import Accepted, Submission, SubmitService
from tests.fakes import (
    ManualClock,
    MemoryEventLog,
    MemoryLanes,
    MemoryPayloadStore,
    MemoryReceipts,
    MemoryWatchdog,
    run_on_thread,
)

FUNCTION_SECONDS = 120


@dataclass
class Fleet:
    """Everything a task meets, on one clock."""

    agents: list[Callable[..., Any]]
    clock: ManualClock = field(default_factory=ManualClock)
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    lanes: MemoryLanes = field(default_factory=MemoryLanes)
    payloads: MemoryPayloadStore = field(default_factory=MemoryPayloadStore)
    receipts: MemoryReceipts = field(default_factory=MemoryReceipts)
    watchdog: MemoryWatchdog = field(default_factory=MemoryWatchdog)
    invocations: int = 0
    requests: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        definitions = [definition_of(agent) for agent in self.agents]
        self.catalog = Catalog({found.name: found.spec() for found in definitions if found is not None})
        self.claim_check = ClaimCheck(self.payloads, inline_bytes=1000)
        self.submits = SubmitService(log=self.log, lanes=self.lanes, claim_check=self.claim_check, clock=self.clock)
        self.tools = AttemptTools(
            log=self.log,
            receipts=self.receipts,
            claim_check=self.claim_check,
            catalog=self.catalog,
            loader=AgentLoader(),
            clock=self.clock,
            run_agent=run_on_thread,
            watchdog=self.watchdog,
            random=random.Random(7),
        )

    async def submit(self, agent: str, value: Any, **options: Any) -> Accepted:
        return await self.submits.submit(
            Submission(
                tenant=options.pop("tenant", "acme"),
                actor="key:test",
                request_id=f"request-{next(self.requests)}",
                agent=self.catalog.get(agent),
                lane="standard",
                input=value,
                request={"agent": agent, "input": value},
                **options,
            )
        )

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

    async def deliver(self, *deliveries: Delivery) -> BatchResult:
        return await BatchService(self.tools).run(deliveries, self.invocation())

    async def state(self, task_id: str) -> TaskState:
        return fold(await self.log.read(task_id))

    def kinds(self, task_id: str) -> list[str]:
        return [event.kind.value for _, event in sorted(self.log.logs[task_id].items())]


def run(work: Any) -> Any:
    """Run a test's coroutine on a loop of its own."""
    return asyncio.run(work)

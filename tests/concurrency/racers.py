"""Clients and workers on threads of their own, each with its own event loop, over the AWS adapters."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from flotilla.agents.catalog import Catalog
from flotilla.agents.decorator import definition_of
from flotilla.agents.loader import AgentLoader
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.events import Event
from flotilla.models import Delivery, TaskMessage
from flotilla.services.attempt import AttemptTools, Invocation
from flotilla.services.batch import BatchResult, BatchService
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import message_for
from flotilla.services.submit import Accepted, Submission, SubmitService
from flotilla.sqs.lanes import SqsLanes
from tests.fakes import ManualClock, MemoryLanes, MemoryPayloadStore, MemoryReceipts, MemoryWatchdog
from tests.fakes.assembly import dispatch_to, gate_to
from tests.fakes.session_turns import MemorySessionTurns
from tests.unit.services import sample_agents

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

T = TypeVar("T")

FUNCTION_SECONDS = 120
PATIENCE_SECONDS = 30


async def run_here(function: Callable[..., T], *args: Any) -> T:
    """`RunSync` that blocks: each racer has a loop to itself."""
    return function(*args)


class Racers:
    """A log and a lane in AWS, and any number of clients and workers that race for them."""

    def __init__(self, dynamodb: DynamoDBClient, sqs: SQSClient, table: str, lane: str) -> None:
        self._sqs = sqs
        self._lane = lane
        self._requests = itertools.count()
        self.clock = ManualClock()
        self.log = DynamoEventLog(dynamodb, table, 30, run_here)
        self._claim_check = ClaimCheck(MemoryPayloadStore(), 10_000)
        self._submits = SubmitService(
            log=self.log,
            dispatch=dispatch_to(SqsLanes(sqs, {"standard": lane}, run_here), self.clock),
            claim_check=self._claim_check,
            clock=self.clock,
        )
        definitions = [definition_of(agent) for agent in sample_agents.ALL]
        self._catalog = Catalog({found.name: found.spec() for found in definitions if found is not None})

    def at_once(self, count: int, work: Callable[[int], T]) -> list[T]:
        """`work(0)` to `work(count - 1)`, each on a thread, all starting at the same moment."""
        start = threading.Barrier(count, timeout=PATIENCE_SECONDS)

        def racer(number: int) -> T:
            start.wait()
            return work(number)

        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(racer, range(count)))

    def submit(self, agent: str, value: Any, **options: Any) -> Accepted:
        submission = Submission(
            tenant="acme",
            actor="key:test",
            request_id=f"request-{next(self._requests)}",
            agent=self._catalog.get(agent),
            lane="standard",
            input={"value": value},
            request={"agent": agent, "value": value},
            **options,
        )
        return asyncio.run(self._submits.submit(submission))

    def messages(self) -> list[TaskMessage]:
        """What can be received from the lane, until nothing can."""
        found: list[TaskMessage] = []
        while True:
            answer = self._sqs.receive_message(QueueUrl=self._lane, MaxNumberOfMessages=10)
            if "Messages" not in answer:
                return found
            found += [TaskMessage.from_body(message["Body"]) for message in answer["Messages"]]

    def delivery(self, accepted: Accepted, receive_count: int = 1) -> Delivery:
        message = message_for(accepted.state)
        return Delivery(f"m-{receive_count}", f"r-{receive_count}", message.group, receive_count, message.to_body())

    def work(self, worker: str, delivery: Delivery) -> BatchResult:
        """What a worker, a process of its own, does with one message."""
        tools = AttemptTools(
            log=self.log,
            receipts=MemoryReceipts(),
            dispatch=dispatch_to(MemoryLanes(), self.clock),
            gate=gate_to(self.log, self._claim_check, self.clock),
            turns=MemorySessionTurns(),
            claim_check=self._claim_check,
            catalog=self._catalog,
            loader=AgentLoader(),
            clock=self.clock,
            run_agent=run_here,
            watchdog=MemoryWatchdog(),
            random=random.Random(3),
        )
        now_ms = self.clock.now_ms()
        invocation = Invocation(worker, now_ms, now_ms + FUNCTION_SECONDS * 1000)
        return asyncio.run(BatchService(tools).run([delivery], invocation))

    def events(self, accepted: Accepted) -> list[Event]:
        return asyncio.run(self.log.read(accepted.state.task_id))

    def kinds(self, accepted: Accepted) -> list[str]:
        return [event.kind.value for event in self.events(accepted)]

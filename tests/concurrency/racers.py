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
from flotilla.services.attempt_tools import AttemptTools, Invocation
from flotilla.services.batch import BatchResult, BatchService
from flotilla.services.bridge import Bridge
from flotilla.services.callbacks import Callbacks
from flotilla.services.cancel import CancelService
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch, message_for
from flotilla.services.open_logs import OpenLogs
from flotilla.services.signal import AlreadySignalledError, NotWaitingError, Signal, SignalService
from flotilla.services.submit import Accepted, Submission, SubmitService
from flotilla.sqs.lanes import SqsLanes
from tests.fakes import ManualClock, MemoryLanes, MemoryPayloadStore, MemoryReceipts, MemoryWatchdog
from tests.fakes.assembly import dispatch_to, gate_to
from tests.fakes.metrics import MemoryMetrics
from tests.fakes.session_turns import MemorySessionTurns
from tests.fakes.workflows import MemoryTaskTokens
from tests.unit.services import sample_agents, waiting_agents

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
        self.tokens = MemoryTaskTokens()
        self._claim_check = ClaimCheck(MemoryPayloadStore(), 10_000)
        self._submits = SubmitService(
            log=self.log,
            dispatch=self._dispatch(),
            claim_check=self._claim_check,
            clock=self.clock,
        )
        definitions = [definition_of(agent) for agent in (*sample_agents.ALL, waiting_agents.patient)]
        self._catalog = Catalog({found.name: found.spec() for found in definitions if found is not None})

    def at_once(self, count: int, work: Callable[[int], T]) -> list[T]:
        """`work(0)` to `work(count - 1)`, each on a thread, all starting at the same moment."""
        start = threading.Barrier(count, timeout=PATIENCE_SECONDS)

        def racer(number: int) -> T:
            start.wait()
            return work(number)

        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(racer, range(count)))

    def submit(self, agent: str, value: Any, *, seconds: float | None = None, **options: Any) -> Accepted:
        members = {"value": value} | ({} if seconds is None else {"seconds": seconds})
        submission = Submission(
            tenant="acme",
            actor="key:test",
            request_id=f"request-{next(self._requests)}",
            agent=self._catalog.get(agent),
            lane="standard",
            input=members,
            request={"agent": agent, **members},
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

    def signal(self, task_id: str, payload: Any, number: int) -> bool | None:
        """Signal a task, as a process of the API does; whether this call did, None where it was refused."""
        service = SignalService(logs=self._logs(), dispatch=self._dispatch(), lanes=("standard",), clock=self.clock)
        try:
            signal = Signal("decision", payload, f"key:{number}", f"signal-{number}")
            done = asyncio.run(service.signal(task_id, signal, tenant="acme"))
        except (NotWaitingError, AlreadySignalledError):
            return None
        return done is not None and done.changed

    def cancel(self, task_id: str, number: int) -> bool:
        """Cancel a task; whether this call did."""
        service = CancelService(logs=self._logs(), schedules=None, clock=self.clock)
        done = asyncio.run(service.cancel("acme", task_id, actor="key:c", request_id=f"cancel-{number}"))
        return done is not None and done.changed

    def _logs(self) -> OpenLogs:
        return OpenLogs(log=self.log, past=None, clock=self.clock, retention_days=30)

    def _dispatch(self) -> Dispatch:
        return dispatch_to(SqsLanes(self._sqs, {"standard": self._lane}, run_here), self.clock)

    def delivery(self, accepted: Accepted, receive_count: int = 1) -> Delivery:
        message = message_for(accepted.state)
        return Delivery(f"m-{receive_count}", f"r-{receive_count}", message.group, receive_count, message.to_body())

    def work(self, worker: str, delivery: Delivery) -> BatchResult:
        """What a worker, a process of its own, does with one message."""
        dispatch = dispatch_to(MemoryLanes(), self.clock)
        callbacks = Callbacks(self.tokens, self._claim_check, MemoryMetrics())
        tools = AttemptTools(
            log=self.log,
            receipts=MemoryReceipts(),
            dispatch=dispatch,
            gate=gate_to(self.log, self._claim_check, self.clock),
            turns=MemorySessionTurns(),
            claim_check=self._claim_check,
            catalog=self._catalog,
            loader=AgentLoader(),
            clock=self.clock,
            run_agent=run_here,
            watchdog=MemoryWatchdog(),
            random=random.Random(3),
            bridge=Bridge(
                log=self.log,
                claim_check=self._claim_check,
                dispatch=dispatch,
                callbacks=callbacks,
                clock=self.clock,
                lane="standard",
                lanes=("standard",),
            ),
            callbacks=callbacks,
        )
        now_ms = self.clock.now_ms()
        invocation = Invocation(worker, now_ms, now_ms + FUNCTION_SECONDS * 1000)
        return asyncio.run(BatchService(tools).run([delivery], invocation))

    def events(self, accepted: Accepted) -> list[Event]:
        return asyncio.run(self.log.read(accepted.state.task_id))

    def kinds(self, accepted: Accepted) -> list[str]:
        return [event.kind.value for event in self.events(accepted)]

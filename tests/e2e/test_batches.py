"""What one invocation of a deployed worker does with a whole batch."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from flotilla.agents.catalog import AgentSpec
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.models import TaskMessage
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.submit import Submission, SubmitService
from tests.e2e.engine import Engine
from tests.fakes import MemoryLanes, MemoryPayloadStore, run_on_thread
from tests.fakes.assembly import dispatch_to
from tests.unit.services.fleet import run

SLEEP = AgentSpec.from_json(
    {
        "name": "diagnostics.sleep",
        "version": "1",
        "module": "",
        "function": "",
        "is_async": True,
        "lane": None,
        "timeout_seconds": 55,
        "max_attempts": 1,
        "backoff_base_seconds": 1,
        "backoff_cap_seconds": 1,
        "integrations": [],
        "cache_ttl_seconds": None,
        "input_schema": {},
        "output_schema": {},
    }
)


def accepted(engine: Engine, count: int, session: str | None = None) -> list[TaskMessage]:
    """Tasks in the log of the deployed fleet whose messages are ours to deliver."""
    lanes = MemoryLanes()
    events_table = engine.info.outputs["EventsTable"]
    service = SubmitService(
        log=DynamoEventLog(engine.client("dynamodb"), events_table, 1, run_on_thread),
        dispatch=dispatch_to(lanes, SystemClock()),
        claim_check=ClaimCheck(MemoryPayloadStore(), inline_bytes=10_000),
        clock=SystemClock(),
    )

    async def submit() -> None:
        for _ in range(count):
            await service.submit(
                Submission(
                    tenant="demo",
                    actor="key:test",
                    request_id=uuid.uuid4().hex,
                    agent=SLEEP,
                    lane="standard",
                    input={"seconds": 1},
                    request={},
                    session=session,
                )
            )

    run(submit())
    return list(lanes.sent.values())


def invoke(engine: Engine, messages: list[TaskMessage]) -> tuple[dict[str, Any], float]:
    """Hand the messages to one invocation; its answer and its duration in seconds."""
    records = [
        {
            "messageId": uuid.uuid4().hex,
            "receiptHandle": "not-from-a-queue",
            "body": message.to_body(),
            "attributes": {"MessageGroupId": message.group, "ApproximateReceiveCount": "1"},
        }
        for message in messages
    ]
    began = time.perf_counter()
    answer = engine.client("lambda").invoke(
        FunctionName=engine.info.outputs["WorkerStandard"], Payload=json.dumps({"Records": records})
    )
    seconds = time.perf_counter() - began
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.load(answer["Payload"]), seconds


def finished(engine: Engine, message: TaskMessage) -> list[dict[str, Any]]:
    log = DynamoEventLog(engine.client("dynamodb"), engine.info.outputs["EventsTable"], 1, run_on_thread)
    return [{"kind": event.kind.value, "at_ms": event.at_ms} for event in run(log.read(message.task_id))]


def test_ten_groups_of_a_batch_run_at_once(engine: Engine) -> None:
    invoke(engine, accepted(engine, 1))  # a warm environment: what is measured is the batch, not the start
    messages = accepted(engine, 10)
    answer, _ = invoke(engine, messages)
    assert answer == {"batchItemFailures": []}
    logs = [finished(engine, message) for message in messages]
    assert all([event["kind"] for event in log] == ["accepted", "started", "succeeded"] for log in logs)
    first_start = min(log[1]["at_ms"] for log in logs)
    last_end = max(log[2]["at_ms"] for log in logs)
    # Ten sleeps of one second: ten seconds one after the other, one at once.
    assert last_end - first_start <= 1500


def test_two_of_one_session_run_one_after_the_other(engine: Engine) -> None:
    messages = accepted(engine, 2, session=uuid.uuid4().hex)
    assert invoke(engine, messages)[0] == {"batchItemFailures": []}
    first, second = (finished(engine, message) for message in messages)
    assert second[1]["at_ms"] >= first[2]["at_ms"]

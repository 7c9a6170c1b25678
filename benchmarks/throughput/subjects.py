"""What is measured: Flotilla's lane and the bare function, behind one interface."""

from __future__ import annotations

import asyncio
import io
import json
import time
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import boto3
import httpx
from botocore.config import Config

from flotilla.agents.catalog import Catalog
from flotilla.clock import SystemClock
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.events import Kind
from flotilla.runtime.threads import ThreadRunner
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.submit import Submission, SubmitService
from flotilla.sqs.lanes import SqsLanes
from local.instance import ACCOUNT, LocalInfo
from tests.fakes import MemoryPayloadStore
from tests.fakes.assembly import dispatch_to

LANE = "standard"
_AGENT = "diagnostics.echo"


def now_ms() -> int:
    """The clock that all of the machine's processes share."""
    return SystemClock().now_ms()


def client(info: LocalInfo, service: str) -> Any:
    """An AWS client for the engine."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=info.engine_url,
        region_name=info.region,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="none",
        config=Config(max_pool_connections=32, read_timeout=120),
    )


class Subject(Protocol):
    """Something that takes tasks and leaves results."""

    name: str
    queue_url: str

    def fill(self, count: int) -> list[str]:
        """Put `count` no-op tasks on the queue; returns their ids."""
        ...

    def submit(self) -> str:
        """Submit one task; returns its id once it is accepted."""
        ...

    def ends(self, task_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """When work on each task began (as far as is known) and when its result was stored, in epoch ms."""
        ...


class Flotilla:
    """A lane of the deployed fleet, its tasks submitted by the library or over HTTP."""

    def __init__(self, info: LocalInfo, *, over_http: bool) -> None:
        self.name = "Flotilla, over the HTTP API" if over_http else "Flotilla"
        self.queue_url = info.outputs[f"LaneQueue{LANE.capitalize()}"]
        self._info = info
        self._over_http = over_http
        self._threads = ThreadRunner("bench", 8)
        self._log = DynamoEventLog(client(info, "dynamodb"), info.outputs["EventsTable"], 1, self._threads)
        self._submits = SubmitService(
            log=self._log,
            dispatch=dispatch_to(SqsLanes(client(info, "sqs"), {LANE: self.queue_url}, self._threads), SystemClock()),
            claim_check=ClaimCheck(MemoryPayloadStore(), inline_bytes=10_000),
            clock=SystemClock(),
        )
        self._http = httpx.Client(
            base_url=info.api_url, headers={"Authorization": f"Bearer {info.tenant_key}"}, timeout=60
        )
        self._agent = _echo_agent(info)

    def fill(self, count: int) -> list[str]:
        """See `Subject.fill`."""

        async def submit_all() -> list[str]:
            gate = asyncio.Semaphore(8)

            async def submit() -> str:
                async with gate:
                    return await self._submit()

            return list(await asyncio.gather(*(submit() for _ in range(count))))

        return asyncio.run(submit_all())

    def submit(self) -> str:
        """See `Subject.submit`."""
        if not self._over_http:
            return asyncio.run(self._submit())
        answer = self._http.post("/v1/tasks", json={"agent": _AGENT, "input": {"value": 1}, "lane": LANE})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def ends(self, task_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """See `Subject.ends`."""

        async def read(task_id: str) -> tuple[str, tuple[int, int]]:
            at = {event.kind: event.at_ms for event in await self._log.read(task_id)}
            return task_id, (at[Kind.STARTED], at[Kind.SUCCEEDED])

        async def read_all() -> dict[str, tuple[int, int]]:
            return dict(await asyncio.gather(*(read(task_id) for task_id in task_ids)))

        return asyncio.run(read_all())

    async def _submit(self) -> str:
        submission = Submission(
            tenant="demo",
            actor="key:bench",
            request_id=uuid.uuid4().hex,
            agent=self._agent,
            lane=LANE,
            input={"value": 1},
            request={},
        )
        return (await self._submits.submit(submission)).state.task_id


def _echo_agent(info: LocalInfo) -> Any:
    """The agent as the deployed fleet knows it."""
    headers = {"Authorization": f"Bearer {info.operator_key}"}
    items = httpx.get(f"{info.api_url}/v1/agents", headers=headers, timeout=60).json()["items"]
    found = next(item for item in items if item["name"] == _AGENT)
    spec = dict.fromkeys(("module", "function"), "") | {
        "is_async": True,
        "timeout_seconds": 10,
        "max_attempts": 4,
        "backoff_base_seconds": 1,
        "backoff_cap_seconds": 1,
        "cache_ttl_seconds": None,
    }
    return Catalog.from_json(json.dumps({"agents": {_AGENT: spec | found}})).get(_AGENT)


class BareFunction:
    """The bare function on a queue like the lane's, with the lane's concurrency, memory and layer."""

    def __init__(self, info: LocalInfo, *, writes: int) -> None:
        self.name = "bare function" if writes == 1 else f"bare function, {writes} writes a task"
        self._writes = writes
        self._sqs = client(info, "sqs")
        self._dynamodb = client(info, "dynamodb")
        self._table = f"bare-{uuid.uuid4().hex[:8]}"
        self._deploy(info)

    def _deploy(self, info: LocalInfo) -> None:
        self._dynamodb.create_table(
            TableName=self._table,
            KeySchema=[
                {"AttributeName": "task_id", "KeyType": "HASH"},
                {"AttributeName": "seq", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "task_id", "AttributeType": "S"},
                {"AttributeName": "seq", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        attributes = {
            "FifoQueue": "true",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
            "VisibilityTimeout": "360",
        }
        queue = self._sqs.create_queue(QueueName=f"{self._table}.fifo", Attributes=attributes)
        self.queue_url = queue["QueueUrl"]
        functions = client(info, "lambda")
        worker = info.outputs[f"Worker{LANE.capitalize()}"]
        model = functions.get_function_configuration(FunctionName=worker)
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.write(Path(__file__).with_name("bare_function.py"), "bare_function.py")
        functions.create_function(
            FunctionName=self._table,
            Runtime=model["Runtime"],
            Role=model["Role"],
            Handler="bare_function.handler",
            Code={"ZipFile": code.getvalue()},
            Timeout=60,
            MemorySize=model["MemorySize"],
            Layers=[layer["Arn"] for layer in model["Layers"]],
            Environment={"Variables": {"TABLE": self._table, "WRITES": str(self._writes)}},
        )
        reserved = functions.get_function_concurrency(FunctionName=worker)["ReservedConcurrentExecutions"]
        functions.put_function_concurrency(FunctionName=self._table, ReservedConcurrentExecutions=reserved)
        functions.create_event_source_mapping(
            EventSourceArn=f"arn:aws:sqs:{info.region}:{ACCOUNT}:{self._table}.fifo",
            FunctionName=self._table,
            BatchSize=10,
            ScalingConfig={"MaximumConcurrency": reserved},
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )

    def fill(self, count: int) -> list[str]:
        """See `Subject.fill`."""
        task_ids = [uuid.uuid4().hex for _ in range(count)]
        for start in range(0, count, 10):
            entries = [
                {
                    "Id": task_id,
                    "MessageBody": _body(task_id),
                    "MessageGroupId": task_id,
                    "MessageDeduplicationId": task_id,
                }
                for task_id in task_ids[start : start + 10]
            ]
            self._sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
        return task_ids

    def submit(self) -> str:
        """See `Subject.submit`."""
        task_id = uuid.uuid4().hex
        self._sqs.send_message(
            QueueUrl=self.queue_url, MessageBody=_body(task_id), MessageGroupId=task_id, MessageDeduplicationId=task_id
        )
        return task_id

    def ends(self, task_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """See `Subject.ends`. It keeps no record of its start: the first end stands for it."""
        found: dict[str, int] = {}
        for task_id in task_ids:
            key = {"task_id": {"S": task_id}, "seq": {"N": str(self._writes - 1)}}
            item = self._dynamodb.get_item(TableName=self._table, Key=key)["Item"]
            found[task_id] = int(item["at_ms"]["N"])
        return {task_id: (at_ms, at_ms) for task_id, at_ms in found.items()}


def _body(task_id: str) -> str:
    return json.dumps({"task_id": task_id, "value": 1, "padding": "x" * 300})


def wait_until_drained(info: LocalInfo, queue_url: str, *, give_up_seconds: float) -> None:
    """Return when the queue is empty and nothing of it is being worked on.

    Raises:
        TimeoutError: It is not, after `give_up_seconds`.
    """
    sqs = client(info, "sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    end = time.monotonic() + give_up_seconds
    while time.monotonic() < end:
        found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        if not any(int(found[name]) for name in names):
            return
        time.sleep(0.2)
    raise TimeoutError(f"the queue was not drained in {give_up_seconds:.0f} s")

"""A function, a queue and a table of a test's own on the engine, and what the function saw.

The function runs on this machine, so it writes what it does into a file that the test reads.
"""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.engine import Engine

PATIENCE_SECONDS = 60.0
ROLE = "arn:aws:iam::000000000000:role/probe"

CODE = """
import json, os, threading, time

def handler(event, context):
    print("batch of", len(event["Records"]))
    failures = []
    for record in event["Records"]:
        if "body" in record:
            order = json.loads(record["body"])
            identifier, attempt = record["messageId"], int(record["attributes"]["ApproximateReceiveCount"])
            group = record["attributes"].get("MessageGroupId")
        else:
            image = record["dynamodb"]["NewImage"]
            order = json.loads(image["order"]["S"])
            identifier, group = record["dynamodb"]["SequenceNumber"], None
            attempt = sum(line["id"] == order["id"] for line in read(order["log"]) if line["at"] == "start") + 1
        note(order, "start", attempt=attempt, group=group, batch=len(event["Records"]))
        if order.get("work_seconds"):
            threading.Event().wait(order["work_seconds"])
        if attempt <= order.get("deaths", 0):
            os._exit(1)
        if attempt <= order.get("raises", 0):
            raise ValueError(order["id"])
        if attempt <= order.get("failures", 0):
            note(order, "failed")
            failures.append({"itemIdentifier": identifier})
            if "dynamodb" in record:
                break
        else:
            note(order, "end")
    return {"batchItemFailures": failures}

def read(path):
    with open(path) as file:
        return [json.loads(line) for line in file]

def note(order, at, **facts):
    line = {"id": order["id"], "at": at, "time": time.time(), "process": os.getpid(), **facts}
    with open(order["log"], "a") as file:
        file.write(json.dumps(line) + "\\n")
"""


@dataclass
class Probe:
    """A function on the engine that does what its messages say and writes down that it did."""

    engine: Engine
    name: str
    log: Path
    queue_url: str = ""
    table: str = ""
    mapping: str = ""

    @classmethod
    def deploy(cls, engine: Engine, directory: Path, *, timeout_seconds: int = 20) -> Probe:
        name = f"probe-{uuid.uuid4().hex[:8]}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("probe.py", CODE)
        engine.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="probe.handler",
            Role=ROLE,
            Code={"ZipFile": archive.getvalue()},
            Timeout=timeout_seconds,
        )
        log = directory / "probe.jsonl"
        log.touch()
        return cls(engine, name, log)

    def feed_from_queue(
        self,
        *,
        maximum: int = 2,
        reserved: int | None = None,
        batch_size: int = 10,
        visibility_seconds: int = 2,
        fifo: bool = True,
    ) -> None:
        queues, functions = self.engine.client("sqs"), self.engine.client("lambda")
        attributes = {"VisibilityTimeout": str(visibility_seconds)}
        if fifo:
            attributes |= {
                "FifoQueue": "true",
                "DeduplicationScope": "messageGroup",
                "FifoThroughputLimit": "perMessageGroupId",
            }
        name = f"{self.name}.fifo" if fifo else self.name
        self.queue_url = queues.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        if reserved is not None:
            functions.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=reserved)
        self.mapping = functions.create_event_source_mapping(
            FunctionName=self.name,
            EventSourceArn=arn_of(queues, self.queue_url),
            BatchSize=batch_size,
            ScalingConfig={"MaximumConcurrency": maximum},
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )["UUID"]

    def feed_from_table(self, **settings: Any) -> None:
        self.table = self.name
        self.engine.client("dynamodb").create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        described = self.engine.client("dynamodb").describe_table(TableName=self.table)
        self.mapping = self.engine.client("lambda").create_event_source_mapping(
            FunctionName=self.name,
            EventSourceArn=described["Table"]["LatestStreamArn"],
            **{"StartingPosition": "TRIM_HORIZON", "FunctionResponseTypes": ["ReportBatchItemFailures"], **settings},
        )["UUID"]

    def send(self, identifier: str, *, group: str | None = "g", **order: Any) -> None:
        fifo = {} if group is None else {"MessageGroupId": group, "MessageDeduplicationId": uuid.uuid4().hex}
        self.engine.client("sqs").send_message(
            QueueUrl=self.queue_url, MessageBody=self._order(identifier, order), **fifo
        )

    def send_all(self, messages: Iterable[tuple[str, str]], **order: Any) -> None:
        """Sends (id, group) pairs, ten in a call."""
        queues = self.engine.client("sqs")
        entries = [
            {
                "Id": str(number),
                "MessageBody": self._order(identifier, order),
                "MessageGroupId": group,
                "MessageDeduplicationId": uuid.uuid4().hex,
            }
            for number, (identifier, group) in enumerate(messages)
        ]
        for start in range(0, len(entries), 10):
            queues.send_message_batch(QueueUrl=self.queue_url, Entries=entries[start : start + 10])

    def put(self, identifier: str, **order: Any) -> None:
        item = {"id": {"S": identifier}, "order": {"S": self._order(identifier, order)}}
        self.engine.client("dynamodb").put_item(TableName=self.table, Item=item)

    def lines(self, at: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["at"] == at]

    def ids(self, at: str = "end") -> list[str]:
        return [line["id"] for line in self.lines(at)]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition` holds; what is awaited is always something that the engine is to do."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.02)

    def wait_until_empty(self) -> None:
        """Waits until the queue holds nothing, visible or in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        queues = self.engine.client("sqs")

        def empty() -> bool:
            answer = queues.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
            return all(answer["Attributes"][name] == "0" for name in names)

        self.wait_for(empty)

    def most_at_once(self) -> int:
        """How many invocations overlapped, by what was started and not yet ended."""
        ends = {line["id"]: line["time"] for line in self.lines("end")}
        starts = {line["id"]: line["time"] for line in self.lines("start")}
        return max(sum(starts[one] <= moment < ends[one] for one in ends) for moment in starts.values())

    def remove(self) -> None:
        functions = self.engine.client("lambda")
        if self.mapping:
            functions.delete_event_source_mapping(UUID=self.mapping)
        functions.delete_function(FunctionName=self.name)

    def _order(self, identifier: str, order: dict[str, Any]) -> str:
        return json.dumps({"id": identifier, "log": str(self.log), **order})


def arn_of(queues: Any, queue_url: str) -> str:
    answer = queues.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])

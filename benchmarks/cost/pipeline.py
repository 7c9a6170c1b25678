"""Runs tasks through a fleet's own functions, in this process, and counts what they cost.

`python -m benchmarks.cost.pipeline REQUEST`: REQUEST is JSON, the count goes to standard output as JSON. In a process
of its own, with the deployed layer on its path and each function's deployed environment, so that what is counted is
what is deployed. The engine's own event sources are stopped meanwhile; what they do is done, and counted, here.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.cost.metering import Meter
from local.clients import client
from local.event_sources.sqs_event import sqs_event
from local.event_sources.stream_event import stream_event, stream_record

_AGENT = "diagnostics.echo"
_LANE = "standard"
_API_BATCH = 100
_LANE_BATCH = 10
_ITEM_OVERHEAD_BYTES = 100
"""Of an item, beside its content, as DynamoDB charges its storage."""

_LOG_LEVEL = "INFO"
"""As on AWS; on the engine it is lower."""


class _Invocation:
    """The part of Lambda's context that the functions look at."""

    function_name = "cost"

    def __init__(self) -> None:
        self.aws_request_id = secrets.token_hex(16)

    def get_remaining_time_in_millis(self) -> int:
        """As much as the gateway leaves."""
        return 28_000


class Pipeline:
    """The functions of a fleet.

    Args:
        request: What `benchmarks.cost` asks for: the engine's URL, a key, outputs, environments by function.
        meter: Counts.
    """

    def __init__(self, request: dict[str, Any], meter: Meter) -> None:
        self._request = request
        self._meter = meter
        self._engine_url = request["engine_url"]
        self._queues = client("sqs", self._engine_url)
        self._queue_url = request["outputs"][f"LaneQueue{_LANE.capitalize()}"]
        attributes = self._queues.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])
        self._queue_arn = attributes["Attributes"]["QueueArn"]
        self._followed = 0
        self._timing: dict[str, float] = {}

    def run(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function."""
        os.environ.update(self._request["environments"][function], POWERTOOLS_LOG_LEVEL=_LOG_LEVEL)
        package = "worker" if function.startswith("worker") else function
        module = __import__(f"functions.{package}.handler", fromlist=["handler"])
        with self._meter.inside(package):
            return module.handler(event, _Invocation())

    def submit(self, path: str, body: Any) -> Any:
        """One call of the API, as the gateway makes it."""
        event: dict[str, Any] = {
            "version": "2.0",
            "rawPath": path,
            "headers": {
                "content-type": "application/json",
                "authorization": f"Bearer {self._request['key']}",
                "idempotency-key": secrets.token_hex(16),
            },
            "requestContext": {"http": {"method": "POST", "path": path}, "requestId": secrets.token_hex(8)},
            "isBase64Encoded": False,
            "body": json.dumps(body),
        }
        identity = self.run("authorizer", event)["context"]
        event["requestContext"]["authorizer"] = {"lambda": identity}
        answer = self.run("api", event)
        if answer["statusCode"] not in (200, 202):
            raise RuntimeError(answer["body"])
        return json.loads(answer["body"])

    def work_off(self) -> int:
        """Hand one batch of the lane to a worker, as the event source does; how many messages it held."""
        answer = self._queues.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=_LANE_BATCH,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return 0
        self._meter.calls["event source", "sqs", "ReceiveMessage"] += 1
        failed = self.run(f"worker-{_LANE}", sqs_event(messages, queue_arn=self._queue_arn))["batchItemFailures"]
        if failed:
            raise RuntimeError(f"a happy task failed: {failed}")
        entries = [
            {"Id": str(position), "ReceiptHandle": message["ReceiptHandle"]}
            for position, message in enumerate(messages)
        ]
        self._queues.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)
        self._meter.calls["event source", "sqs", "DeleteMessageBatch"] += 1
        return len(messages)

    def follow(self) -> None:
        """Hand what is new in the stream to the projector, window by window, as the event source does."""
        records = self._records()
        self._timing = _timing(records[self._followed :])
        self._meter.stored_bytes += sum(_item_bytes(record) for record in records[self._followed :])
        for window in _windows(records[self._followed :], **self._request["stream_batches"]):
            failed = self.run("projector", stream_event(window))["batchItemFailures"]
            if failed:
                raise RuntimeError(f"the projector failed: {failed}")
        self._followed = len(records)

    def to_json(self) -> dict[str, Any]:
        """What was counted, and how long the tasks took that were followed last."""
        invocations = self._meter.invocations["worker"]
        control = sum(units for (_, table), units in self._meter.read_units.items() if table.endswith("-control"))
        return {
            **self._meter.to_json(),
            **self._timing,
            "payload_bytes": self._request["input_characters"],
            "read_units_of_an_invocation": control / invocations,
        }

    def _records(self) -> list[dict[str, Any]]:
        streams = client("dynamodbstreams", self._engine_url)
        table = self._request["outputs"]["EventsTable"]
        arn = streams.list_streams(TableName=table)["Streams"][0]["StreamArn"]
        records: list[dict[str, Any]] = []
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            iterator: str | None = streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while iterator:
                page = streams.get_records(ShardIterator=iterator, Limit=1000)
                records += [stream_record(record, stream_arn=arn) for record in page["Records"]]
                iterator = page.get("NextShardIterator") if page["Records"] else None
        return records


def _timing(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds from a task's first event to its last, on average, and from the first of all to the last of all."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for record in records:
        image = record["dynamodb"]["NewImage"]
        task_id, at_ms = image["task_id"]["S"], int(image["at_ms"]["N"])
        first.setdefault(task_id, at_ms)
        last[task_id] = at_ms
    spans = [last[task_id] - first[task_id] for task_id in first]
    elapsed_ms = max(last.values()) - min(first.values())
    return {"span_seconds": sum(spans) / len(spans) / 1000, "elapsed_seconds": elapsed_ms / 1000}


def _item_bytes(record: dict[str, Any]) -> int:
    """What an event takes in the table, by DynamoDB's rule for strings and, roughly, for numbers."""
    image = record["dynamodb"]["NewImage"]
    return _ITEM_OVERHEAD_BYTES + sum(
        len(name) + sum(len(str(content)) for content in value.values()) for name, value in image.items()
    )


def _windows(records: Sequence[dict[str, Any]], *, window_ms: int, most: int) -> Iterator[list[dict[str, Any]]]:
    """The batches that an event source with a window makes of the records, by when each event was written."""
    window: list[dict[str, Any]] = []
    ends_ms = 0
    for record in records:
        at_ms = int(record["dynamodb"]["NewImage"]["at_ms"]["N"])
        if window and (at_ms >= ends_ms or len(window) == most):
            yield window
            window = []
        if not window:
            ends_ms = at_ms + window_ms
        window.append(record)
    if window:
        yield window


def main(arguments: Sequence[str]) -> None:
    """Run what was asked for."""
    request = json.loads(arguments[0])
    out = sys.stdout
    meter = Meter()
    pipeline = Pipeline(request, meter)
    body = {"agent": _AGENT, "input": {"value": "x" * request["input_characters"]}, "lane": _LANE}
    meter.attach()
    # Once before it counts: what is made or cached once in a process is no part of a task.
    pipeline.submit("/v1/tasks", body)
    pipeline.work_off()
    pipeline.follow()
    meter.forget()
    left = request["tasks"]
    while left:
        count = min(_API_BATCH if request["batched"] else _LANE_BATCH, left)
        if request["batched"]:
            pipeline.submit("/v1/task-batches", {"tasks": [body] * count})
        else:
            for _ in range(count):
                pipeline.submit("/v1/tasks", body)
        while pipeline.work_off():
            pass
        left -= count
    pipeline.follow()
    out.write(json.dumps(pipeline.to_json()))


if __name__ == "__main__":
    main(sys.argv[1:])

"""A fleet's tables, queues and bucket on moto, and the process's AWS clients pointed at them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto import mock_aws

from flotilla.runtime import clients

REGION = "us-east-1"
LANES = ("critical", "standard", "batch")


@dataclass
class FleetOnMoto:
    """Names of what a fleet lies in, and the calls made since it was set up or `calls` was cleared."""

    events_table: str = "fleet-events"
    control_table: str = "fleet-control"
    bucket: str = "fleet-payloads"
    queue_urls: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def make_table(self, name: str, partition_key: str, sort_key: str, sort_type: str) -> None:
        clients.dynamodb().create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": partition_key, "KeyType": "HASH"},
                {"AttributeName": sort_key, "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": partition_key, "AttributeType": "S"},
                {"AttributeName": sort_key, "AttributeType": "S" if sort_type == "S" else "N"},
            ],
        )

    def make_queue(self, lane: str) -> None:
        self.queue_urls[lane] = clients.sqs().create_queue(
            QueueName=f"fleet-{lane}.fifo", Attributes={"FifoQueue": "true"}
        )["QueueUrl"]

    def messages(self, lane: str) -> list[dict[str, Any]]:
        """What lies on a lane, taken off it."""
        received = clients.sqs().receive_message(
            QueueUrl=self.queue_urls[lane], MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        found: list[dict[str, Any]] = [dict(message) for message in received.get("Messages", [])]
        for message in found:
            clients.sqs().delete_message(QueueUrl=self.queue_urls[lane], ReceiptHandle=message["ReceiptHandle"])
        return found

    def _count(self, model: Any, **_: Any) -> None:
        self.calls.append(model.name)

    def set_up(self) -> None:
        self.make_table(self.events_table, "task_id", "seq", "N")
        self.make_table(self.control_table, "pk", "sk", "S")
        clients.s3().create_bucket(Bucket=self.bucket)
        for lane in LANES:
            self.make_queue(lane)
        for client in (clients.dynamodb(), clients.sqs(), clients.s3()):
            client.meta.events.register("before-call", self._count)


def _forget_clients() -> None:
    clients._made.cache_clear()
    clients._session.cache_clear()


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetOnMoto]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        _forget_clients()
        made = FleetOnMoto()
        made.set_up()
        yield made
    _forget_clients()

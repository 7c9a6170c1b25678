"""A fleet's tables, queues and bucket on moto, and the process's AWS clients pointed at them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto import mock_aws

from flotilla.runtime import clients

REGION = "us-east-1"
LANES = ("critical", "standard", "batch")
TIERS_SECONDS = (1, 15, 120, 480, 900)
VIEW_INDEXES = ("attention", "dead", "watch", "run")
STATE_MACHINES = f"arn:aws:states:{REGION}:123456789012:stateMachine:fleet-"
ROLE = "arn:aws:iam::123456789012:role/fleet-schedules"


@dataclass
class FleetOnMoto:
    """Names of what a fleet lies in, and the calls made since it was set up or `calls` was cleared."""

    events_table: str = "fleet-events"
    control_table: str = "fleet-control"
    views_table: str = "fleet-views"
    bucket: str = "fleet-payloads"
    archive_bucket: str = "fleet-archive"
    schedule_group: str = "fleet"
    queue_urls: dict[str, str] = field(default_factory=dict)
    delay_urls: dict[int, str] = field(default_factory=dict)
    dlq_urls: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """What its functions are told."""
        lanes = {name: {"queue_url": url, "dlq_url": self.dlq_urls[name]} for name, url in self.queue_urls.items()}
        delays = {str(tier): {"queue_url": url, "queue_arn": arn_of(url)} for tier, url in self.delay_urls.items()}
        workers = {name: {"function": f"fleet-worker-{name}", "maximum_concurrency": 5} for name in self.queue_urls}
        patience = dict.fromkeys(self.queue_urls, 300)
        canaries = {"period_seconds": 300, "patience_seconds": patience, "scheduled": True}
        schedules = {"group": self.schedule_group, "role_arn": ROLE, "target_arn": arn_of(self.delay_urls[1])}
        return {
            "FLOTILLA_NAME": "fleet",
            "FLOTILLA_EVENTS_TABLE": self.events_table,
            "FLOTILLA_CONTROL_TABLE": self.control_table,
            "FLOTILLA_VIEWS_TABLE": self.views_table,
            "FLOTILLA_PAYLOADS_BUCKET": self.bucket,
            "FLOTILLA_ARCHIVE_BUCKET": self.archive_bucket,
            "FLOTILLA_INLINE_PAYLOAD_BYTES": "2000",
            "FLOTILLA_RETENTION_DAYS": "30",
            "FLOTILLA_LANES": json.dumps(lanes),
            "FLOTILLA_DEFAULT_LANE": "standard",
            "FLOTILLA_DELAYS": json.dumps(delays),
            "FLOTILLA_DELAYS_DLQ_URL": self.dlq_urls["delays"],
            "FLOTILLA_SCHEDULES": json.dumps(schedules),
            "FLOTILLA_WORKERS": json.dumps(workers),
            "FLOTILLA_CANARY": json.dumps(canaries),
            "FLOTILLA_WEBHOOK_ALLOW": "[]",
            "FLOTILLA_STATE_MACHINES": STATE_MACHINES,
        }

    def make_table(
        self, name: str, partition_key: str, sort_key: str, sort_type: str, indexes: Sequence[str] = ()
    ) -> None:
        extra: dict[str, Any] = {}
        if indexes:
            extra["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index,
                    "KeySchema": [
                        {"AttributeName": f"{index}_pk", "KeyType": "HASH"},
                        {"AttributeName": f"{index}_sk", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
                for index in indexes
            ]
        keys = [f"{index}_{part}" for index in indexes for part in ("pk", "sk")]
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
                *({"AttributeName": key, "AttributeType": "S"} for key in keys),
            ],
            **extra,
        )

    def make_queue(self, lane: str) -> None:
        self.queue_urls[lane] = self._fifo(f"fleet-{lane}")

    def _fifo(self, name: str, **attributes: str) -> str:
        made = clients.sqs().create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true", **attributes})  # type: ignore[dict-item]
        return made["QueueUrl"]

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
        self.make_table(self.views_table, "pk", "sk", "S", indexes=VIEW_INDEXES)
        clients.s3().create_bucket(Bucket=self.bucket)
        clients.s3().create_bucket(Bucket=self.archive_bucket)
        clients.scheduler().create_schedule_group(Name=self.schedule_group)
        for lane in LANES:
            self.make_queue(lane)
        self.delay_urls = {tier: self._fifo(f"fleet-delay-{tier}", DelaySeconds=str(tier)) for tier in TIERS_SECONDS}
        self.dlq_urls = {name: self._fifo(f"fleet-{name}-dlq") for name in (*LANES, "delays")}
        for client in (clients.dynamodb(), clients.sqs(), clients.s3()):
            client.meta.events.register("before-call", self._count)


def arn_of(queue_url: str) -> str:
    """The ARN of a queue."""
    return f"arn:aws:sqs:{REGION}:123456789012:{queue_url.rpartition('/')[2]}"


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

"""The triage's handler from SQS event to partial batch response, over real adapters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from flotilla.dynamo.views import DynamoReadModel
from flotilla.events import Kind, verify_chain
from flotilla.models import TaskMessage
from flotilla.read_model import UNREADABLE, DeadFilter, UnreadableMessage
from flotilla.runtime import clients
from flotilla.runtime.settings import TriageSettings
from flotilla.services.triage import RECEIVE_LIMIT, unreadable_body_key
from flotilla.sqs.lanes import SqsLaneReceipts
from functions.triage import handler
from tests.fakes import run_on_thread
from tests.gateway_events import InvocationContext
from tests.integration.conftest import FleetOnMoto, arn_of
from tests.integration.test_api_on_moto import Api, log_of
from tests.integration.test_operations_on_moto import append, submitted


class Desk:
    """The deployed function and the queues it is fed from."""

    def __init__(self, fleet: FleetOnMoto) -> None:
        self.fleet = fleet

    def put_dead(self, body: str, *, queue: str = "standard", group: str = "g", reason: str | None = None) -> None:
        """What SQS does when a message was received too often; with a reason, what a worker does."""
        attributes: dict[str, Any] = {}
        if reason is not None:
            attributes["MessageAttributes"] = {"reason": {"DataType": "String", "StringValue": reason}}
        clients.sqs().send_message(
            QueueUrl=self.fleet.dlq_urls[queue],
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=f"{hash(body)}-{group}",
            **attributes,
        )

    def put_dead_message_of(self, lane: str = "standard") -> TaskMessage:
        [received] = self.fleet.messages(lane)
        self.put_dead(received["Body"], group=received["Attributes"]["MessageGroupId"])
        return TaskMessage.from_body(received["Body"])

    def run(self, queue: str = "standard") -> tuple[int, int]:
        """Do what Lambda's event source does; how many messages were done, and how many are kept."""
        url = self.fleet.dlq_urls[queue]
        received = clients.sqs().receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {
                    name: {"stringValue": value["StringValue"], "dataType": "String"}
                    for name, value in message.get("MessageAttributes", {}).items()
                },
                "eventSourceARN": arn_of(url),
            }
            for message in received.get("Messages", [])
        ]
        self.fleet.calls.clear()
        answer = handler.handler({"Records": records}, cast(LambdaContext, InvocationContext()))
        kept = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in kept:
                clients.sqs().delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])
        return len(records) - len(kept), len(kept)

    def unreadable(self) -> list[UnreadableMessage]:
        views = DynamoReadModel(clients.dynamodb(), self.fleet.views_table, run_on_thread)
        page = asyncio.run(views.dead(DeadFilter(agent=UNREADABLE), limit=10, cursor=None))
        return [item for item in page.items if isinstance(item, UnreadableMessage)]


@pytest.fixture
def desk(fleet: FleetOnMoto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name, value in fleet.environment().items():
        monkeypatch.setenv(name, value)
    TriageSettings.read.cache_clear()
    handler._triage.cache_clear()
    yield Desk(fleet)
    handler._triage.cache_clear()
    TriageSettings.read.cache_clear()


@pytest.fixture
def api(fleet: FleetOnMoto) -> Api:
    return Api(fleet)


def test_a_living_task_goes_on_with_one_read_one_write_and_one_message(
    fleet: FleetOnMoto, api: Api, desk: Desk
) -> None:
    task_id = submitted(api)
    desk.put_dead_message_of()
    assert desk.run() == (1, 0)
    assert fleet.calls[:3] == ["Query", "PutItem", "SendMessage"]
    events = log_of(fleet, task_id)
    verify_chain(events)
    assert (events[-1].kind, events[-1].body["reason"]) == (Kind.PARKED, RECEIVE_LIMIT)
    assert events[-1].actor == "triage:fleet-function/invocation-1"
    assert fleet.messages("standard") == [], "it waits on the ladder first"


def test_a_task_of_a_session_waits_on_its_lane(fleet: FleetOnMoto, api: Api, desk: Desk) -> None:
    submitted(api, session="s")
    desk.put_dead_message_of()
    assert desk.run() == (1, 0)
    [received] = fleet.messages("standard")
    message = TaskMessage.from_body(received["Body"])
    assert message.seq == 1
    assert message.not_before_ms is not None


def test_twice_without_a_sign_of_life_is_a_dead_letter(fleet: FleetOnMoto, api: Api, desk: Desk) -> None:
    task_id = submitted(api)
    first = desk.put_dead_message_of()
    desk.run()
    parked = log_of(fleet, task_id)[-1]
    again = json.loads(first.to_body()) | {"seq": parked.seq, "hash": parked.hash}
    desk.put_dead(json.dumps(again), group=first.group)
    assert desk.run() == (1, 0)
    events = log_of(fleet, task_id)
    assert (events[-1].kind, events[-1].body["cause"]) == (Kind.DEAD_LETTERED, "undeliverable")


def test_a_task_under_way_is_held_for_later(fleet: FleetOnMoto, api: Api, desk: Desk) -> None:
    task_id = submitted(api)
    desk.put_dead_message_of()
    far_ms = log_of(fleet, task_id)[0].at_ms + 600_000
    append(fleet, task_id, Kind.STARTED, {"lease_until_ms": far_ms})
    assert desk.run() == (0, 1)
    assert fleet.calls == ["Query", "ChangeMessageVisibilityBatch"]
    received = clients.sqs().receive_message(QueueUrl=fleet.dlq_urls["standard"], MaxNumberOfMessages=10)
    assert "Messages" not in received


def test_what_a_worker_put_aside_is_kept_with_its_reason(fleet: FleetOnMoto, desk: Desk) -> None:
    desk.put_dead('{"not": "a task"}', reason="the worker's own words")
    desk.put_dead("\N{SNOWMAN}" * 9000, group="h")
    assert desk.run() == (2, 0)
    kept = {len(message.body): message for message in desk.unreadable()}
    assert kept[17].reason == "the worker's own words"
    assert kept[17].lane == "standard"
    [large] = [message for length, message in kept.items() if length != 17]
    stored = clients.s3().get_object(Bucket=fleet.bucket, Key=unreadable_body_key("standard", large.message_id))
    assert stored["Body"].read().decode() == "\N{SNOWMAN}" * 9000


def test_the_delay_ladders_dead_letters_are_sorted_out_too(fleet: FleetOnMoto, api: Api, desk: Desk) -> None:
    desk.put_dead("{", queue="delays")
    assert desk.run("delays") == (1, 0)
    assert desk.unreadable()[0].lane == "delays"


def test_what_the_workers_adapter_puts_aside_is_what_is_read_here(fleet: FleetOnMoto, api: Api, desk: Desk) -> None:
    submitted(api)
    url, dlq = fleet.queue_urls["standard"], fleet.dlq_urls["standard"]
    received = clients.sqs().receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"][0]
    message = handler._message(
        {
            "messageId": received["MessageId"],
            "receiptHandle": received["ReceiptHandle"],
            "body": "{",
            "attributes": received["Attributes"],
        },
        "standard",
    )
    assert message.reason is None
    asyncio.run(SqsLaneReceipts(clients.sqs(), url, dlq, run_on_thread).put_aside(message.delivery, "unreadable: {"))
    assert desk.run() == (1, 0)
    assert desk.unreadable()[0].reason == "unreadable: {"


def test_while_the_log_does_not_answer_nothing_is_given_up(fleet: FleetOnMoto, api: Api, desk: Desk) -> None:
    submitted(api)
    desk.put_dead_message_of()
    clients.dynamodb().delete_table(TableName=fleet.events_table)
    assert desk.run() == (0, 1)
    assert desk.unreadable() == []

"""The broadcaster and the webhook function as they are deployed, on an AWS in memory, with a real receiver behind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks import Webhook

from flotilla.broadcast import Endpoint
from flotilla.dynamo.endpoints import DynamoEndpoints
from flotilla.dynamo.event_log import DynamoEventLog
from flotilla.events import Event, Kind
from flotilla.runtime import clients
from flotilla.runtime.settings import BroadcasterSettings, WebhookSettings
from flotilla.services.destinations import Destinations
from flotilla.services.endpoints import EndpointService, Registration
from functions.broadcaster.handler import BroadcasterFunction
from functions.webhook.handler import WebhookFunction
from tests.fakes import ManualClock, run_on_thread
from tests.fakes.broadcast import MemoryResolver
from tests.integration.conftest import STATE_MACHINES, FleetOnMoto
from tests.integration.webhooks.receiver import Receiver, receiving
from tests.logs import log_of
from tests.unit.test_stream_records import record_of

BUS = "fleet"


class Broadcast:
    """A fleet's bus, topic and webhooks queue, with a queue that listens to each."""

    def __init__(self, fleet: FleetOnMoto) -> None:
        self.fleet = fleet
        self.queues = {
            name: clients.sqs().create_queue(QueueName=f"fleet-{name}")["QueueUrl"]
            for name in ("webhooks", "webhooks-dlq", "on-bus", "on-topic")
        }
        clients.eventbridge().create_event_bus(Name=BUS)
        clients.eventbridge().put_rule(Name="all", EventBusName=BUS, EventPattern='{"source": ["flotilla"]}')
        target: Any = {"Id": "queue", "Arn": self._arn("on-bus")}
        clients.eventbridge().put_targets(Rule="all", EventBusName=BUS, Targets=[target])
        topic_arn = clients.sns().create_topic(Name="fleet-transitions")["TopicArn"]
        clients.sns().subscribe(
            TopicArn=topic_arn,
            Protocol="sqs",
            Endpoint=self._arn("on-topic"),
            Attributes={"RawMessageDelivery": "true", "FilterPolicy": '{"status": ["succeeded"]}'},
        )
        targets = {"transitions": ["succeeded", "cancelled"], "event_bus": BUS, "topic_arn": topic_arn}
        self.environment = {
            "FLOTILLA_NAME": "fleet",
            "FLOTILLA_EVENTS_TABLE": fleet.events_table,
            "FLOTILLA_CONTROL_TABLE": fleet.control_table,
            "FLOTILLA_PAYLOADS_BUCKET": fleet.bucket,
            "FLOTILLA_VIEWS_TABLE": fleet.views_table,
            "FLOTILLA_STATE_MACHINES": STATE_MACHINES,
            "FLOTILLA_RETENTION_DAYS": "30",
            "FLOTILLA_BROADCAST": json.dumps(targets),
            "FLOTILLA_WEBHOOKS_QUEUE_URL": self.queues["webhooks"],
            "FLOTILLA_WEBHOOKS_DLQ_URL": self.queues["webhooks-dlq"],
            "FLOTILLA_WEBHOOK_ALLOW": '["127.0.0.1"]',
        }
        self.log = DynamoEventLog(clients.dynamodb(), fleet.events_table, 30, run_on_thread)
        self.broadcaster = BroadcasterFunction(BroadcasterSettings.from_environment(self.environment))
        self.webhook = WebhookFunction(WebhookSettings.from_environment(self.environment))

    def _arn(self, name: str) -> str:
        url = self.queues[name]
        return clients.sqs().get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def register(self, receiver: Receiver) -> Endpoint:
        endpoints = DynamoEndpoints(clients.dynamodb(), self.fleet.control_table, run_on_thread)
        destinations = Destinations(MemoryResolver([]), ["127.0.0.1"])
        service = EndpointService(endpoints, destinations, ManualClock(), lambda length: b"s" * length)
        return asyncio.run(service.register(Registration("acme", f"http://127.0.0.1:{receiver.port}/in")))

    def tell(self, *records: dict[str, Any]) -> list[str]:
        """Sequence numbers that the stream must bring again."""
        answer = asyncio.run(self.broadcaster.answer({"Records": records}))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def write(self, *events: Event) -> None:
        for event in events:
            asyncio.run(self.log.append(event))

    def taken(self, name: str) -> list[dict[str, Any]]:
        """What lies on a queue, hidden from others from now on, as Lambda hands it to a function."""
        found: list[dict[str, Any]] = []
        while (
            messages := clients.sqs()
            .receive_message(
                QueueUrl=self.queues[name], MaxNumberOfMessages=10, AttributeNames=["All"], VisibilityTimeout=600
            )
            .get("Messages")
        ):
            found += [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                }
                for message in messages
            ]
        return found

    def deliver(self) -> tuple[int, int]:
        """How many webhooks there were, and how many of them stay."""
        records = self.taken("webhooks")
        answer = asyncio.run(self.webhook.answer({"Records": records}, 60_000))
        return len(records), len(answer["batchItemFailures"])


@pytest.fixture
def broadcast(fleet: FleetOnMoto) -> Broadcast:
    made = Broadcast(fleet)
    fleet.calls.clear()
    return made


def test_a_transition_reaches_bus_topic_and_webhook(broadcast: Broadcast) -> None:
    with receiving() as receiver:
        endpoint = broadcast.register(receiver)
        events = log_of(Kind.STARTED, Kind.SUCCEEDED)
        broadcast.write(*events)
        assert broadcast.tell(*(record_of(event) for event in events)) == []
        assert broadcast.deliver() == (1, 0)
        (received,) = receiver.received
    told = Webhook(endpoint.secrets[0].text).verify(received.body, received.headers)
    assert (told["type"], told["data"]["id"]) == ("task.succeeded", "tsk_sample")
    (on_bus,) = broadcast.taken("on-bus")
    assert json.loads(on_bus["body"])["detail"] == {"id": "tsk_sample-2", **told}
    (on_topic,) = broadcast.taken("on-topic")
    assert json.loads(on_topic["body"]) == {"id": "tsk_sample-2", **told}


def test_subscribers_get_what_they_filter_for(broadcast: Broadcast) -> None:
    broadcast.tell(*(record_of(event) for event in log_of(Kind.CANCELLED)))
    assert broadcast.taken("on-topic") == []
    assert len(broadcast.taken("on-bus")) == 1
    broadcast.tell(*(record_of(event) for event in log_of(Kind.EXPIRED)))
    assert broadcast.taken("on-bus") == [], "nobody asks for it"


def test_events_that_nobody_asks_for_cost_one_read_in_half_a_minute(broadcast: Broadcast, fleet: FleetOnMoto) -> None:
    fleet.calls.clear()
    for task in range(10):
        started = log_of(Kind.STARTED, task_id=f"tsk_{task}")[1]
        assert broadcast.tell(record_of(started)) == []
    assert fleet.calls == ["Query"]


def test_records_that_are_no_appends_or_no_events_are_passed_over(broadcast: Broadcast) -> None:
    events = log_of(Kind.STARTED, Kind.SUCCEEDED)
    broken = record_of(log_of(Kind.STARTED, task_id="tsk_2")[1])
    broken["dynamodb"]["NewImage"]["body"] = {"S": "{"}
    removed = {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "7"}}
    kept = record_of(events[0], "MODIFY")
    assert broadcast.tell(broken, removed, kept, *(record_of(event) for event in events)) == []
    assert len(broadcast.taken("on-bus")) == 1


def test_an_event_of_a_later_version_comes_again_with_all_after_it(broadcast: Broadcast) -> None:
    events = log_of(Kind.STARTED, Kind.SUCCEEDED)
    later = record_of(log_of(task_id="tsk_2")[0])
    later["dynamodb"] |= {"SequenceNumber": "later"}
    later["dynamodb"]["NewImage"]["kind"] = {"S": "later"}
    others = [record_of(event) for event in log_of(Kind.SUCCEEDED, task_id="tsk_3")]
    assert broadcast.tell(*(record_of(event) for event in events), later, *others) == ["later"]
    assert len(broadcast.taken("on-bus")) == 1


def test_what_cannot_be_told_comes_again_from_the_first(broadcast: Broadcast) -> None:
    clients.eventbridge().remove_targets(Rule="all", EventBusName=BUS, Ids=["queue"])
    clients.sns().delete_topic(TopicArn=json.loads(broadcast.environment["FLOTILLA_BROADCAST"])["topic_arn"])
    events = log_of(Kind.STARTED, Kind.SUCCEEDED)
    assert broadcast.tell(*(record_of(event) for event in events)) == ["300"]


def test_a_delivery_that_fails_stays_on_the_queue(broadcast: Broadcast) -> None:
    with receiving() as receiver:
        broadcast.register(receiver)
    broadcast.tell(*(record_of(event) for event in log_of(Kind.STARTED, Kind.SUCCEEDED)))
    assert broadcast.deliver() == (1, 1)
    assert broadcast.deliver() == (0, 0), "not before its time"


def test_a_message_that_nobody_can_read_is_kept_aside(broadcast: Broadcast) -> None:
    clients.sqs().send_message(QueueUrl=broadcast.queues["webhooks"], MessageBody="{}")
    assert broadcast.deliver() == (1, 0)
    assert len(broadcast.taken("webhooks-dlq")) == 1

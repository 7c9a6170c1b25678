"""The bus on EventBridge, seen by a subscriber's queue behind a rule."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from flotilla.eventbridge.bus import EventBridgeBus
from tests.contracts.publisher import Documents, PublisherContract, notice
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, requests_of, unreachable
from tests.integration.adapters.conftest import ONCE

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

BUS = "fleet"


@pytest.fixture(scope="module")
def events(aws: boto3.Session) -> EventBridgeClient:
    return aws.client("events", config=ONCE)


@pytest.fixture
def publisher(events: EventBridgeClient) -> Iterator[EventBridgeBus]:
    events.create_event_bus(Name=BUS)
    yield EventBridgeBus(events, BUS, "flotilla", run_on_thread)
    for rule in events.list_rules(EventBusName=BUS)["Rules"]:
        events.remove_targets(Rule=rule["Name"], EventBusName=BUS, Ids=["queue"])
        events.delete_rule(Name=rule["Name"], EventBusName=BUS)
    events.delete_event_bus(Name=BUS)


@pytest.fixture
def queue_url(events: EventBridgeClient, publisher: EventBridgeBus, sqs: SQSClient) -> Iterator[str]:
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName=BUS, EventPattern='{"source": ["flotilla"]}')
    events.put_targets(Rule="all", EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])
    yield url
    sqs.delete_queue(QueueUrl=url)


def received(sqs: SQSClient, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
    return found


class TestEventBridgeBus(PublisherContract):
    """The contract, on a bus."""

    @pytest.fixture
    def documents(self, sqs: SQSClient, queue_url: str) -> Documents:
        return lambda: [json.dumps(event["detail"]) for event in received(sqs, queue_url)]


@pytest.mark.parametrize("aws", ["moto"], indirect=True)  # the engine dates an event by itself
def test_an_event_says_what_rules_go_by(publisher: EventBridgeBus, sqs: SQSClient, queue_url: str) -> None:
    asyncio.run(publisher.publish([notice(1)]))
    (event,) = received(sqs, queue_url)
    assert (event["source"], event["detail-type"]) == ("flotilla", "task.succeeded")
    assert event["time"].startswith("2023-11-14T22:13:20"), "when it happened, not when it was told"


def test_a_request_holds_ten_events_and_a_quarter_of_a_mebibyte_at_the_most(
    publisher: EventBridgeBus, events: EventBridgeClient
) -> None:
    with requests_of(events, "PutEvents") as requests:
        asyncio.run(publisher.publish([notice(number) for number in range(21)]))
        assert [len(request["Entries"]) for request in requests] == [10, 10, 1]
        requests.clear()
        asyncio.run(publisher.publish([notice(number, filler="x" * 100_000) for number in range(3)]))
        assert [len(request["Entries"]) for request in requests] == [2, 1]


def test_what_the_bus_refuses_is_told_from_what_it_takes(publisher: EventBridgeBus, events: EventBridgeClient) -> None:
    from botocore.stub import Stubber

    entries: list[dict[str, str]] = [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}, {"EventId": "3"}]
    with Stubber(events) as stubber:
        stubber.add_response("put_events", {"FailedEntryCount": 1, "Entries": entries})
        assert asyncio.run(publisher.publish([notice(n) for n in range(3)])) == [True, False, True]


def test_a_bus_that_does_not_answer_is_not_asked_for_the_rest(
    publisher: EventBridgeBus, events: EventBridgeClient
) -> None:
    notices = [notice(number) for number in range(21)]
    for code in ERRORS:
        with answering_with(events, "put_events", code):
            assert asyncio.run(publisher.publish(notices)) == [False] * 21
    with unreachable(events, "PutEvents"), requests_of(events, "PutEvents") as requests:
        assert asyncio.run(publisher.publish(notices)) == [False] * 21
    assert len(requests) == 1

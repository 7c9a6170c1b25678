"""The topic on SNS, seen by queues that are subscribed to it, with and without a filter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from flotilla.sns.topic import SnsTopic
from tests.contracts.publisher import Documents, PublisherContract, notice
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, requests_of, unreachable
from tests.integration.adapters.conftest import ONCE

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient


@pytest.fixture(scope="module")
def sns(aws: boto3.Session) -> SNSClient:
    return aws.client("sns", config=ONCE)


@pytest.fixture
def topic_arn(sns: SNSClient) -> Iterator[str]:
    arn = sns.create_topic(Name="fleet-transitions")["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


@pytest.fixture
def publisher(sns: SNSClient, topic_arn: str) -> SnsTopic:
    return SnsTopic(sns, topic_arn, run_on_thread)


def subscribed(sns: SNSClient, sqs: SQSClient, topic_arn: str, name: str, policy: dict[str, Any] | None = None) -> str:
    """The URL of a queue that the topic's messages go to."""
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    attributes = {"RawMessageDelivery": "true"} | ({"FilterPolicy": json.dumps(policy)} if policy else {})
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    return url


def received(sqs: SQSClient, url: str) -> list[Any]:
    found: list[Any] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
        "Messages"
    ):
        found += messages
    return found


class TestSnsTopic(PublisherContract):
    """The contract, on a topic."""

    @pytest.fixture
    def documents(self, sns: SNSClient, sqs: SQSClient, topic_arn: str) -> Iterator[Documents]:
        url = subscribed(sns, sqs, topic_arn, "listener")
        yield lambda: [message["Body"] for message in received(sqs, url)]
        sqs.delete_queue(QueueUrl=url)


def test_a_message_can_be_filtered_by_what_it_is_about(
    publisher: SnsTopic, sns: SNSClient, sqs: SQSClient, topic_arn: str
) -> None:
    dead = subscribed(sns, sqs, topic_arn, "dead", {"status": ["dead_lettered"], "lane": ["standard"]})
    done = subscribed(sns, sqs, topic_arn, "done", {"status": ["succeeded"], "agent": [{"prefix": "a."}]})
    asyncio.run(publisher.publish([notice(1)]))
    assert received(sqs, dead) == []
    (message,) = received(sqs, done)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {"id": "tsk_1-1", **notice(1).attributes}
    for url in (dead, done):
        sqs.delete_queue(QueueUrl=url)


def test_a_request_holds_ten_messages_and_a_quarter_of_a_mebibyte_at_the_most(
    publisher: SnsTopic, sns: SNSClient
) -> None:
    with requests_of(sns, "PublishBatch") as requests:
        asyncio.run(publisher.publish([notice(number) for number in range(21)]))
        assert [len(request["PublishBatchRequestEntries"]) for request in requests] == [10, 10, 1]
        requests.clear()
        asyncio.run(publisher.publish([notice(number, filler="x" * 100_000) for number in range(3)]))
        assert [len(request["PublishBatchRequestEntries"]) for request in requests] == [2, 1]


def test_what_the_topic_refuses_is_told_from_what_it_takes(publisher: SnsTopic, sns: SNSClient) -> None:
    failed = [{"Id": "1", "Code": "InternalError", "SenderFault": False}]
    with Stubber(sns) as stubber:
        stubber.add_response("publish_batch", {"Successful": [{"Id": "0"}, {"Id": "2"}], "Failed": failed})
        assert asyncio.run(publisher.publish([notice(n) for n in range(3)])) == [True, False, True]


def test_a_topic_that_does_not_answer_is_not_asked_for_the_rest(publisher: SnsTopic, sns: SNSClient) -> None:
    notices = [notice(number) for number in range(21)]
    for code in ERRORS:
        with answering_with(sns, "publish_batch", code):
            assert asyncio.run(publisher.publish(notices)) == [False] * 21
    with unreachable(sns, "PublishBatch"), requests_of(sns, "PublishBatch") as requests:
        assert asyncio.run(publisher.publish(notices)) == [False] * 21
    assert len(requests) == 1

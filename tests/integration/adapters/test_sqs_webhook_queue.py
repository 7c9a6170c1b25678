"""The webhooks' queue on SQS: what is sent arrives, what is held comes back, what is given up is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from flotilla.broadcast import WebhookMessage
from flotilla.errors import RetryableError
from flotilla.models import Delivery
from flotilla.sqs.webhook_queue import SqsWebhookQueue, SqsWebhookReceipts
from tests.contracts.publisher import STRAY, Messages, WebhookQueueContract, WebhookReceiptsContract, message
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def urls(sqs: SQSClient) -> Iterator[tuple[str, str]]:
    """The queue and its dead letter queue."""
    made = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("webhooks", "webhooks-dlq")]
    yield made[0], made[1]
    for url in made:
        sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def queue(sqs: SQSClient, urls: tuple[str, str]) -> SqsWebhookQueue:
    return SqsWebhookQueue(sqs, urls[0], run_on_thread)


@pytest.fixture
def receipts(sqs: SQSClient, urls: tuple[str, str]) -> SqsWebhookReceipts:
    return SqsWebhookReceipts(sqs, *urls, run_on_thread)


def received(sqs: SQSClient, url: str) -> list[Any]:
    found: list[Any] = []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
    ).get("Messages"):
        found += messages
    return found


class TestSqsWebhookQueue(WebhookQueueContract):
    """The contract, on a queue."""

    @pytest.fixture
    def messages(self, sqs: SQSClient, urls: tuple[str, str]) -> Messages:
        return lambda: [WebhookMessage.from_body(found["Body"]) for found in received(sqs, urls[0])]


class TestSqsWebhookReceipts(WebhookReceiptsContract):
    """The contract, on a queue."""


def test_a_held_message_comes_back_after_its_time_and_not_before(
    sqs: SQSClient, urls: tuple[str, str], queue: SqsWebhookQueue, receipts: SqsWebhookReceipts
) -> None:
    asyncio.run(queue.send_batch([message(1)]))
    (first,) = received(sqs, urls[0])
    delivery = Delivery(first["MessageId"], first["ReceiptHandle"], "", 1, first["Body"])
    asyncio.run(receipts.hold(delivery, 42_000))
    assert received(sqs, urls[0]) == []
    asyncio.run(receipts.hold(delivery, 0))
    (again,) = received(sqs, urls[0])
    assert again["MessageId"] == first["MessageId"]


def test_what_is_given_up_is_kept_with_its_reason(
    sqs: SQSClient, urls: tuple[str, str], receipts: SqsWebhookReceipts
) -> None:
    asyncio.run(receipts.put_aside(STRAY, "no attempt is left"))
    (dead,) = received(sqs, urls[1])
    assert dead["Body"] == "body"
    assert dead["MessageAttributes"]["reason"]["StringValue"] == "no attempt is left"


def test_what_cannot_be_put_aside_is_not_lost(sqs: SQSClient, receipts: SqsWebhookReceipts) -> None:
    for code in ERRORS:
        with answering_with(sqs, "send_message", code), pytest.raises(RetryableError):
            asyncio.run(receipts.put_aside(STRAY, "reason"))
    with unreachable(sqs, "SendMessage"), pytest.raises(RetryableError):
        asyncio.run(receipts.put_aside(STRAY, "reason"))


def test_a_hold_that_fails_is_left_to_the_queues_own_timeout(sqs: SQSClient, receipts: SqsWebhookReceipts) -> None:
    with unreachable(sqs, "ChangeMessageVisibility"):
        asyncio.run(receipts.hold(STRAY, 30))


def test_what_the_queue_refuses_is_told_from_what_it_takes(sqs: SQSClient, queue: SqsWebhookQueue) -> None:
    taken = [{"Id": each, "MessageId": each, "MD5OfMessageBody": ""} for each in ("0", "2")]
    failed = [{"Id": "1", "Code": "InternalError", "SenderFault": False}]
    with Stubber(sqs) as stubber:
        stubber.add_response("send_message_batch", {"Successful": taken, "Failed": failed})
        assert asyncio.run(queue.send_batch([message(n) for n in range(3)])) == [True, False, True]


def test_a_queue_that_does_not_answer_is_not_asked_for_the_rest(sqs: SQSClient, queue: SqsWebhookQueue) -> None:
    messages = [message(number) for number in range(21)]
    with unreachable(sqs, "SendMessageBatch"), requests_of(sqs, "SendMessageBatch") as requests:
        assert asyncio.run(queue.send_batch(messages)) == [False] * 21
    assert len(requests) == 1

"""The delay ladder on SQS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.errors import StoreUnavailableError
from flotilla.models import TaskMessage
from flotilla.sqs.delays import SqsDelays
from tests.contracts.delays import DELAYED, TIERS, DelaysContract, MessagesIn, delay
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def tiers(sqs: SQSClient) -> Iterator[dict[int, str]]:
    """The tiers' queues, but for their delay: what a test looks at is what was sent."""
    urls = {
        seconds: sqs.create_queue(
            QueueName=f"fleet-delay-{seconds}.fifo",
            Attributes={
                "FifoQueue": "true",
                "ContentBasedDeduplication": "true",
                "DeduplicationScope": "messageGroup",
                "FifoThroughputLimit": "perMessageGroupId",
            },
        )["QueueUrl"]
        for seconds in TIERS
    }
    yield urls
    for url in urls.values():
        sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def delays(sqs: SQSClient, tiers: dict[int, str]) -> SqsDelays:
    return SqsDelays(sqs, tiers, run_on_thread)


def received(sqs: SQSClient, url: str) -> list[dict[str, Any]]:
    """What lies in a queue, taken out of it."""
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"]).get("Messages", []):
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(dict(message))
    return found


class TestSqsDelays(DelaysContract):
    """The contract, on FIFO queues."""

    @pytest.fixture
    def messages_in(self, sqs: SQSClient, tiers: dict[int, str]) -> MessagesIn:
        def take(tier_seconds: int) -> list[TaskMessage]:
            return [TaskMessage.from_body(message["Body"]) for message in received(sqs, tiers[tier_seconds])]

        return take


def test_a_task_is_its_own_group_whatever_its_session(sqs: SQSClient, delays: SqsDelays, tiers: dict[int, str]) -> None:
    delay(delays, 15, replace(DELAYED, session="s", seq=3, hops=2))
    (message,) = received(sqs, tiers[15])
    assert message["Attributes"]["MessageGroupId"] == "tsk_1"
    assert message["Attributes"]["MessageDeduplicationId"] == "tsk_1-3-2"


def test_a_send_is_one_call(sqs: SQSClient, delays: SqsDelays) -> None:
    with requests_of(sqs, "SendMessage") as requests:
        delay(delays, 1, DELAYED)
    assert len(requests) == 1


def test_a_send_that_fails_is_retryable(sqs: SQSClient, delays: SqsDelays) -> None:
    for code in [*ERRORS, "AWS.SimpleQueueService.NonExistentQueue"]:
        with answering_with(sqs, "send_message", code), pytest.raises(StoreUnavailableError) as sending:
            delay(delays, 1, DELAYED)
        assert sending.value.code == "delays_unavailable"
    with unreachable(sqs, "SendMessage"), pytest.raises(StoreUnavailableError):
        delay(delays, 1, DELAYED)


def test_a_send_whose_answer_was_lost_may_be_repeated(sqs: SQSClient, delays: SqsDelays, tiers: dict[int, str]) -> None:
    with answers_lost(sqs, "SendMessage"), pytest.raises(StoreUnavailableError):
        delay(delays, 1, DELAYED)
    delay(delays, 1, DELAYED)
    assert len(received(sqs, tiers[1])) == 1

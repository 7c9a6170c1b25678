"""How many messages lie on the lanes, counted by the queues that the templates make."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flotilla.errors import RetryableError
from flotilla.models import LaneCounts
from flotilla.sqs.lane_queues import SqsLaneQueues
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import answers_lost, unreachable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def queues(sqs: SQSClient, queue_urls: dict[str, str]) -> SqsLaneQueues:
    urls = {
        name: (queue_urls[f"flotilla-{name}.fifo"], queue_urls[f"flotilla-{name}-dlq.fifo"])
        for name in ("critical", "standard", "batch")
    }
    return SqsLaneQueues(sqs, urls, run_on_thread)


def put(sqs: SQSClient, url: str, count: int) -> None:
    for number in range(count):
        sqs.send_message(
            QueueUrl=url, MessageBody="{}", MessageGroupId=f"g{number}", MessageDeduplicationId=f"d{number}"
        )


def counts(queues: SqsLaneQueues, lane: str = "standard") -> LaneCounts:
    return asyncio.run(queues.counts(lane))


def test_an_empty_lane_has_no_messages(queues: SqsLaneQueues) -> None:
    assert counts(queues) == LaneCounts(0, 0, 0)


def test_what_waits_what_is_in_flight_and_what_is_dead_are_told_apart(
    sqs: SQSClient, queues: SqsLaneQueues, queue_urls: dict[str, str]
) -> None:
    put(sqs, queue_urls["flotilla-standard.fifo"], 7)
    put(sqs, queue_urls["flotilla-standard-dlq.fifo"], 3)
    sqs.receive_message(QueueUrl=queue_urls["flotilla-standard.fifo"], MaxNumberOfMessages=2)
    sqs.receive_message(QueueUrl=queue_urls["flotilla-standard-dlq.fifo"], MaxNumberOfMessages=1)
    assert counts(queues) == LaneCounts(waiting=5, in_flight=2, undeliverable=3)
    assert counts(queues, "batch") == LaneCounts(0, 0, 0)


def test_a_queue_that_does_not_answer_is_retryable(sqs: SQSClient, queues: SqsLaneQueues) -> None:
    for operation_fails in (
        unreachable(sqs, "GetQueueAttributes"),
        answers_lost(sqs, "GetQueueAttributes"),
    ):
        with operation_fails, pytest.raises(RetryableError) as counting:
            counts(queues)
        assert counting.value.code == "lane_unavailable"

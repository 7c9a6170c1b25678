"""How many messages lie on the lanes and wait there, counted by the queues that the templates make."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.models import LaneCounts
from flotilla.scaling_ports import Backlog
from flotilla.sqs.lane_depths import SqsLaneDepths
from flotilla.sqs.lane_queues import SqsLaneQueues
from tests.contracts.lane_status import LaneDepthsContract, LaneQueuesContract, Lay
from tests.contracts.scaling import Fill, LaneBacklogsContract
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

LANES = ("critical", "standard", "batch")


@pytest.fixture
def queues(sqs: SQSClient, queue_urls: dict[str, str]) -> SqsLaneQueues:
    urls = {name: (queue_urls[f"flotilla-{name}.fifo"], queue_urls[f"flotilla-{name}-dlq.fifo"]) for name in LANES}
    return SqsLaneQueues(sqs, urls, run_on_thread)


@pytest.fixture
def depths(sqs: SQSClient, queue_urls: dict[str, str]) -> SqsLaneDepths:
    return SqsLaneDepths(sqs, {name: queue_urls[f"flotilla-{name}.fifo"] for name in LANES}, run_on_thread)


@pytest.fixture
def lay(sqs: SQSClient, queue_urls: dict[str, str]) -> Lay:
    def put(url: str, count: int) -> None:
        for number in range(count):
            sqs.send_message(
                QueueUrl=url, MessageBody="{}", MessageGroupId=f"g{number}", MessageDeduplicationId=f"d{number}"
            )

    def lay(lane: str, counts: LaneCounts) -> None:
        url, dead = queue_urls[f"flotilla-{lane}.fifo"], queue_urls[f"flotilla-{lane}-dlq.fifo"]
        put(url, counts.waiting + counts.in_flight)
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=counts.in_flight)
        put(dead, counts.undeliverable)
        sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=1)

    return lay


@pytest.fixture
def backlogs(depths: SqsLaneDepths) -> SqsLaneDepths:
    return depths


@pytest.fixture
def fill(lay: Lay) -> Fill:
    def fill(lane: str, backlog: Backlog) -> None:
        lay(lane, LaneCounts(backlog.waiting, backlog.in_flight, undeliverable=0))

    return fill


class TestSqsLaneQueues(LaneQueuesContract):
    """The contract, on the queues that the templates make."""


class TestSqsLaneDepths(LaneDepthsContract):
    """The contract, on the queues that the templates make."""


class TestSqsLaneBacklogs(LaneBacklogsContract):
    """The contract, on the queues that the templates make."""


def test_a_lanes_backlog_is_one_request(sqs: SQSClient, depths: SqsLaneDepths) -> None:
    with requests_of(sqs, "GetQueueAttributes") as requests:
        asyncio.run(depths.backlog("standard"))
    assert len(requests) == 1


def test_a_queue_that_does_not_answer_is_retryable(
    sqs: SQSClient, queues: SqsLaneQueues, depths: SqsLaneDepths
) -> None:
    for operation_fails in (unreachable(sqs, "GetQueueAttributes"), answers_lost(sqs, "GetQueueAttributes")):
        with operation_fails:
            for asked in (queues.counts("standard"), depths.waiting("standard"), depths.backlog("standard")):
                with pytest.raises(RetryableError) as asking:
                    asyncio.run(asked)  # type: ignore[arg-type]
                assert asking.value.code == "lane_unavailable"


def test_every_error_of_a_lane_is_retryable(sqs: SQSClient, depths: SqsLaneDepths) -> None:
    for code in ERRORS:
        with answering_with(sqs, "get_queue_attributes", code), pytest.raises(StoreUnavailableError):
            asyncio.run(depths.waiting("standard"))

"""The lanes on SQS: groups, deduplication, visibility, and what is best effort and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.errors import RetryableError
from flotilla.models import Delivery, TaskMessage
from flotilla.sqs.lanes import SqsLaneReceipts, SqsLanes
from tests.contracts.lanes import MESSAGE, LaneReceiptsContract, LanesContract, MessagesOn, delivery, send
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

LANES = ("critical", "standard", "batch")


@pytest.fixture
def lane(queue_urls: dict[str, str]) -> str:
    return queue_urls["flotilla-standard.fifo"]


@pytest.fixture
def dlq(queue_urls: dict[str, str]) -> str:
    return queue_urls["flotilla-standard-dlq.fifo"]


@pytest.fixture
def lanes(sqs: SQSClient, queue_urls: dict[str, str]) -> SqsLanes:
    return SqsLanes(sqs, {name: queue_urls[f"flotilla-{name}.fifo"] for name in LANES}, run_on_thread)


@pytest.fixture
def receipts(sqs: SQSClient, lane: str, dlq: str) -> SqsLaneReceipts:
    return SqsLaneReceipts(sqs, lane, dlq, run_on_thread)


def receive(sqs: SQSClient, url: str) -> list[dict[str, Any]]:
    """What can be received now, as a consumer sees it."""
    received: list[dict[str, Any]] = []
    while True:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"]
        )
        if "Messages" not in answer:
            return received
        received += [dict(message) for message in answer["Messages"]]


def delivered(message: dict[str, Any]) -> Delivery:
    return Delivery(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        group=message["Attributes"]["MessageGroupId"],
        receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
        body=message["Body"],
    )


def handed_out(sqs: SQSClient, lanes: SqsLanes, lane: str, count: int) -> list[Delivery]:
    send(lanes, *(replace(MESSAGE, task_id=f"tsk_{number}") for number in range(count)))
    found = [delivered(message) for message in receive(sqs, lane)]
    assert len(found) == count
    return found


class TestSqsLanes(LanesContract):
    """The contract, on the queues that the templates make."""

    @pytest.fixture
    def messages_on(self, sqs: SQSClient, queue_urls: dict[str, str]) -> MessagesOn:
        def take(lane: str) -> list[TaskMessage]:
            url = queue_urls[f"flotilla-{lane}.fifo"]
            found = []
            while messages := receive(sqs, url):
                for message in messages:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    found.append(TaskMessage.from_body(message["Body"]))
            return found

        return take


class TestSqsLaneReceipts(LaneReceiptsContract):
    """The contract, on a lane's queue and its dead letter queue."""


def test_a_task_alone_is_its_own_group_and_a_session_is_one(sqs: SQSClient, lanes: SqsLanes, lane: str) -> None:
    send(lanes, MESSAGE, replace(MESSAGE, task_id="tsk_2", session="s", seq=7))
    alone, in_session = (message["Attributes"] for message in receive(sqs, lane))
    assert (alone["MessageGroupId"], alone["MessageDeduplicationId"]) == ("tsk_1", "tsk_1-0")
    assert in_session["MessageGroupId"] == replace(MESSAGE, session="s").group
    assert in_session["MessageDeduplicationId"] == "tsk_2-7"


def test_a_send_that_fails_is_retryable(sqs: SQSClient, lanes: SqsLanes) -> None:
    for code in [*ERRORS, "AWS.SimpleQueueService.NonExistentQueue", "KmsThrottled"]:
        with answering_with(sqs, "send_message", code), pytest.raises(RetryableError) as sending:
            send(lanes, MESSAGE)
        assert sending.value.code == "lane_unavailable"
    with unreachable(sqs, "SendMessage"), pytest.raises(RetryableError):
        send(lanes, MESSAGE)


def test_a_send_whose_answer_was_lost_may_be_repeated(sqs: SQSClient, lanes: SqsLanes, lane: str) -> None:
    with answers_lost(sqs, "SendMessage"), pytest.raises(RetryableError):
        send(lanes, MESSAGE)
    assert len(receive(sqs, lane)) == 1, "it was sent"
    send(lanes, MESSAGE)
    assert receive(sqs, lane) == []


def set_visibility(receipts: SqsLaneReceipts, deliveries: Sequence[Delivery], seconds: int) -> None:
    asyncio.run(receipts.set_visibility([(each, seconds) for each in deliveries]))


def test_a_message_set_visible_is_handed_out_again(
    sqs: SQSClient, lanes: SqsLanes, receipts: SqsLaneReceipts, lane: str
) -> None:
    deliveries = handed_out(sqs, lanes, lane, 3)
    assert receive(sqs, lane) == []
    set_visibility(receipts, deliveries[:2], 0)
    again = [delivered(message) for message in receive(sqs, lane)]
    assert sorted(each.message_id for each in again) == sorted(each.message_id for each in deliveries[:2])
    assert {each.receive_count for each in again} == {2}


def test_a_batch_is_one_call_and_more_are_as_few_as_can_be(
    sqs: SQSClient, lanes: SqsLanes, receipts: SqsLaneReceipts, lane: str
) -> None:
    deliveries = handed_out(sqs, lanes, lane, 23)
    with requests_of(sqs, "ChangeMessageVisibilityBatch") as requests:
        set_visibility(receipts, deliveries[:10], 60)
    assert len(requests) == 1
    with requests_of(sqs, "ChangeMessageVisibilityBatch") as requests:
        set_visibility(receipts, deliveries, 60)
    assert [len(request["Entries"]) for request in requests] == [10, 10, 3]
    with requests_of(sqs, "DeleteMessageBatch") as requests:
        asyncio.run(receipts.delete(deliveries))
    assert [len(request["Entries"]) for request in requests] == [10, 10, 3]


def test_a_message_that_is_no_longer_ours_does_not_stop_the_others(
    sqs: SQSClient, lanes: SqsLanes, receipts: SqsLaneReceipts, lane: str
) -> None:
    deliveries = handed_out(sqs, lanes, lane, 2)
    sqs.delete_message(QueueUrl=lane, ReceiptHandle=deliveries[0].receipt_handle)
    set_visibility(receipts, [deliveries[0], delivery(9), deliveries[1]], 0)
    assert [message["MessageId"] for message in receive(sqs, lane)] == [deliveries[1].message_id]


def test_a_visibility_that_cannot_be_set_costs_only_time(sqs: SQSClient, receipts: SqsLaneReceipts) -> None:
    for code in ERRORS:
        with answering_with(sqs, "change_message_visibility_batch", code):
            set_visibility(receipts, [delivery(1)], 0)
        with answering_with(sqs, "delete_message_batch", code):
            asyncio.run(receipts.delete([delivery(1)]))


def test_a_queue_out_of_reach_costs_only_time(sqs: SQSClient, receipts: SqsLaneReceipts) -> None:
    with unreachable(sqs, "ChangeMessageVisibilityBatch"), unreachable(sqs, "DeleteMessageBatch"):
        set_visibility(receipts, [delivery(1)], 0)
        asyncio.run(receipts.delete([delivery(1)]))


def test_deleted_messages_do_not_come_back(
    sqs: SQSClient, lanes: SqsLanes, receipts: SqsLaneReceipts, lane: str
) -> None:
    deliveries = handed_out(sqs, lanes, lane, 12)
    asyncio.run(receipts.delete(deliveries))
    set_visibility(receipts, deliveries, 0)
    assert receive(sqs, lane) == []


def put_aside(receipts: SqsLaneReceipts, message: Delivery, reason: str) -> None:
    asyncio.run(receipts.put_aside(message, reason))


def test_a_message_put_aside_lies_among_the_dead_letters_with_its_reason(
    sqs: SQSClient, receipts: SqsLaneReceipts, dlq: str
) -> None:
    message = replace(delivery(1), body='{"not": "a task"}')
    put_aside(receipts, message, "not a task message: task_id")
    put_aside(receipts, message, "the answer to the first was lost")
    (dead,) = receive(sqs, dlq)
    assert dead["Body"] == message.body
    assert dead["Attributes"]["MessageGroupId"] == message.group
    assert dead["MessageAttributes"]["reason"]["StringValue"] == "not a task message: task_id"


def test_a_message_that_cannot_be_put_aside_is_not_lost(sqs: SQSClient, receipts: SqsLaneReceipts) -> None:
    for code in ERRORS:
        with answering_with(sqs, "send_message", code), pytest.raises(RetryableError):
            put_aside(receipts, delivery(1), "unreadable")
    with unreachable(sqs, "SendMessage"), pytest.raises(RetryableError):
        put_aside(receipts, delivery(1), "unreadable")

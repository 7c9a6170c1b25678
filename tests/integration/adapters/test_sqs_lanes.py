"""The lanes on SQS: groups, deduplication, visibility, and what is best effort and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.errors import RetryableError
from flotilla.models import Delivery, Payload, TaskMessage
from flotilla.sqs.lanes import SqsLaneReceipts, SqsLanes
from tests.contracts.lanes import (
    MESSAGE,
    LaneReceiptsContract,
    LanesContract,
    MessagesOn,
    delivery,
    send,
    send_batch,
    sessions,
)
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


def ids(requests: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The tasks of each call."""
    return [[TaskMessage.from_body(entry["MessageBody"]).task_id for entry in each["Entries"]] for each in requests]


def test_a_batch_is_as_few_calls_as_can_be(sqs: SQSClient, lanes: SqsLanes) -> None:
    with requests_of(sqs, "SendMessageBatch") as requests:
        assert all(send_batch(lanes, sessions(*[None] * 23)))
    assert sorted(len(request["Entries"]) for request in requests) == [3, 10, 10]


def test_a_call_holds_no_more_than_sqs_takes(sqs: SQSClient, lanes: SqsLanes) -> None:
    large = [replace(each, input=Payload(inline="ä" * 50_000)) for each in sessions(*[None] * 7)]
    with requests_of(sqs, "SendMessageBatch") as requests:
        assert all(send_batch(lanes, large))
    sizes = [sum(len(entry["MessageBody"]) for entry in request["Entries"]) for request in requests]
    assert len(requests) == 3
    assert max(sizes) <= 1_048_576


def test_no_call_holds_two_of_a_session_and_no_two_calls_with_it_are_under_way_at_once(
    sqs: SQSClient, queue_urls: dict[str, str]
) -> None:
    """What a call holds may be taken in part, and calls overtake each other."""
    under_way: list[str] = []

    async def watching(function: Any, url: str, entries: Any) -> Any:
        groups = [entry["MessageGroupId"] for entry in entries]
        assert len({*groups, *under_way}) == len(groups) + len(under_way)
        under_way.extend(groups)
        answer = await run_on_thread(function, url, entries)
        for group in groups:
            under_way.remove(group)
        return answer

    lanes = SqsLanes(sqs, {"standard": queue_urls["flotilla-standard.fifo"]}, watching)
    assert all(send_batch(lanes, sessions(*["a", "b", None] * 8)))


@contextmanager
def refusing(sqs: SQSClient, refused: str) -> Iterator[None]:
    """SQS takes of a call what it will, but not the message of this task."""

    def remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["tasks"] = {
            each["Id"]: TaskMessage.from_body(each["MessageBody"]).task_id for each in params["Entries"]
        }

    def refuse(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        failed = [each for each in parsed.get("Successful", ()) if context["tasks"][each["Id"]] == refused]
        parsed["Successful"] = [each for each in parsed.get("Successful", ()) if each not in failed]
        parsed["Failed"] = [{"Id": each["Id"], "SenderFault": False, "Code": "InternalError"} for each in failed]

    sqs.meta.events.register("provide-client-params.sqs.SendMessageBatch", remember)
    sqs.meta.events.register("after-call.sqs.SendMessageBatch", refuse)
    try:
        yield
    finally:
        sqs.meta.events.unregister("provide-client-params.sqs.SendMessageBatch", remember)
        sqs.meta.events.unregister("after-call.sqs.SendMessageBatch", refuse)


def test_where_one_of_a_session_is_not_taken_none_after_it_is_sent(sqs: SQSClient, lanes: SqsLanes) -> None:
    sent = sessions("a", "b", None, "a", "b", "a", "b")
    with refusing(sqs, sent[3].task_id), requests_of(sqs, "SendMessageBatch") as requests:
        assert send_batch(lanes, sent) == [True, True, True, False, True, False, True]
    assert sent[5].task_id not in [task for call in ids(requests) for task in call]


def test_a_call_that_fails_costs_only_the_sessions_that_are_in_it(sqs: SQSClient, lanes: SqsLanes) -> None:
    sent = [*sessions("a", None), *sessions(None, "a", lane="batch"), *sessions("b", "b", lane="critical")]
    with requests_of(sqs, "SendMessageBatch") as requests:
        for code in ERRORS:
            with answering_with(sqs, "send_message_batch", code):
                assert send_batch(lanes, sessions("a", "a")) == [False, False]
        with unreachable(sqs, "SendMessageBatch"):
            assert send_batch(lanes, sent) == [False] * len(sent)
    assert len(requests) == len(ERRORS) + 3, "none is sent after one of its session that was not"
    assert send_batch(lanes, sent) == [True] * len(sent)


def test_a_batch_whose_answers_were_lost_may_be_sent_again(sqs: SQSClient, lanes: SqsLanes, lane: str) -> None:
    sent = sessions(None, None, "a")
    with answers_lost(sqs, "SendMessageBatch"):
        assert send_batch(lanes, sent) == [False] * 3
    assert send_batch(lanes, sent) == [True] * 3
    assert len(receive(sqs, lane)) == 3


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

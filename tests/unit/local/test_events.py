"""What functions receive: the very shapes that Lambda makes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from local.event_sources.invocation import Invocation
from local.event_sources.sqs_event import sqs_event
from local.event_sources.stream_event import failure_note, stream_record
from local.event_sources.stream_plan import GivenUp, Segment

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:lane.fifo"
STREAM = "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/2026-01-01T00:00:00.000"


def test_a_received_message_becomes_lambdas_record() -> None:
    message = {
        "MessageId": "m-1",
        "ReceiptHandle": "r-1",
        "Body": "{}",
        "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
        "Attributes": {
            "ApproximateReceiveCount": "2",
            "SentTimestamp": "1",
            "SequenceNumber": "7",
            "MessageGroupId": "g",
            "MessageDeduplicationId": "d",
        },
        "MessageAttributes": {
            "text": {"DataType": "String", "StringValue": "v"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
        "MD5OfMessageAttributes": "x",
    }
    (record,) = sqs_event([message], queue_arn=QUEUE)["Records"]
    assert record == {
        "messageId": "m-1",
        "receiptHandle": "r-1",
        "body": "{}",
        "attributes": message["Attributes"],
        "messageAttributes": {
            "text": {"dataType": "String", "stringListValues": [], "binaryListValues": [], "stringValue": "v"},
            "bytes": {"dataType": "Binary", "stringListValues": [], "binaryListValues": [], "binaryValue": "AP8="},
        },
        "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
        "md5OfMessageAttributes": "x",
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE,
        "awsRegion": "eu-west-1",
    }


def test_messages_keep_their_order() -> None:
    messages = [{"MessageId": str(number), "ReceiptHandle": "", "Body": "", "MD5OfBody": ""} for number in range(10)]
    event = sqs_event(messages, queue_arn=QUEUE)
    assert [record["messageId"] for record in event["Records"]] == [str(number) for number in range(10)]


def read_record(created: datetime, sequence: str = "1") -> dict[str, Any]:
    return {
        "eventID": "e",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": created,
            "Keys": {"id": {"S": "a"}},
            "NewImage": {"id": {"S": "a"}, "b": {"B": b"\x00\xff"}, "l": {"L": [{"BS": [b"\x01"]}]}, "n": {"N": "1"}},
            "SequenceNumber": sequence,
            "SizeBytes": 1,
            "StreamViewType": "NEW_IMAGE",
        },
    }


def test_a_stream_record_becomes_plain_json() -> None:
    created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    record = json.loads(json.dumps(stream_record(read_record(created), stream_arn=STREAM)))
    assert record["eventSourceARN"] == STREAM
    assert record["dynamodb"]["ApproximateCreationDateTime"] == created.timestamp()
    assert record["dynamodb"]["NewImage"] == {
        "id": {"S": "a"},
        "b": {"B": "AP8="},
        "l": {"L": [{"BS": ["AQ=="]}]},
        "n": {"N": "1"},
    }


def note_of(invocation: Invocation | None) -> dict[str, Any]:
    first = stream_record(read_record(datetime(2026, 1, 1, tzinfo=UTC), "10"), stream_arn=STREAM)
    last = stream_record(read_record(datetime(2026, 1, 2, tzinfo=UTC), "11"), stream_arn=STREAM)
    return failure_note(
        GivenUp(Segment((first, last), attempts=3), "RetryAttemptsExhausted"),
        invocation=invocation,
        function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f",
        shard="shard-1",
        stream_arn=STREAM,
        now=datetime(2026, 1, 3, tzinfo=UTC),
    )


def test_the_note_about_records_given_up_names_them_without_their_content() -> None:
    assert note_of(Invocation("function-error", request_id="r")) == {
        "requestContext": {
            "requestId": "r",
            "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2026-01-03T00:00:00.000Z",
        "DDBStreamBatchInfo": {
            "shardId": "shard-1",
            "startSequenceNumber": "10",
            "endSequenceNumber": "11",
            "approximateArrivalOfFirstRecord": "2026-01-01T00:00:00.000Z",
            "approximateArrivalOfLastRecord": "2026-01-02T00:00:00.000Z",
            "batchSize": 2,
            "streamArn": STREAM,
        },
    }


def test_a_reported_partial_failure_is_no_function_error() -> None:
    assert "functionError" not in note_of(Invocation("succeeded"))["responseContext"]


def test_records_that_were_never_delivered_have_no_response() -> None:
    assert "responseContext" not in note_of(None)

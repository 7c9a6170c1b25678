"""The event that Lambda makes of DynamoDB stream records, and the note it sends about records it gave up. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from local.event_sources.invocation import Invocation
from local.event_sources.stream_plan import GivenUp, Record, created_seconds, sequence_of


def stream_record(record: Mapping[str, Any], *, stream_arn: str) -> dict[str, Any]:
    """One record as `GetRecords` gives it, in the form in which a function receives it: plain JSON."""
    change = {name: _plain(value) for name, value in record["dynamodb"].items()}
    return {**{name: _plain(value) for name, value in record.items()}, "dynamodb": change, "eventSourceARN": stream_arn}


def stream_event(records: Sequence[Record]) -> dict[str, Any]:
    """The `Records` event."""
    return {"Records": list(records)}


def failure_note(
    given_up: GivenUp, *, invocation: Invocation | None, function_arn: str, shard: str, stream_arn: str, now: datetime
) -> dict[str, Any]:
    """What an on-failure queue or topic is told: which records, not their content.

    Args:
        given_up: The records and why.
        invocation: The last one, if the records were ever delivered.
        function_arn: What they were for.
        shard: Where they come from.
        stream_arn: Where that belongs to.
        now: When they were given up.
    """
    records = given_up.segment.records
    note: dict[str, Any] = {
        "requestContext": {
            "requestId": invocation.request_id if invocation else "",
            "functionArn": function_arn,
            "condition": given_up.condition,
            "approximateInvokeCount": given_up.segment.attempts,
        },
        "version": "1.0",
        "timestamp": _iso(now),
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": sequence_of(records[0]),
            "endSequenceNumber": sequence_of(records[-1]),
            "approximateArrivalOfFirstRecord": _iso(datetime.fromtimestamp(created_seconds(records[0]), UTC)),
            "approximateArrivalOfLastRecord": _iso(datetime.fromtimestamp(created_seconds(records[-1]), UTC)),
            "batchSize": len(records),
            "streamArn": stream_arn,
        },
    }
    if invocation is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": invocation.version}
        if invocation.outcome == "function-error":
            context["functionError"] = "Unhandled"
        note["responseContext"] = context
    return note


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

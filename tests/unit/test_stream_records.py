"""What a stream's records say was appended, as Lambda hands them over: JSON, with bytes in base64."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from flotilla.dynamo.event_log import to_item
from flotilla.dynamo.stream import appended, sequence_number
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event, Kind
from tests.logs import LogBuilder, log_of


def record_of(event: Event, name: str = "INSERT") -> dict[str, Any]:
    """The record that the stream has of an event's write."""
    image = {
        key: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
        for key, value in to_item(event, 1_800_000_000).items()
    }
    return {"eventName": name, "dynamodb": {"SequenceNumber": f"{event.seq + 1}00", "NewImage": image}}


def test_an_event_comes_out_of_the_stream_as_it_was_appended() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, input={"inline": {"text": "größe " * 1000}})
    builder.add(Kind.STARTED, attempt=1)
    assert [appended(record_of(event)) for event in builder.events] == builder.events
    assert [sequence_number(record_of(event)) for event in builder.events] == ["100", "200"]


def test_what_is_no_append_is_none() -> None:
    event = log_of()[0]
    assert appended(record_of(event, "MODIFY")) is None
    assert appended({"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "1", "OldImage": {}}}) is None


@pytest.mark.parametrize(
    "change",
    [{"hash": {"B": "not base64!"}}, {"hash": {"B": 7}}, {"seq": {"S": "1"}}, {"body": {"S": "{"}}, {"hash": 7}],
)
def test_what_no_version_can_have_written_is_a_corrupt_log(change: dict[str, Any]) -> None:
    record = record_of(log_of()[0])
    record["dynamodb"]["NewImage"] |= change
    with pytest.raises(CorruptLogError):
        appended(record)


def test_a_record_without_its_image_is_a_corrupt_log() -> None:
    with pytest.raises(CorruptLogError):
        appended({"eventName": "INSERT", "dynamodb": {"SequenceNumber": "1"}})


def test_an_event_of_a_later_version_is_left_to_it() -> None:
    record = record_of(log_of()[0])
    record["dynamodb"]["NewImage"]["kind"] = {"S": "kind_of_a_later_version"}
    with pytest.raises(RetryableError):
        appended(record)

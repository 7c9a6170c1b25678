"""The event log in DynamoDB: it keeps the contract, and every failure of the table is a retryable error."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.dynamo.event_log import DynamoEventLog, from_item, to_item
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Kind, verify_chain
from tests.contracts.event_log import EventLogContract, appended, read
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable
from tests.logs import START_MS, LogBuilder, log_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETENTION_DAYS = 30


@pytest.fixture
def log(dynamodb: DynamoDBClient, events_table: str) -> DynamoEventLog:
    return DynamoEventLog(dynamodb, events_table, RETENTION_DAYS, run_on_thread)


class TestDynamoEventLog(EventLogContract):
    """The contract, on the table that the templates make."""


def items(dynamodb: DynamoDBClient, table: str) -> list[dict[str, Any]]:
    return list(dynamodb.scan(TableName=table)["Items"])


def test_an_append_is_one_conditional_write(log: DynamoEventLog, dynamodb: DynamoDBClient) -> None:
    with requests_of(dynamodb, "PutItem") as requests:
        appended(log, *log_of(Kind.STARTED))
    assert len(requests) == 2
    assert all(request["ConditionExpression"] == "attribute_not_exists(task_id)" for request in requests)


def test_a_read_is_strongly_consistent_and_follows_every_page(log: DynamoEventLog, dynamodb: DynamoDBClient) -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, attempt=1)
    dice = random.Random(5)
    for number in range(24):  # letters that do not compress: more than two pages of 1 MB
        result = {"inline": dice.randbytes(60_000).hex()}
        builder.add(Kind.STEP_RECORDED, attempt=1, step=f"step-{number}", result=result)
    appended(log, *builder.events)
    with requests_of(dynamodb, "Query") as requests:
        assert read(log) == builder.events
    assert len(requests) >= 2
    assert all(request["ConsistentRead"] is True for request in requests)
    verify_chain(read(log))


def test_a_body_of_a_kilobyte_and_more_is_kept_compressed(
    log: DynamoEventLog, dynamodb: DynamoDBClient, events_table: str
) -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, note="word " * 10_000)
    appended(log, *builder.events)
    small, large = sorted(items(dynamodb, events_table), key=lambda item: item["seq"]["N"])
    assert "body" in small
    assert "body_z" not in small
    assert "body" not in large
    assert len(large["body_z"]["B"]) < 1000
    assert read(log) == builder.events


def test_a_happy_event_fits_one_write_unit(log: DynamoEventLog, dynamodb: DynamoDBClient, events_table: str) -> None:
    events = log_of(Kind.STARTED, Kind.SUCCEEDED)
    for event in events:
        units = dynamodb.put_item(TableName=events_table, Item=to_item(event, 0), ReturnConsumedCapacity="TOTAL")[
            "ConsumedCapacity"
        ]["CapacityUnits"]
        assert units == 1
        size = sum(len(name) + len(str(next(iter(value.values())))) for name, value in to_item(event, 0).items())
        assert size < 1024


def test_an_event_is_dropped_two_weeks_after_the_retention_and_not_before(
    log: DynamoEventLog, dynamodb: DynamoDBClient, events_table: str
) -> None:
    appended(log, *log_of())
    (item,) = items(dynamodb, events_table)
    assert int(item["expires_at"]["N"]) == START_MS // 1000 + (RETENTION_DAYS + 14) * 86_400


def test_a_task_that_is_due_later_is_kept_from_then_on(
    log: DynamoEventLog, dynamodb: DynamoDBClient, events_table: str
) -> None:
    builder = LogBuilder()
    due_at_ms = START_MS + 300 * 86_400_000
    builder.add(Kind.ACCEPTED, due_at_ms=due_at_ms)
    appended(log, *builder.events)
    (item,) = items(dynamodb, events_table)
    assert int(item["expires_at"]["N"]) == due_at_ms // 1000 + (RETENTION_DAYS + 14) * 86_400


def test_every_error_of_the_table_is_retryable(log: DynamoEventLog, dynamodb: DynamoDBClient) -> None:
    for code in ERRORS:
        with answering_with(dynamodb, "put_item", code), pytest.raises(RetryableError) as appending:
            appended(log, *log_of())
        with answering_with(dynamodb, "query", code), pytest.raises(RetryableError) as reading:
            read(log)
        assert {appending.value.code, reading.value.code} == {"event_log_unavailable"}


def test_a_table_that_is_not_there_is_retryable(dynamodb: DynamoDBClient) -> None:
    log = DynamoEventLog(dynamodb, "no-such-table", RETENTION_DAYS, run_on_thread)
    with pytest.raises(RetryableError):
        appended(log, *log_of())
    with pytest.raises(RetryableError):
        read(log)


def test_a_table_out_of_reach_is_retryable_and_nothing_was_written(
    log: DynamoEventLog, dynamodb: DynamoDBClient
) -> None:
    with unreachable(dynamodb, "PutItem"), pytest.raises(RetryableError):
        appended(log, *log_of())
    with unreachable(dynamodb, "Query"), pytest.raises(RetryableError):
        read(log)
    assert read(log) == []


def test_an_append_whose_answer_was_lost_is_recognised_when_it_is_sent_again(
    log: DynamoEventLog, dynamodb: DynamoDBClient
) -> None:
    (event,) = log_of()
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        appended(log, event)
    assert read(log) == [event], "it was written"
    assert appended(log, event) == [None]


def test_an_event_too_large_for_an_item_is_refused_and_not_cut(log: DynamoEventLog) -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, note=random.Random(7).randbytes(500_000).hex())
    with pytest.raises(RetryableError):
        appended(log, *builder.events)
    assert read(log) == []


def test_an_event_of_a_kind_that_a_later_version_writes_is_left_to_that_version(
    log: DynamoEventLog, dynamodb: DynamoDBClient, events_table: str
) -> None:
    """A deployment reaches functions one at a time: the older one must not take it for a fault in the log."""
    first, second = log_of(Kind.STARTED)
    appended(log, first)
    item = to_item(second, 0) | {"kind": {"S": "kind_of_a_later_version"}}
    dynamodb.put_item(TableName=events_table, Item=item)
    with pytest.raises(RetryableError):
        read(log)
    with pytest.raises(RetryableError):
        appended(log, replace(second, hash="0" * 64))


@pytest.mark.parametrize(
    "damage",
    [
        {"body": {"S": "{"}},
        {"body_z": {"B": b"not compressed"}},
        {"seq": {"N": "1.5"}},
        {"hash": {"S": "text"}},
        {"body": {"S": "[" * 100_000}},
    ],
    ids=lambda damage: f"{next(iter(damage))} {next(iter(damage.values()))!s:.20}",
)
def test_an_item_that_no_version_can_have_written_is_a_corrupt_log(damage: dict[str, Any]) -> None:
    """Not a ValueError: what reads logs knows what to do about `CorruptLogError` and about nothing else."""
    (event,) = log_of()
    with pytest.raises(CorruptLogError):
        from_item(to_item(event, 0) | damage)


@pytest.mark.parametrize("member", ["kind", "body", "hash", "at_ms"])
def test_an_item_that_lacks_what_every_event_has_is_a_corrupt_log(member: str) -> None:
    (event,) = log_of()
    item = to_item(event, 0)
    del item[member]
    with pytest.raises(CorruptLogError):
        from_item(item)


def test_members_that_a_later_version_adds_to_an_item_are_ignored() -> None:
    (event,) = log_of()
    assert from_item(to_item(event, 0) | {"later": {"S": "x"}, "expires_at_2": {"N": "1"}}) == event


def test_what_cannot_be_stored_is_refused_before_anything_is_sent(
    log: DynamoEventLog, dynamodb: DynamoDBClient
) -> None:
    """Half of a pair of surrogates is text to Python and nothing to the rest of the world."""
    (event,) = log_of()
    event = replace(event, body={"text": "caf\udce9"})
    with requests_of(dynamodb, "PutItem") as requests, pytest.raises(ValueError, match="surrogates"):
        appended(log, event)
    assert requests == []

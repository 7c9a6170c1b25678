"""Turns of sessions in DynamoDB: they keep the contract, and what is read of a session is bounded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flotilla.dynamo.session_turns import DynamoSessionTurns
from flotilla.errors import RetryableError
from tests.contracts.session_turns import SessionTurnsContract, put, read, turn
from tests.fakes import ManualClock, run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SESSION_DAYS = 30


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def turns(dynamodb: DynamoDBClient, control_table: str, clock: ManualClock) -> DynamoSessionTurns:
    return DynamoSessionTurns(dynamodb, control_table, SESSION_DAYS, clock, run_on_thread)


class TestDynamoSessionTurns(SessionTurnsContract):
    """The contract, on the table that the templates make."""


def test_a_turn_may_be_dropped_after_the_sessions_days(
    turns: DynamoSessionTurns, dynamodb: DynamoDBClient, control_table: str, clock: ManualClock
) -> None:
    put(turns, turn(0))
    (item,) = dynamodb.scan(TableName=control_table)["Items"]
    assert int(item["expires_at"]["N"]) == clock.now_ms() // 1000 + SESSION_DAYS * 86_400


def test_a_session_is_read_strongly_consistent_newest_first_and_no_further_than_can_be_held(
    turns: DynamoSessionTurns, dynamodb: DynamoDBClient
) -> None:
    put(turns, *(turn(number, "x" * 200_000) for number in range(30)))
    with requests_of(dynamodb, "Query") as requests:
        found = read(turns)
    assert len(requests) == 4
    assert all(request["ConsistentRead"] is True and request["ScanIndexForward"] is False for request in requests)
    positions = [each.position for each in found]
    assert positions == list(range(positions[0], 30)), "the newest, in order"
    assert 0 < positions[0] < 25


def test_a_sessions_name_is_not_in_the_table(
    turns: DynamoSessionTurns, dynamodb: DynamoDBClient, control_table: str
) -> None:
    put(turns, turn(0), session="somebody@example.com")
    (item,) = dynamodb.scan(TableName=control_table)["Items"]
    assert "example" not in str(item)


def test_every_error_of_the_table_is_retryable(turns: DynamoSessionTurns, dynamodb: DynamoDBClient) -> None:
    for code in ERRORS:
        with answering_with(dynamodb, "query", code), pytest.raises(RetryableError) as reading:
            read(turns)
        with answering_with(dynamodb, "put_item", code), pytest.raises(RetryableError) as putting:
            put(turns, turn(0))
        assert {reading.value.code, putting.value.code} == {"session_unavailable"}
    with unreachable(dynamodb, "PutItem"), pytest.raises(RetryableError):
        put(turns, turn(0), turn(1))


def test_turns_whose_answers_were_lost_may_be_put_again(turns: DynamoSessionTurns, dynamodb: DynamoDBClient) -> None:
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        put(turns, turn(0, "first"))
    put(turns, turn(0, "first"), turn(1, "second"))
    assert [each.content.inline for each in read(turns)] == ["first", "second"]


def test_turns_of_one_task_are_put_at_once(turns: DynamoSessionTurns, dynamodb: DynamoDBClient) -> None:
    wanted = [replace(turn(number), task_id="tsk_b") for number in range(100)]
    asyncio.run(turns.put("acme", "s", wanted))
    assert read(turns) == wanted

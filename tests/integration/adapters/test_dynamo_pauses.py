"""Pauses in DynamoDB: they keep the contract, and every failure of the table is a retryable error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flotilla.coordination import PauseScope, stop_mark
from flotilla.dynamo.pauses import DynamoPauses
from flotilla.errors import RetryableError
from tests.contracts.pauses import PAUSE, PausesContract, in_force, put, remove
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def pauses(dynamodb: DynamoDBClient, control_table: str) -> DynamoPauses:
    return DynamoPauses(dynamodb, control_table, run_on_thread)


class TestDynamoPauses(PausesContract):
    """The contract, on the table that the templates make."""


def test_all_pauses_are_one_strongly_consistent_query(pauses: DynamoPauses, dynamodb: DynamoDBClient) -> None:
    put(pauses, PAUSE)
    with requests_of(dynamodb, "Query") as requests:
        in_force(pauses)
    assert [request["ConsistentRead"] for request in requests] == [True]


def test_what_else_is_in_the_table_is_no_pause(
    pauses: DynamoPauses, dynamodb: DynamoDBClient, control_table: str
) -> None:
    put(pauses, PAUSE)
    for pk, sk in (("PAUSES", "lane#batch"), ("KEY#1", "KEY"), ("PAUSE", "tenant#acme")):
        dynamodb.put_item(TableName=control_table, Item={"pk": {"S": pk}, "sk": {"S": sk}})
    assert in_force(pauses) == [PAUSE], "one of a scope that only a later version knows is that version's"


def test_the_mark_of_a_stopped_run_goes_by_itself_after_a_day(
    pauses: DynamoPauses, dynamodb: DynamoDBClient, control_table: str
) -> None:
    put(pauses, stop_mark("wfl_1", "broadcaster:1", 1_700_000_000_000))
    key = {"pk": {"S": "PAUSE"}, "sk": {"S": "run#wfl_1"}}
    item = dynamodb.get_item(TableName=control_table, Key=key)["Item"]
    assert item["expires_at"] == {"N": "1700086400"}, "the table's time to live"
    put(pauses, PAUSE)
    key = {"pk": {"S": "PAUSE"}, "sk": {"S": "lane#batch"}}
    assert "expires_at" not in dynamodb.get_item(TableName=control_table, Key=key)["Item"]


def test_every_error_of_the_table_is_retryable(pauses: DynamoPauses, dynamodb: DynamoDBClient) -> None:
    for code in ERRORS:
        with answering_with(dynamodb, "query", code), pytest.raises(RetryableError) as reading:
            in_force(pauses)
        with answering_with(dynamodb, "put_item", code), pytest.raises(RetryableError) as putting:
            put(pauses, PAUSE)
        with answering_with(dynamodb, "delete_item", code), pytest.raises(RetryableError) as removing:
            remove(pauses, PauseScope.FLEET, "")
        assert {reading.value.code, putting.value.code, removing.value.code} == {"pauses_unavailable"}
    with unreachable(dynamodb, "Query"), pytest.raises(RetryableError):
        in_force(pauses)


def test_calls_whose_answers_were_lost_may_be_repeated(pauses: DynamoPauses, dynamodb: DynamoDBClient) -> None:
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        put(pauses, PAUSE)
    put(pauses, PAUSE)
    assert in_force(pauses) == [PAUSE]
    with answers_lost(dynamodb, "DeleteItem"), pytest.raises(RetryableError):
        remove(pauses, PAUSE.scope, PAUSE.name)
    remove(pauses, PAUSE.scope, PAUSE.name)
    assert in_force(pauses) == []

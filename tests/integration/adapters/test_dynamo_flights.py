"""Leaders of cache keys in DynamoDB: they keep the contract, at one conditional write a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flotilla.dynamo.flights import DynamoFlights
from flotilla.errors import RetryableError
from tests.contracts.flights import EXPIRES_AT, KEY, FlightsContract, lead
from tests.integration.adapters.atomic_calls import run_atomically
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def flights(dynamodb: DynamoDBClient, control_table: str) -> DynamoFlights:
    return DynamoFlights(dynamodb, control_table, run_atomically)


class TestDynamoFlights(FlightsContract):
    """The contract, on the table that the templates make."""


def test_asking_is_one_conditional_write_and_no_read(flights: DynamoFlights, dynamodb: DynamoDBClient) -> None:
    calls: list[str] = []

    def count(model: Any, **_: Any) -> None:
        calls.append(model.name)

    dynamodb.meta.events.register("before-call", count)
    try:
        lead(flights, "tsk_a")
        lead(flights, "tsk_b")
        lead(flights, "tsk_b", instead_of="tsk_a")
    finally:
        dynamodb.meta.events.unregister("before-call", count)
    assert calls == ["PutItem"] * 3


def test_an_entry_may_be_forgotten_in_time_and_every_ask_of_its_leader_puts_that_off(
    flights: DynamoFlights, dynamodb: DynamoDBClient, control_table: str
) -> None:
    lead(flights, "tsk_a")
    (item,) = dynamodb.scan(TableName=control_table)["Items"]
    assert item["expires_at"]["N"] == str(EXPIRES_AT)
    with requests_of(dynamodb, "PutItem") as requests:
        lead(flights, "tsk_a")
    assert requests[0]["Item"]["expires_at"]["N"] == str(EXPIRES_AT)
    assert (item["pk"]["S"], item["sk"]["S"]) == (KEY, "LEADER")


def test_every_error_of_the_table_is_retryable(flights: DynamoFlights, dynamodb: DynamoDBClient) -> None:
    for code in ERRORS:
        with answering_with(dynamodb, "put_item", code), pytest.raises(RetryableError) as asking:
            lead(flights, "tsk_a")
        assert asking.value.code == "flights_unavailable"
    with unreachable(dynamodb, "PutItem"), pytest.raises(RetryableError):
        lead(flights, "tsk_a")


def test_an_ask_whose_answer_was_lost_may_be_repeated(flights: DynamoFlights, dynamodb: DynamoDBClient) -> None:
    lead(flights, "tsk_dead")
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        lead(flights, "tsk_a", instead_of="tsk_dead")
    assert lead(flights, "tsk_a", instead_of="tsk_dead") == "tsk_a"

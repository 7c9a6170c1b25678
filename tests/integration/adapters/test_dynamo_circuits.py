"""Circuits in DynamoDB: they keep the contract, cost what is promised, and every failure is a retryable error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.dynamo.circuits import COUNTS_KEPT_SECONDS, DynamoCircuits
from flotilla.errors import RetryableError
from flotilla.primitives.circuit import CircuitRecord
from flotilla.primitives.circuit_window import sub_bucket_of
from tests.contracts.circuit_store import (
    CRM,
    FIRST,
    NOW_MS,
    SECOND,
    CircuitStoreContract,
    acquire,
    add,
    give_back,
    read,
    run,
    transition,
    window,
)
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def store(dynamodb: DynamoDBClient, control_table: str) -> DynamoCircuits:
    return DynamoCircuits(dynamodb, control_table, run_on_thread)


class TestDynamoCircuits(CircuitStoreContract):
    """The contract, on the table that the templates make."""


def test_a_healthy_call_reads_at_half_price(store: DynamoCircuits, dynamodb: DynamoDBClient) -> None:
    with requests_of(dynamodb, "GetItem") as reads, requests_of(dynamodb, "Query") as queries:
        run(store.read(CRM, consistent=False))
        run(store.read(CRM, consistent=True))
        window(store)
    assert [request["ConsistentRead"] for request in (*reads, *queries)] == [False, True, False]


def test_an_item_of_counts_is_one_write_unit_even_in_an_outage(
    store: DynamoCircuits, dynamodb: DynamoDBClient, control_table: str
) -> None:
    """Each column once: 44 latencies of which a dozen occur, and a sub-bucket that was half well and half down."""
    columns = {"ok": 99_999, "failed": 99_999, "slow": 9_999}
    columns |= {f"h{number}": 9_999 for number in range(8, 20)}
    columns |= {f"{'p' if slot < 25 else 'f'}{slot}": 99 for slot in range(50)}
    add(store, columns)
    (item,) = dynamodb.scan(TableName=control_table)["Items"]
    # A number takes a byte for two digits and one more; a name its letters; an item a little besides.
    size = sum(len(name) + len(str(value)) // 2 + 3 for name, value in item.items() for value in value.values())
    assert size < 1024


def test_counts_are_forgotten_some_time_after_they_have_served(
    store: DynamoCircuits, dynamodb: DynamoDBClient, control_table: str
) -> None:
    add(store, {"ok": 1})
    (item,) = dynamodb.scan(TableName=control_table)["Items"]
    assert int(item["expires_at"]["N"]) == sub_bucket_of(NOW_MS) // 1000 + COUNTS_KEPT_SECONDS


def test_what_a_later_version_adds_to_a_record_is_passed_over(
    store: DynamoCircuits, dynamodb: DynamoDBClient, control_table: str
) -> None:
    transition(store, FIRST)
    dynamodb.update_item(
        TableName=control_table,
        Key={"pk": {"S": f"CIRCUIT#{CRM}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET colour = :colour REMOVE passed",
        ExpressionAttributeValues={":colour": {"S": "red"}},
    )
    assert read(store).passed == CircuitRecord().passed
    assert transition(store, SECOND) is None


def test_a_state_that_only_a_later_version_knows_stops_nobody(
    store: DynamoCircuits, dynamodb: DynamoDBClient, control_table: str
) -> None:
    transition(store, FIRST)
    dynamodb.update_item(
        TableName=control_table,
        Key={"pk": {"S": f"CIRCUIT#{CRM}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET #state = :state",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": {"S": "ajar"}},
    )
    with pytest.raises(RetryableError):
        read(store)


CALLS: list[tuple[str, str, Callable[[DynamoCircuits], Any]]] = [
    ("get_item", "GetItem", read),
    ("put_item", "PutItem", lambda store: transition(store, SECOND)),
    ("put_item", "PutItem", lambda store: transition(store, FIRST)),
    ("update_item", "UpdateItem", lambda store: add(store, {"ok": 1})),
    ("query", "Query", window),
    ("put_item", "PutItem", lambda store: acquire(store, 0, "env-1/1")),
    ("delete_item", "DeleteItem", lambda store: give_back(store, 0, "env-1/1")),
    ("query", "Query", lambda store: run(store.probes(CRM))),
    ("query", "Query", lambda store: run(store.names())),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[1])
def test_every_error_of_the_table_is_retryable(
    store: DynamoCircuits, dynamodb: DynamoDBClient, call: tuple[str, str, Callable[[DynamoCircuits], Any]]
) -> None:
    method, operation, make = call
    for code in ERRORS:
        with answering_with(dynamodb, method, code), pytest.raises(RetryableError) as raised:
            make(store)
        assert raised.value.code == "circuits_unavailable"
    with unreachable(dynamodb, operation), pytest.raises(RetryableError):
        make(store)


def test_calls_whose_answers_were_lost_may_be_repeated(store: DynamoCircuits, dynamodb: DynamoDBClient) -> None:
    transition(store, FIRST)
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        transition(store, SECOND)
    assert transition(store, SECOND) is None
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        acquire(store, 0, "env-1/1")
    assert acquire(store, 0, "env-1/1") is None
    with answers_lost(dynamodb, "DeleteItem"), pytest.raises(RetryableError):
        give_back(store, 0, "env-1/1")
    give_back(store, 0, "env-1/1")
    assert run(store.probes(CRM)) == []

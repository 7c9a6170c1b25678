"""Webhook endpoints in DynamoDB: they keep the contract, and every failure of the table is a retryable error."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.broadcast import Breaker, Endpoint, EndpointState
from flotilla.dynamo.endpoints import PARTITION_PREFIX, DynamoEndpoints, from_item, to_item
from flotilla.errors import RetryableError
from flotilla.models import Status
from tests.contracts.endpoints import ENDPOINT, EndpointsContract, run
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def endpoints(dynamodb: DynamoDBClient, control_table: str) -> DynamoEndpoints:
    return DynamoEndpoints(dynamodb, control_table, run_on_thread)


class TestDynamoEndpoints(EndpointsContract):
    """The contract, on the table that the templates make."""


def calls(endpoints: DynamoEndpoints) -> dict[str, Coroutine[Any, Any, Any]]:
    return {
        "put_item": endpoints.add(ENDPOINT),
        "get_item": endpoints.get("acme", "whk_1"),
        "query": endpoints.of("acme"),
        "update_item": endpoints.change(ENDPOINT),
        "delete_item": endpoints.remove("acme", "whk_1"),
    }


@pytest.mark.parametrize("operation", ["put_item", "get_item", "query", "update_item", "delete_item"])
def test_every_error_of_the_table_is_retryable(
    endpoints: DynamoEndpoints, dynamodb: DynamoDBClient, operation: str
) -> None:
    for code in ERRORS:
        works = calls(endpoints)
        work = works.pop(operation)
        for other in works.values():
            other.close()
        with answering_with(dynamodb, operation, code), pytest.raises(RetryableError) as failed:
            asyncio.run(work)
        assert failed.value.code == "endpoints_unavailable"


def test_a_table_out_of_reach_is_retryable(endpoints: DynamoEndpoints, dynamodb: DynamoDBClient) -> None:
    with unreachable(dynamodb, "Query"), pytest.raises(RetryableError):
        run(endpoints.asked_for())
    with unreachable(dynamodb, "UpdateItem"), pytest.raises(RetryableError):
        run(endpoints.ask_for([Status.RUNNING]))


def test_a_change_whose_answer_was_lost_is_not_made_twice(endpoints: DynamoEndpoints, dynamodb: DynamoDBClient) -> None:
    run(endpoints.add(ENDPOINT))
    changed = replace(ENDPOINT, breaker=Breaker(1))
    with answers_lost(dynamodb, "UpdateItem"), pytest.raises(RetryableError):
        run(endpoints.change(changed))
    assert not run(endpoints.change(changed)), "somebody has changed it since: this very call"
    assert run(endpoints.get("acme", "whk_1")) == replace(changed, version=1)


def test_everything_lies_in_partitions_of_its_own(
    endpoints: DynamoEndpoints, dynamodb: DynamoDBClient, control_table: str
) -> None:
    """What roles are given is keyed by that prefix."""
    run(endpoints.add(ENDPOINT))
    run(endpoints.ask_for([Status.RUNNING]))
    keys = {item["pk"]["S"] for item in dynamodb.scan(TableName=control_table)["Items"]}
    assert keys == {f"{PARTITION_PREFIX}acme", PARTITION_PREFIX}
    assert PARTITION_PREFIX == "WEBHOOKS#"


def test_reads_are_strongly_consistent_and_follow_every_page(
    endpoints: DynamoEndpoints, dynamodb: DynamoDBClient
) -> None:
    many = [replace(ENDPOINT, id=f"whk_{number:02}", agents=("x" * 60_000,)) for number in range(20)]
    for endpoint in many:
        run(endpoints.add(endpoint))
    with requests_of(dynamodb, "Query") as queries, requests_of(dynamodb, "GetItem") as gets:
        assert run(endpoints.of("acme")) == many
        run(endpoints.get("acme", "whk_01"))
    assert len(queries) >= 2
    assert all(request["ConsistentRead"] is True for request in (*queries, *gets))


def test_what_a_later_version_wrote_is_read_as_far_as_it_is_known() -> None:
    item = to_item(ENDPOINT) | {
        "events": {"S": '["succeeded","later_status"]'},
        "endpoint_state": {"S": "later_state"},
        "later": {"S": "x"},
    }
    found: Endpoint = from_item(item)
    assert found.events == (Status.SUCCEEDED,)
    assert found.state is EndpointState.DISABLED, "what is not known to be active is told nothing"

"""What the scaler remembers in DynamoDB: it keeps the contract, and every failure of the table is a retryable error."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from flotilla.dynamo.scaling_memory import DynamoScalingMemories
from flotilla.errors import RetryableError
from flotilla.scaling_ports import Remembered
from tests.contracts.scaling import MEMORY, ScalingMemoriesContract
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def memories(dynamodb: DynamoDBClient, control_table: str) -> DynamoScalingMemories:
    return DynamoScalingMemories(dynamodb, control_table, run_on_thread)


class TestDynamoScalingMemories(ScalingMemoriesContract):
    """The contract, on the table that the templates make."""


def test_it_is_one_strongly_consistent_read(memories: DynamoScalingMemories, dynamodb: DynamoDBClient) -> None:
    with requests_of(dynamodb, "GetItem") as requests:
        asyncio.run(memories.read())
    assert [request["ConsistentRead"] for request in requests] == [True]


def test_what_a_later_version_remembers_besides_is_not_minded(
    memories: DynamoScalingMemories, dynamodb: DynamoDBClient, control_table: str
) -> None:
    asyncio.run(memories.follow(MEMORY))
    (item,) = dynamodb.scan(TableName=control_table)["Items"]
    lanes = json.dumps({"standard": {"concurrency": 3, "reserved": 4, "phase_of_the_moon": 5}})
    dynamodb.put_item(TableName=control_table, Item={**item, "lanes": {"S": lanes}, "more": {"S": "x"}})
    assert asyncio.run(memories.read()).lanes == {"standard": Remembered(3, 4)}


def test_a_memory_whose_answer_was_lost_is_stored_and_known_again(
    memories: DynamoScalingMemories, dynamodb: DynamoDBClient
) -> None:
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        asyncio.run(memories.follow(MEMORY))
    assert asyncio.run(memories.follow(MEMORY))


def test_every_error_of_the_table_is_retryable(memories: DynamoScalingMemories, dynamodb: DynamoDBClient) -> None:
    for code in ERRORS:
        with answering_with(dynamodb, "get_item", code), pytest.raises(RetryableError) as reading:
            asyncio.run(memories.read())
        with answering_with(dynamodb, "put_item", code), pytest.raises(RetryableError):
            asyncio.run(memories.follow(MEMORY))
        assert reading.value.code == "scaling_memory_unavailable"

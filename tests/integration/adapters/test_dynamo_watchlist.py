"""The watchlist on the read model's table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from flotilla.dynamo.views import DynamoReadModel
from flotilla.dynamo.watchlist import DynamoWatchlist
from flotilla.errors import StoreUnavailableError
from flotilla.read_model import SweepMark, Watched
from tests.aws_resources import make_table
from tests.contracts.watchlist import NOW_MS, PARKED, WatchlistContract
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable
from tests.synthesis import Templates

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WATCHED = Watched("tsk_1", "acme", PARKED.created_at_ms, head_seq=2, looks=1)


@pytest.fixture
def table(dynamodb: DynamoDBClient, templates: Templates) -> Iterator[str]:
    name = make_table(dynamodb, templates, "flotilla-views")
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def views(dynamodb: DynamoDBClient, table: str) -> DynamoReadModel:
    return DynamoReadModel(dynamodb, table, run_on_thread)


@pytest.fixture
def watchlist(dynamodb: DynamoDBClient, table: str) -> DynamoWatchlist:
    return DynamoWatchlist(dynamodb, table, run_on_thread)


class TestDynamoWatchlist(WatchlistContract):
    """The contract, on the table that the template makes."""


def test_a_look_at_an_empty_list_is_one_query_for_each_shard(
    dynamodb: DynamoDBClient, watchlist: DynamoWatchlist
) -> None:
    with requests_of(dynamodb, "Query") as queries:
        asyncio.run(watchlist.overdue(NOW_MS, limit=10))
    assert len(queries) == 4
    assert {query["IndexName"] for query in queries} == {"watch"}


def test_what_fails_is_retryable(dynamodb: DynamoDBClient, watchlist: DynamoWatchlist) -> None:
    for code in ERRORS:
        for operation, call in {
            "query": watchlist.mark("10m"),
            "update_item": watchlist.set_mark("10m", SweepMark(1, 2)),
        }.items():
            with answering_with(dynamodb, operation, code), pytest.raises(StoreUnavailableError) as failing:
                asyncio.run(call)
            assert failing.value.code == "views_unavailable"
    with unreachable(dynamodb, "Query"), pytest.raises(StoreUnavailableError):
        asyncio.run(watchlist.overdue(NOW_MS, limit=10))
    with unreachable(dynamodb, "UpdateItem"), pytest.raises(StoreUnavailableError):
        asyncio.run(watchlist.look_again(WATCHED, NOW_MS))


def test_a_look_whose_answer_was_lost_may_be_repeated(
    dynamodb: DynamoDBClient, views: DynamoReadModel, watchlist: DynamoWatchlist
) -> None:
    asyncio.run(views.put(PARKED))
    with answers_lost(dynamodb, "UpdateItem"), pytest.raises(StoreUnavailableError):
        asyncio.run(watchlist.look_again(WATCHED, NOW_MS + 5))
    asyncio.run(watchlist.look_again(WATCHED, NOW_MS + 5))
    assert asyncio.run(watchlist.overdue(NOW_MS + 5, limit=9)) == [WATCHED]

"""Entries of the views table that anything was done to, put right; and every failure a retryable error."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.dynamo.view_items import key_of, to_item
from flotilla.dynamo.view_mending import DynamoEntryMender
from flotilla.dynamo.views import KEPT_DAYS, DynamoReadModel
from flotilla.dynamo.watchlist import DynamoWatchlist
from flotilla.errors import StoreUnavailableError
from flotilla.read_model import Entry
from flotilla.retention_ports import Mended, Standing
from tests.contracts.mending import ARCHIVED, EntryMenderContract, mend
from tests.contracts.read_model import DEAD, PARKED, QUEUED, SUCCEEDED, get, put
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def views(dynamodb: DynamoDBClient, views_table: str) -> DynamoReadModel:
    return DynamoReadModel(dynamodb, views_table, run_on_thread)


@pytest.fixture
def watchlist(dynamodb: DynamoDBClient, views_table: str) -> DynamoWatchlist:
    return DynamoWatchlist(dynamodb, views_table, run_on_thread)


@pytest.fixture
def mender(dynamodb: DynamoDBClient, views_table: str) -> DynamoEntryMender:
    return DynamoEntryMender(dynamodb, views_table, run_on_thread)


class TestDynamoEntryMender(EntryMenderContract):
    """The contract, on the table that the template makes."""


def key(entry: Entry) -> dict[str, Any]:
    return key_of(entry.tenant, entry.task_id, entry.created_at_ms)


def attributes_of(entry: Entry) -> list[str]:
    return sorted(to_item(entry, KEPT_DAYS).keys() - {"pk", "sk"})


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        pytest.param(entry, name, id=f"{entry.status}-{name}")
        for entry in (PARKED, DEAD, ARCHIVED)
        for name in attributes_of(entry)
        if name != "archive_key"
    ],
)
def test_an_item_that_lacks_anything_or_has_it_wrong_is_put_right(
    dynamodb: DynamoDBClient, views_table: str, mender: DynamoEntryMender, entry: Entry, name: str
) -> None:
    whole = to_item(entry, KEPT_DAYS)
    wrong = {"N": "0"} if "N" in whole[name] else {"B": b"\x00"} if "B" in whole[name] else {"S": "5#x"}
    lacking = {each: value for each, value in whole.items() if each != name}
    other_type = {"S": "?"} if "N" in whole[name] else {"BOOL": True}
    damaged: list[dict[str, Any]] = [lacking, lacking | {name: wrong}]
    if not name.endswith(("_pk", "_sk")):  # which an index takes as texts only
        damaged.append(lacking | {name: other_type})
    for item in damaged:
        dynamodb.put_item(TableName=views_table, Item=item)
        assert mend(mender, entry).stored
        found = dynamodb.get_item(TableName=views_table, Key=key(entry), ConsistentRead=True)["Item"]
        if name != "watch_sk" or name not in item:
            assert found == whole
        assert not mend(mender, entry).stored


def test_an_attribute_of_a_later_version_is_no_reason_to_write(
    dynamodb: DynamoDBClient, views_table: str, mender: DynamoEntryMender
) -> None:
    dynamodb.put_item(TableName=views_table, Item=to_item(DEAD, KEPT_DAYS) | {"later": {"S": "x"}})
    assert not mend(mender, DEAD).stored


def test_an_attribute_that_the_entry_should_not_have_is_taken_away(
    dynamodb: DynamoDBClient, views_table: str, mender: DynamoEntryMender
) -> None:
    item = to_item(QUEUED, KEPT_DAYS) | {"dead_pk": {"S": "DEAD#x"}, "dead_sk": {"S": "1#x"}, "expires_at": {"N": "1"}}
    dynamodb.put_item(TableName=views_table, Item=item)
    assert mend(mender, QUEUED).stored
    found = dynamodb.get_item(TableName=views_table, Key=key(QUEUED))["Item"]
    assert found == to_item(QUEUED, KEPT_DAYS)


def test_what_is_right_costs_one_read(mender: DynamoEntryMender, dynamodb: DynamoDBClient) -> None:
    mend(mender, DEAD)
    with requests_of(dynamodb, "GetItem") as reads, requests_of(dynamodb, "PutItem") as writes:
        mend(mender, DEAD)
    assert (len(reads), writes) == (1, [])
    assert reads[0]["ConsistentRead"]


def test_whoever_follows_the_log_meanwhile_is_not_set_back(
    mender: DynamoEntryMender, views: DynamoReadModel, dynamodb: DynamoDBClient
) -> None:
    put(views, replace(QUEUED, attempt=3))

    def projector(params: dict[str, Any], **_: Any) -> None:
        dynamodb.meta.events.unregister("provide-client-params.dynamodb.PutItem", projector)
        put(views, PARKED)

    dynamodb.meta.events.register("provide-client-params.dynamodb.PutItem", projector)
    assert mend(mender, QUEUED) == Mended(False, Standing(2, None))
    assert get(views) == PARKED


def test_what_is_archived_meanwhile_stays_so(
    mender: DynamoEntryMender, views: DynamoReadModel, dynamodb: DynamoDBClient
) -> None:
    put(views, replace(SUCCEEDED, attempt=3))

    def projector(params: dict[str, Any], **_: Any) -> None:
        dynamodb.meta.events.unregister("provide-client-params.dynamodb.PutItem", projector)
        put(views, ARCHIVED)

    dynamodb.meta.events.register("provide-client-params.dynamodb.PutItem", projector)
    assert mend(mender, SUCCEEDED) == Mended(False, Standing(2, "archive/a"))
    assert get(views) == ARCHIVED


def test_every_error_of_the_table_is_retryable(mender: DynamoEntryMender, dynamodb: DynamoDBClient) -> None:
    for code in ERRORS:
        with answering_with(dynamodb, "get_item", code), pytest.raises(StoreUnavailableError):
            mend(mender, QUEUED)
    for operation in ("GetItem", "PutItem"):
        with unreachable(dynamodb, operation), pytest.raises(StoreUnavailableError):
            mend(mender, QUEUED)


def test_a_write_whose_answer_was_lost_may_be_repeated(
    mender: DynamoEntryMender, views: DynamoReadModel, dynamodb: DynamoDBClient
) -> None:
    with answers_lost(dynamodb, "PutItem"), pytest.raises(StoreUnavailableError):
        mend(mender, DEAD)
    assert not mend(mender, DEAD).stored
    assert asyncio.run(views.get("acme", "tsk_1", DEAD.created_at_ms)) == DEAD

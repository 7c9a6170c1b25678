"""Buckets, limits, slots and budgets in DynamoDB: they keep their contracts, at one conditional write a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.dynamo.buckets import DynamoBuckets
from flotilla.dynamo.budgets import DynamoBudgets
from flotilla.dynamo.limit_settings import DynamoLimitSettings
from flotilla.dynamo.slots import DynamoSlots
from flotilla.errors import StoreUnavailableError
from flotilla.primitives.budget import Reserve
from flotilla.primitives.slots import Claim, Slot
from flotilla.primitives.token_bucket import Limit, Make, Shift
from tests.contracts.buckets import BUCKET, BucketsContract, LimitSettingsContract, add, draw, now
from tests.contracts.budgets import BudgetsContract, change, hold
from tests.contracts.slots import SlotsContract, claim, held
from tests.integration.adapters.atomic_calls import run_atomically
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def buckets(dynamodb: DynamoDBClient, control_table: str) -> DynamoBuckets:
    return DynamoBuckets(dynamodb, control_table, run_atomically)


@pytest.fixture
def settings(dynamodb: DynamoDBClient, control_table: str) -> DynamoLimitSettings:
    return DynamoLimitSettings(dynamodb, control_table, run_atomically)


@pytest.fixture
def slots(dynamodb: DynamoDBClient, control_table: str) -> DynamoSlots:
    return DynamoSlots(dynamodb, control_table, run_atomically)


@pytest.fixture
def budgets(dynamodb: DynamoDBClient, control_table: str) -> DynamoBudgets:
    return DynamoBudgets(dynamodb, control_table, run_atomically)


class TestDynamoBuckets(BucketsContract):
    """The contract, on the table that the templates make."""


class TestDynamoLimitSettings(LimitSettingsContract):
    """The contract, on the table that the templates make."""


class TestDynamoSlots(SlotsContract):
    """The contract, on the table that the templates make."""


class TestDynamoBudgets(BudgetsContract):
    """The contract, on the table that the templates make."""


def test_every_change_is_one_conditional_write_and_no_read(
    buckets: DynamoBuckets, budgets: DynamoBudgets, slots: DynamoSlots, dynamodb: DynamoDBClient
) -> None:
    calls: list[str] = []

    def count(model: Any, **_: Any) -> None:
        calls.append(model.name)

    dynamodb.meta.events.register("before-call", count)
    try:
        draw(buckets, Make(BUCKET, 1000))
        draw(buckets, add(1000))
        draw(buckets, add(1000, rate=1))
        draw(buckets, Shift(-1, BUCKET, 5))
        change(budgets, Reserve("a", hold(60), 40))
        change(budgets, Reserve("a", hold(60), 40))
        claim(slots, 0, "a")
        claim(slots, 0, "b")
    finally:
        dynamodb.meta.events.unregister("before-call", count)
    assert calls == ["UpdateItem"] * 6 + ["PutItem"] * 2


def test_what_is_not_changed_any_more_may_be_forgotten_in_time(
    buckets: DynamoBuckets, budgets: DynamoBudgets, slots: DynamoSlots, dynamodb: DynamoDBClient, control_table: str
) -> None:
    draw(buckets, Make(BUCKET, 1000))
    draw(buckets, add(1))
    change(budgets, Reserve("a", hold(60), 40))
    claim(slots, 7, "a")
    items = dynamodb.scan(TableName=control_table)["Items"]
    assert {item["expires_at"]["N"] for item in items} == {"4000000000"}
    assert {(item["pk"]["S"], item["sk"]["S"]) for item in items} == {
        ("BUCKET#client#k1", "BUCKET"),
        ("BUDGET#task#tsk_1", "BUDGET"),
        ("SLOTS#crm", "SLOT#00007"),
    }


def test_a_bucket_and_slots_are_read_at_half_the_price(
    buckets: DynamoBuckets, slots: DynamoSlots, dynamodb: DynamoDBClient
) -> None:
    with requests_of(dynamodb, "GetItem") as looks, requests_of(dynamodb, "Query") as reads:
        now(buckets)
        held(slots)
    assert [request["ConsistentRead"] for request in (*looks, *reads)] == [False, False]


def test_every_error_of_the_table_is_retryable(
    buckets: DynamoBuckets,
    budgets: DynamoBudgets,
    settings: DynamoLimitSettings,
    slots: DynamoSlots,
    dynamodb: DynamoDBClient,
) -> None:
    calls: list[tuple[str, str, Callable[[], Any]]] = [
        ("update_item", "buckets_unavailable", lambda: draw(buckets, add(1))),
        ("get_item", "buckets_unavailable", lambda: now(buckets)),
        ("update_item", "budgets_unavailable", lambda: change(budgets, Reserve("a", hold(60), 40))),
        ("query", "limit_settings_unavailable", lambda: asyncio.run(settings.read())),
        ("put_item", "limit_settings_unavailable", lambda: asyncio.run(settings.put("a", Limit(1, 1)))),
        ("delete_item", "limit_settings_unavailable", lambda: asyncio.run(settings.remove("a"))),
        ("query", "slots_unavailable", lambda: held(slots)),
        ("put_item", "slots_unavailable", lambda: claim(slots, 0, "a")),
        ("delete_item", "slots_unavailable", lambda: asyncio.run(slots.give_up("crm", 0, "a"))),
    ]
    for operation, code, call in calls:
        for error in ERRORS:
            with answering_with(dynamodb, operation, error), pytest.raises(StoreUnavailableError) as raised:
                call()
            assert raised.value.code == code


def test_changes_whose_answers_were_lost_are_recognised(
    buckets: DynamoBuckets, budgets: DynamoBudgets, slots: DynamoSlots, dynamodb: DynamoDBClient
) -> None:
    draw(buckets, Make(BUCKET, 1000))
    with answers_lost(dynamodb, "UpdateItem"), pytest.raises(StoreUnavailableError):
        draw(buckets, Shift(-400, BUCKET, 5))
    assert not draw(buckets, Shift(-400, BUCKET, 5)).done
    with answers_lost(dynamodb, "UpdateItem"), pytest.raises(StoreUnavailableError):
        change(budgets, Reserve("a", hold(60), 100))
    assert change(budgets, Reserve("a", hold(60), 100)).before.used == 60
    with answers_lost(dynamodb, "PutItem"), pytest.raises(StoreUnavailableError):
        claim(slots, 0, "a")
    assert asyncio.run(slots.claim("crm", Claim(Slot(0, "a", 5), 0), 4_000_000_000)) is None

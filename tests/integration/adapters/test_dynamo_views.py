"""The read model in DynamoDB: the contract, on the table and indexes that the template makes, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flotilla.dynamo.view_items import from_item, from_unreadable_item, to_item, to_unreadable_item
from flotilla.dynamo.views import DynamoReadModel
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.events import Kind
from flotilla.models import Status
from flotilla.read_model import DeadFilter, Entry, EntryFilter, UnreadableMessage
from flotilla.services.project import entry_of_log
from tests.contracts.read_model import DEAD, MESSAGE, NOW_MS, PARKED, QUEUED, SUCCEEDED, ReadModelContract, get, put
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, answers_lost, requests_of, unreachable
from tests.logs import log_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_DAYS = 100
INDEX_KEYS = {f"{index}_{part}" for index in ("attention", "dead", "watch", "run") for part in ("pk", "sk")}


@pytest.fixture
def views(dynamodb: DynamoDBClient, views_table: str) -> DynamoReadModel:
    return DynamoReadModel(dynamodb, views_table, run_on_thread, kept_days=KEPT_DAYS)


class TestDynamoReadModel(ReadModelContract):
    """The contract."""


def size_of(item: dict[str, Any]) -> int:
    return sum(len(name.encode()) + _bytes_in(next(iter(value.values()))) for name, value in item.items())


def _bytes_in(value: Any) -> int:
    return len(value) if isinstance(value, bytes) else len(str(value).encode())


def test_a_task_without_trouble_is_one_small_item_in_no_index() -> None:
    for entry in (QUEUED, replace(SUCCEEDED, archive_key="archive/2026/01/01/00/" + "a" * 40 + ".jsonl.gz")):
        longest = replace(entry, tenant="t" * 64, agent="a" * 128, session="s" * 256, task_id="tsk_" + "0" * 32)
        item = to_item(longest, KEPT_DAYS)
        assert not INDEX_KEYS & item.keys()
        assert size_of(item) < 1000, "one write unit"


def test_a_put_is_one_write(views: DynamoReadModel, dynamodb: DynamoDBClient) -> None:
    put(views, replace(QUEUED, task_id="tsk_0"))  # the tenant is known from now on
    with requests_of(dynamodb, "PutItem") as writes, requests_of(dynamodb, "Query") as reads:
        put(views, QUEUED, SUCCEEDED)
    assert (len(writes), len(reads)) == (2, 0)


def test_tenants_and_agents_are_registered_once_by_each_process(
    views: DynamoReadModel, dynamodb: DynamoDBClient
) -> None:
    async def put_together(entries: Sequence[Entry]) -> None:
        await asyncio.gather(*(views.put(entry) for entry in entries))

    letters = [replace(DEAD, task_id=f"tsk_{number}") for number in range(20)]
    with requests_of(dynamodb, "PutItem") as writes:
        asyncio.run(put_together(letters))
        put(views, *(replace(letter, head_seq=9) for letter in letters))
    assert len(writes) == 2 + 20 + 20


def test_only_what_is_the_exception_is_indexed() -> None:
    items = {status: to_item(replace(QUEUED, status=status), KEPT_DAYS) for status in Status}
    indexed = {status: {key.partition("_")[0] for key in INDEX_KEYS & item.keys()} for status, item in items.items()}
    common = {Status.QUEUED, Status.RUNNING, Status.SUCCEEDED}
    assert {status for status, found in indexed.items() if not found} == common
    assert indexed.pop(Status.DEAD_LETTERED) == {"attention", "dead"}
    assert all(found == {"attention"} for status, found in indexed.items() if status not in common)
    assert {"watch_pk", "watch_sk"} <= to_item(PARKED, KEPT_DAYS).keys()


def test_an_entry_goes_a_little_before_its_archived_log_and_not_before_it_is_archived() -> None:
    assert "expires_at" not in to_item(QUEUED, KEPT_DAYS)
    assert "expires_at" not in to_item(SUCCEEDED, KEPT_DAYS)
    archived = replace(SUCCEEDED, archive_key="archive/x")
    ended = (SUCCEEDED.finished_at_ms or 0) // 1000
    assert to_item(archived, KEPT_DAYS)["expires_at"] == {"N": str(ended + 97 * 86_400)}
    assert to_item(archived, 2)["expires_at"] == {"N": str(ended + 86_400)}


def test_a_page_of_a_tenants_tasks_is_one_small_query_for_each_of_its_partitions(
    views: DynamoReadModel, dynamodb: DynamoDBClient
) -> None:
    put(views, *(replace(QUEUED, task_id=f"tsk_{number}", created_at_ms=NOW_MS + number) for number in range(60)))
    with requests_of(dynamodb, "Query") as queries:
        page = asyncio.run(views.list(EntryFilter("acme"), limit=20, cursor=None))
        asyncio.run(views.list(EntryFilter("acme"), limit=20, cursor=page.next_cursor))
    assert len(queries) == 8
    assert {query["Limit"] for query in queries} == {21}
    assert not any(query.get("ConsistentRead") for query in queries), "at half the price"


def test_a_rare_status_is_one_query_of_the_index(views: DynamoReadModel, dynamodb: DynamoDBClient) -> None:
    put(views, PARKED)
    with requests_of(dynamodb, "Query") as queries:
        asyncio.run(views.list(EntryFilter("acme", status=Status.PARKED), limit=20, cursor=None))
    assert [query["IndexName"] for query in queries] == ["attention"]


def test_a_filter_that_nothing_fits_looks_at_a_bounded_number_of_entries(
    views: DynamoReadModel, dynamodb: DynamoDBClient, views_table: str
) -> None:
    for number in range(1100):
        entry = replace(QUEUED, task_id=f"tsk_{number}", created_at_ms=NOW_MS + number)
        dynamodb.put_item(TableName=views_table, Item={**to_item(entry, 1), "pk": {"S": "TASKS#acme#0"}})
    wanted = EntryFilter("acme", agent="no.such")
    with requests_of(dynamodb, "Query") as queries:
        page = asyncio.run(views.list(wanted, limit=20, cursor=None))
    assert page.items == []
    assert page.next_cursor is not None
    assert len(queries) == 5, "four partitions, and once more the one that was not at its end"
    assert sum(query["Limit"] for query in queries) <= 2000
    rounds = 0
    while page.next_cursor is not None:
        page = asyncio.run(views.list(wanted, limit=20, cursor=page.next_cursor))
        assert page.items == []
        rounds += 1
    assert rounds == 2, "and comes to an end"


def test_a_task_is_looked_for_by_its_id_in_one_partition_only(views: DynamoReadModel, dynamodb: DynamoDBClient) -> None:
    put(views, QUEUED)
    with requests_of(dynamodb, "Query") as queries:
        assert asyncio.run(views.find("acme", "tsk_unknown", created_before_ms=NOW_MS + 1)) is None
    assert len(queries) == 1


def test_every_error_of_the_table_is_retryable(views: DynamoReadModel, dynamodb: DynamoDBClient) -> None:
    wanted = EntryFilter("acme")
    for code in ERRORS:
        calls = {
            "put_item": [views.put(QUEUED), views.put_unreadable(MESSAGE)],
            "query": [
                views.get("acme", "tsk_1", 1),
                views.find("acme", "tsk_1", created_before_ms=1),
                views.list(EntryFilter("acme", status=Status.PARKED), limit=1, cursor=None),
                views.dead(DeadFilter(agent="a"), limit=1, cursor=None),
                views.tenants(),
            ],
        }
        for operation, made in calls.items():
            for call in made:
                with answering_with(dynamodb, operation, code), pytest.raises(StoreUnavailableError):
                    asyncio.run(call)  # type: ignore[arg-type]
    assert asyncio.run(views.list(wanted, limit=5, cursor=None)).items == []


def test_a_table_out_of_reach_is_retryable(views: DynamoReadModel, dynamodb: DynamoDBClient) -> None:
    with unreachable(dynamodb, "PutItem"), pytest.raises(StoreUnavailableError):
        put(views, QUEUED)
    with unreachable(dynamodb, "Query"), pytest.raises(StoreUnavailableError):
        get(views)
    assert put(views, QUEUED) == [True]


def test_a_put_whose_answer_was_lost_is_there_and_does_no_harm_again(
    views: DynamoReadModel, dynamodb: DynamoDBClient
) -> None:
    put(views, QUEUED)
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        put(views, SUCCEEDED)
    assert get(views) == SUCCEEDED
    assert put(views, SUCCEEDED) == [False]
    with answers_lost(dynamodb, "PutItem"), pytest.raises(RetryableError):
        asyncio.run(views.put_unreadable(MESSAGE))
    asyncio.run(views.put_unreadable(MESSAGE))
    assert asyncio.run(views.dead(DeadFilter(), limit=5, cursor=None)).items == [MESSAGE]


def test_a_tenant_whose_registration_failed_is_registered_before_its_first_entry(
    views: DynamoReadModel, dynamodb: DynamoDBClient
) -> None:
    with answering_with(dynamodb, "put_item", "InternalServerError"), pytest.raises(RetryableError):
        put(views, QUEUED)
    assert get(views) is None
    put(views, QUEUED)
    assert asyncio.run(views.tenants()) == ["acme"]


@pytest.mark.parametrize("damage", [{"status": {"S": "of_a_later_version"}}, {"agent": {"BOOL": True}}])
def test_an_entry_of_a_later_version_is_passed_over_in_lists_and_retryable_alone(
    views: DynamoReadModel, dynamodb: DynamoDBClient, views_table: str, damage: dict[str, Any]
) -> None:
    put(views, replace(QUEUED, task_id="tsk_0"))
    dynamodb.put_item(TableName=views_table, Item=to_item(QUEUED, KEPT_DAYS) | damage)
    page = asyncio.run(views.list(EntryFilter("acme"), limit=5, cursor=None))
    assert [entry.task_id for entry in page.items if isinstance(entry, Entry)] == ["tsk_0"]
    with pytest.raises(RetryableError):
        get(views)


def test_what_a_later_version_adds_to_an_item_is_ignored() -> None:
    assert from_item(to_item(PARKED, 1) | {"later": {"S": "x"}}) == PARKED
    assert from_unreadable_item(to_unreadable_item(MESSAGE, 1) | {"later": {"S": "x"}}) == MESSAGE


@pytest.mark.parametrize("body", ["", "caf\udce9", "\ufffe\uffff", "[" * 500_000])
def test_a_message_with_anything_in_it_is_kept(views: DynamoReadModel, body: str) -> None:
    asyncio.run(views.put_unreadable(replace(MESSAGE, body=body, reason="not a task message")))
    (kept,) = asyncio.run(views.dead(DeadFilter(), limit=5, cursor=None)).items
    assert isinstance(kept, UnreadableMessage)
    assert kept.body == body.encode(errors="replace").decode()


def test_every_kind_of_entry_that_a_log_makes_fits_an_item() -> None:
    for kind in Kind:
        if kind in (Kind.ACCEPTED, Kind.REDRIVEN):
            continue
        entry = entry_of_log(log_of(Kind.STARTED, kind))
        assert from_item(to_item(entry, 1)) == entry

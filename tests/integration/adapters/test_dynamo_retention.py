"""What the retention keeper and a rebuild do to the tables: the contracts, and every failure a retryable error."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flotilla.dynamo.event_log import DynamoEventLog, to_item
from flotilla.dynamo.log_retention import DynamoLogRetention
from flotilla.dynamo.log_scan import DynamoLogScan
from flotilla.dynamo.retention_ledger import DynamoRetentionLedger
from flotilla.errors import StoreUnavailableError
from flotilla.events import Event, Kind
from tests.contracts.event_log import appended
from tests.contracts.retention import (
    RETENTION_DAYS,
    TASK,
    ExpiryOf,
    LogRetentionContract,
    LogScanContract,
    RetentionLedgerContract,
)
from tests.fakes import run_on_thread
from tests.integration.adapters.aws_failures import ERRORS, answering_with, requests_of, unreachable
from tests.logs import log_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def log(dynamodb: DynamoDBClient, events_table: str) -> DynamoEventLog:
    return DynamoEventLog(dynamodb, events_table, RETENTION_DAYS, run_on_thread)


@pytest.fixture
def retention(dynamodb: DynamoDBClient, events_table: str) -> DynamoLogRetention:
    return DynamoLogRetention(dynamodb, events_table, run_on_thread)


@pytest.fixture
def scan(dynamodb: DynamoDBClient, events_table: str) -> DynamoLogScan:
    return DynamoLogScan(dynamodb, events_table, run_on_thread)


@pytest.fixture
def ledger(dynamodb: DynamoDBClient, views_table: str) -> DynamoRetentionLedger:
    return DynamoRetentionLedger(dynamodb, views_table, run_on_thread)


class TestDynamoLogRetention(LogRetentionContract):
    """The contract, on the table that the template makes."""

    @pytest.fixture
    def expiry_of(self, dynamodb: DynamoDBClient, events_table: str) -> ExpiryOf:
        def expiry(event: Event) -> int:
            key = {"task_id": {"S": event.task_id}, "seq": {"N": str(event.seq)}}
            return int(dynamodb.get_item(TableName=events_table, Key=key)["Item"]["expires_at"]["N"])  # type: ignore[arg-type]

        return expiry


class TestDynamoLogScan(LogScanContract):
    """The contract, on the table that the template makes."""


class TestDynamoRetentionLedger(RetentionLedgerContract):
    """The contract, on the table that the template makes."""


def test_nothing_but_the_time_is_ever_changed(
    log: DynamoEventLog, retention: DynamoLogRetention, dynamodb: DynamoDBClient
) -> None:
    (event,) = log_of()
    appended(log, event)
    with requests_of(dynamodb, "UpdateItem") as requests:
        asyncio.run(retention.extend([event], 2**35))
    assert [request["UpdateExpression"] for request in requests] == ["SET expires_at = :until"]
    assert all("attribute_exists(task_id)" in request["ConditionExpression"] for request in requests)


def test_one_item_that_cannot_be_read_does_not_hide_the_others(
    log: DynamoEventLog, scan: DynamoLogScan, dynamodb: DynamoDBClient, events_table: str
) -> None:
    appended(log, *log_of(task_id="tsk_a"), *log_of(task_id="tsk_c"))
    (broken,) = log_of(task_id="tsk_b")
    dynamodb.put_item(TableName=events_table, Item=to_item(broken, 0) | {"body": {"S": "{"}})
    (later,) = log_of(task_id="tsk_d")
    dynamodb.put_item(TableName=events_table, Item=to_item(later, 0) | {"kind": {"S": "later"}})
    page = asyncio.run(scan.page(0, 1, None, limit=100))
    assert {event.task_id for event in page.events} == {"tsk_a", "tsk_c"}
    assert page.unreadable == {"tsk_b", "tsk_d"}


def test_every_error_of_a_table_is_retryable(
    retention: DynamoLogRetention, scan: DynamoLogScan, ledger: DynamoRetentionLedger, dynamodb: DynamoDBClient
) -> None:
    for code in ERRORS:
        for operation, call in [
            ("update_item", retention.extend(log_of(Kind.STARTED)[:1], 1)),
            ("scan", scan.page(0, 1, None, limit=1)),
            ("query", ledger.reached("acme")),
            ("query", ledger.due(1)),
            ("put_item", ledger.advance("acme", 1)),
            ("put_item", ledger.remember(TASK)),
            ("delete_item", ledger.forget("tsk_1")),
        ]:
            with answering_with(dynamodb, operation, code), pytest.raises(StoreUnavailableError):
                asyncio.run(call)  # type: ignore[arg-type]


def test_a_table_out_of_reach_is_retryable(retention: DynamoLogRetention, dynamodb: DynamoDBClient) -> None:
    with unreachable(dynamodb, "UpdateItem"), pytest.raises(StoreUnavailableError):
        asyncio.run(retention.extend(log_of(), 1))

"""Every log in the `events` table, for a rebuild of what is made of them.

Reads are eventually consistent: half the price, and a log that is read a moment behind is written no further than it
was read.
"""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.dynamo.event_log import from_item
from flotilla.errors import CorruptLogError, RetryableError, StoreUnavailableError
from flotilla.events import Event
from flotilla.ports import RunSync
from flotilla.retention_ports import ScanPage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


logger = logging.getLogger("flotilla.log_scan")


class DynamoLogScan:
    """`LogScan` over the `events` table.

    Args:
        client: A DynamoDB client.
        table: Name of the table.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def page(self, segment: int, segments: int, cursor: str | None, *, limit: int) -> ScanPage:
        """See `LogScan.page`; also ends at 1 MB."""
        return await self._run_sync(self._page, segment, segments, cursor, limit)

    def _page(self, segment: int, segments: int, cursor: str | None, limit: int) -> ScanPage:
        request: dict[str, Any] = {
            "TableName": self._table,
            "Segment": segment,
            "TotalSegments": segments,
            "Limit": limit,
        }
        if cursor is not None:
            request["ExclusiveStartKey"] = json.loads(base64.urlsafe_b64decode(cursor))
        try:
            page = self._client.scan(**request)
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the event log did not answer", code="event_log_unavailable") from error
        last = page.get("LastEvaluatedKey")
        next_cursor = None if last is None else base64.urlsafe_b64encode(json.dumps(last).encode()).decode()
        events: list[Event] = []
        unreadable: set[str] = set()
        for item in page["Items"]:
            try:
                events.append(from_item(item))
            except (RetryableError, CorruptLogError) as error:
                # One item that is broken must not keep all the others from being read.
                logger.error("event not read", extra={"task_id": item["task_id"]["S"], "error": error.message})
                unreadable.add(item["task_id"]["S"])
        return ScanPage(events, next_cursor, frozenset(unreadable))

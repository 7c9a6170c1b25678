"""The watchlist in DynamoDB: the sparse index `watch` of the `views` table, and how far the sweeps have got.

    pk SWEEPS   sk {sweep}   done_ms, until_ms, tenant, cursor    how far a sweep has got

Entries come onto the list and leave it as the read model stores them (`flotilla.dynamo.view_items`); here only
the time to look again is moved, and only while the entry stands where it was seen.

Failure policy: an error to the caller, who leaves the rest to its next run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.dynamo.view_items import WATCH_PARTITIONS, Item, key_of, watch_partition
from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.primitives.cursor import position
from flotilla.read_model import SweepMark, Watched

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SWEEPS = "SWEEPS"


class DynamoWatchlist:
    """`Watchlist` over the `views` table.

    Reads are eventually consistent: what is missed by a moment is overdue in the next run.

    Args:
        client: A DynamoDB client.
        table: Name of the table.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def overdue(self, now_ms: int, *, limit: int) -> Sequence[Watched]:
        """See `Watchlist.overdue`."""
        shards = await asyncio.gather(
            *(self._run_sync(self._overdue, partition, now_ms, limit) for partition in WATCH_PARTITIONS)
        )
        return [watched for shard in shards for watched in shard]

    async def look_again(self, watched: Watched, at_ms: int | None) -> None:
        """See `Watchlist.look_again`."""
        await self._run_sync(self._look_again, watched, at_ms)

    async def mark(self, sweep: str) -> SweepMark | None:
        """See `Watchlist.mark`."""
        return await self._run_sync(self._mark, sweep)

    async def set_mark(self, sweep: str, mark: SweepMark) -> None:
        """See `Watchlist.set_mark`."""
        await self._run_sync(self._set_mark, sweep, mark)

    def _overdue(self, partition: str, now_ms: int, limit: int) -> list[Watched]:
        page = self._query(
            IndexName="watch",
            KeyConditionExpression="watch_pk = :pk AND watch_sk < :after",
            ExpressionAttributeValues={
                ":pk": {"S": partition},
                ":after": {"S": f"{now_ms + 1:013d}"},
            },
            Limit=limit,
        )
        return [_watched(item) for item in page["Items"]]

    def _look_again(self, watched: Watched, at_ms: int | None) -> None:
        values: Item = {":head_seq": {"N": str(watched.head_seq)}}
        if at_ms is None:
            change = "REMOVE watch_pk, watch_sk, looks"
        else:
            change = "SET watch_pk = :pk, watch_sk = :sk, looks = :looks"
            values |= {
                ":pk": {"S": watch_partition(watched.task_id)},
                ":sk": {"S": position(at_ms, watched.task_id)},
                ":looks": {"N": str(watched.looks)},
            }
        try:
            self._update(
                key_of(watched.tenant, watched.task_id, watched.created_at_ms),
                UpdateExpression=change,
                # The entry is there, and stands where it was seen: else its own storing said when to look after it.
                ConditionExpression="head_seq = :head_seq",
                ExpressionAttributeValues=values,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _mark(self, sweep: str) -> SweepMark | None:
        page = self._query(
            KeyConditionExpression="pk = :pk AND sk = :sk",
            ExpressionAttributeValues={":pk": {"S": _SWEEPS}, ":sk": {"S": sweep}},
        )
        if not page["Items"]:
            return None
        item = page["Items"][0]
        return SweepMark(
            done_ms=int(item["done_ms"]["N"]),
            until_ms=int(item["until_ms"]["N"]),
            tenant=item["tenant"]["S"],
            cursor=item["cursor"]["S"],
        )

    def _set_mark(self, sweep: str, mark: SweepMark) -> None:
        self._update(
            {"pk": {"S": _SWEEPS}, "sk": {"S": sweep}},
            UpdateExpression="SET done_ms = :done, until_ms = :until, tenant = :tenant, #cursor = :cursor",
            ExpressionAttributeNames={"#cursor": "cursor"},
            ExpressionAttributeValues={
                ":done": {"N": str(mark.done_ms)},
                ":until": {"N": str(mark.until_ms)},
                ":tenant": {"S": mark.tenant},
                ":cursor": {"S": mark.cursor},
            },
        )

    def _query(self, **request: Any) -> Any:
        try:
            return self._client.query(TableName=self._table, **request)
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error

    def _update(self, key: Item, **request: Any) -> None:
        try:
            self._client.update_item(TableName=self._table, Key=key, **request)
        except self._client.exceptions.ConditionalCheckFailedException:
            raise
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error


def _watched(item: Item) -> Watched:
    created_at_ms, _, task_id = item["sk"]["S"].partition("#")
    return Watched(
        task_id=task_id,
        tenant=item["pk"]["S"].removeprefix("TASKS#").rpartition("#")[0],
        created_at_ms=int(created_at_ms),
        head_seq=int(item["head_seq"]["N"]),
        looks=int(item["looks"]["N"]) if "looks" in item else 0,
    )


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the watchlist did not answer", code="views_unavailable")

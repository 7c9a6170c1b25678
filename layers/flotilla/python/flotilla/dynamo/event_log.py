"""The event log in DynamoDB: one item per event, written once.

Failure policy: closed. An append that cannot be confirmed is an error to the caller, who then
must not act as if it had happened; nothing here ever falls back to an unconditional write.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import CorruptLogError, RetryableError, StoreUnavailableError
from flotilla.events import Event, Kind
from flotilla.models import canonical_json
from flotilla.ports import RunSync
from flotilla.primitives.retention import MARGIN_DAYS, expires_at

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_COMPRESS_ABOVE_BYTES = 1024
"""Below one write unit compression saves nothing; above, text shrinks to a third of its units."""
_KINDS = frozenset(Kind)


def to_item(event: Event, expires_at: int) -> dict[str, Any]:
    """The item for `event`, which DynamoDB may drop after `expires_at` (epoch seconds)."""
    body = canonical_json(event.body)
    item: dict[str, Any] = {
        "task_id": {"S": event.task_id},
        "seq": {"N": str(event.seq)},
        "kind": {"S": event.kind.value},
        "at_ms": {"N": str(event.at_ms)},
        "actor": {"S": event.actor},
        "attempt": {"N": str(event.attempt)},
        "prev_hash": {"B": bytes.fromhex(event.prev_hash)},
        "hash": {"B": bytes.fromhex(event.hash)},
        "expires_at": {"N": str(expires_at)},
    }
    encoded = body.encode()
    if len(encoded) > _COMPRESS_ABOVE_BYTES:
        item["body_z"] = {"B": zlib.compress(encoded, 6)}
    else:
        item["body"] = {"S": body}
    return item


def from_item(item: dict[str, Any]) -> Event:
    """Read what `to_item` wrote.

    Raises:
        RetryableError: A later version wrote it. A deployment reaches functions one at a time; one that
            has it already will know the kind.
        CorruptLogError: No version can have written it.
    """
    try:
        kind = item["kind"]["S"]
        if kind not in _KINDS:
            raise RetryableError(f"an event of unknown kind {kind[:64]!r}", code="event_of_later_version")
        text = zlib.decompress(item["body_z"]["B"]).decode() if "body_z" in item else item["body"]["S"]
        return Event(
            task_id=item["task_id"]["S"],
            seq=int(item["seq"]["N"]),
            kind=Kind(kind),
            at_ms=int(item["at_ms"]["N"]),
            actor=item["actor"]["S"],
            attempt=int(item["attempt"]["N"]),
            body=json.loads(text),
            prev_hash=bytes(item["prev_hash"]["B"]).hex(),
            hash=bytes(item["hash"]["B"]).hex(),
        )
    except (KeyError, ValueError, TypeError, RecursionError, zlib.error) as error:
        raise CorruptLogError(f"an item that is no event: {type(error).__name__}") from error


class DynamoEventLog:
    """`EventLog` over the `events` table (partition key `task_id`, sort key `seq`).

    Args:
        client: A DynamoDB client.
        table: Name of the table.
        retention_days: How long a finished task's log is promised to be kept.
        run_sync: Runs the client's blocking calls.
        margin_days: How much longer its events are: the time in which the retention keeper sees to what is not
            archived by then.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        retention_days: int,
        run_sync: RunSync,
        *,
        margin_days: int = MARGIN_DAYS,
    ) -> None:
        self._client = client
        self._table = table
        self._retention_days = retention_days
        self._margin_days = margin_days
        self._run_sync = run_sync

    async def append(self, event: Event) -> Event | None:
        """See `EventLog.append`."""
        return await self._run_sync(self._append, event)

    async def read(self, task_id: str) -> list[Event]:
        """See `EventLog.read`."""
        return await self._run_sync(self._read, task_id)

    async def head(self, task_id: str) -> Event | None:
        """See `EventLog.head`."""
        return await self._run_sync(self._head, task_id)

    def _append(self, event: Event) -> Event | None:
        item = to_item(event, expires_at(event, self._retention_days, self._margin_days))
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                # Nothing is at this place of the log yet. The condition names the partition key, which
                # every item has: it is true only where no item has this task_id *and* seq.
                ConditionExpression="attribute_not_exists(task_id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            existing = from_item(refusal.response["Item"])  # type: ignore[typeddict-item]
            # The client may have sent this event before and lost the answer: then it is in the log.
            return None if existing.hash == event.hash else existing
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the event log did not answer", code="event_log_unavailable") from error
        return None

    def _read(self, task_id: str) -> list[Event]:
        events: list[Event] = []
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "task_id = :task_id",
            "ExpressionAttributeValues": {":task_id": {"S": task_id}},
            "ConsistentRead": True,
        }
        try:
            while True:
                page = self._client.query(**request)
                events.extend(from_item(item) for item in page["Items"])
                if "LastEvaluatedKey" not in page:
                    return events
                request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the event log did not answer", code="event_log_unavailable") from error

    def _head(self, task_id: str) -> Event | None:
        try:
            page = self._client.query(
                TableName=self._table,
                KeyConditionExpression="task_id = :task_id",
                ExpressionAttributeValues={":task_id": {"S": task_id}},
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=1,
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the event log did not answer", code="event_log_unavailable") from error
        return from_item(page["Items"][0]) if page["Items"] else None

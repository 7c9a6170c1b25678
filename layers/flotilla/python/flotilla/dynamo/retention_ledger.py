"""What the retention keeper knows from one run to the next, in the `views` table.

    pk KEEPER-REACHED    sk {tenant}     reached_ms: tasks created before were seen to
    pk KEEPER            sk {task_id}    tenant, created_at_ms, look_at_ms: comes up again then

Failure policy: an error to the caller. What was not written is done again at the next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.retention_ports import Kept

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REACHED = "KEEPER-REACHED"
REMEMBERED = "KEEPER"


class DynamoRetentionLedger:
    """`RetentionLedger` over the `views` table.

    Args:
        client: A DynamoDB client.
        table: Name of the table.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def reached(self, tenant: str) -> int:
        """See `RetentionLedger.reached`."""
        found = await self._run_sync(self._query, "pk = :pk AND sk = :sk", {":pk": REACHED, ":sk": tenant})
        return int(found[0]["reached_ms"]["N"]) if found else 0

    async def advance(self, tenant: str, reached_ms: int) -> None:
        """See `RetentionLedger.advance`."""
        item = {"pk": {"S": REACHED}, "sk": {"S": tenant}, "reached_ms": {"N": str(reached_ms)}}
        await self._run_sync(self._put, item)

    async def remember(self, task: Kept) -> None:
        """See `RetentionLedger.remember`."""
        item = {
            "pk": {"S": REMEMBERED},
            "sk": {"S": task.task_id},
            "tenant": {"S": task.tenant},
            "created_at_ms": {"N": str(task.created_at_ms)},
            "look_at_ms": {"N": str(task.look_at_ms)},
        }
        await self._run_sync(self._put, item)

    async def due(self, now_ms: int) -> Sequence[Kept]:
        """See `RetentionLedger.due`."""
        found = await self._run_sync(self._query, "pk = :pk", {":pk": REMEMBERED})
        kept = [
            Kept(
                task_id=item["sk"]["S"],
                tenant=item["tenant"]["S"],
                created_at_ms=int(item["created_at_ms"]["N"]),
                look_at_ms=int(item["look_at_ms"]["N"]),
            )
            for item in found
        ]
        return [task for task in kept if task.look_at_ms <= now_ms]

    async def forget(self, task_id: str) -> None:
        """See `RetentionLedger.forget`."""
        await self._run_sync(self._delete, task_id)

    def _query(self, condition: str, values: dict[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {name: {"S": value} for name, value in values.items()},
            "ConsistentRead": True,
        }
        try:
            while True:
                page = self._client.query(**request)
                found.extend(page["Items"])
                if "LastEvaluatedKey" not in page:
                    return found
                request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error

    def _put(self, item: dict[str, Any]) -> None:
        try:
            self._client.put_item(TableName=self._table, Item=item)
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error

    def _delete(self, task_id: str) -> None:
        try:
            self._client.delete_item(TableName=self._table, Key={"pk": {"S": REMEMBERED}, "sk": {"S": task_id}})
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the retention ledger did not answer", code="views_unavailable")

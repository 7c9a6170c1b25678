"""Limits set at run time in the `control` table, all in one partition: one query tells every one.

Failure policy: an error to the caller. What holds without an answer is decided by who asks (`LimitBoard`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from flotilla.primitives.token_bucket import Limit

PARTITION = "LIMITS"

T = TypeVar("T")


class DynamoLimitSettings:
    """`LimitSettings` over the `control` table."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def read(self) -> dict[str, Limit]:
        """See `LimitSettings.read`."""
        return await self._run_sync(_answered, self._read)

    async def put(self, name: str, limit: Limit) -> None:
        """See `LimitSettings.put`."""
        await self._run_sync(_answered, lambda: self._put(name, limit))

    async def remove(self, name: str) -> None:
        """See `LimitSettings.remove`."""
        await self._run_sync(_answered, lambda: self._remove(name))

    def _read(self) -> dict[str, Limit]:
        found: dict[str, Limit] = {}
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :limits",
            "ExpressionAttributeValues": {":limits": {"S": PARTITION}},
            "ConsistentRead": True,
        }
        while True:
            page = self._client.query(**request)
            for item in page["Items"]:
                found[item["sk"]["S"]] = _limit(item)
            if "LastEvaluatedKey" not in page:
                return found
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _put(self, name: str, limit: Limit) -> None:
        # Unconditional: the newest word of an operator counts.
        self._client.put_item(
            TableName=self._table,
            Item={
                **_key(name),
                "rate_per_minute": {"N": str(limit.rate_per_minute)},
                "burst": {"N": str(limit.burst)},
            },
        )

    def _remove(self, name: str) -> None:
        self._client.delete_item(TableName=self._table, Key=_key(name))


def _answered(call: Callable[[], T]) -> T:
    try:
        return call()
    except (ClientError, BotoCoreError) as error:
        raise StoreUnavailableError("the limits did not answer", code="limit_settings_unavailable") from error


def _limit(item: dict[str, Any]) -> Limit:
    # Most fleets set none, and the API asks with its first submit.
    from flotilla.primitives.token_bucket import Limit

    return Limit(int(item["rate_per_minute"]["N"]), int(item["burst"]["N"]))


def _key(name: str) -> dict[str, Any]:
    return {"pk": {"S": PARTITION}, "sk": {"S": name}}

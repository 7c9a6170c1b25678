"""Who leads which cache key, in the `control` table: one item for each key, a pointer to the leader's task.

Failure policy: an error to the caller, who then may lead or not; asking again tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SORT_KEY = "LEADER"


class DynamoFlights:
    """`Flights` over the `control` table."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def lead(self, key: str, task_id: str, *, instead_of: str | None, expires_at: int) -> str:
        """See `Flights.lead`."""
        return await self._run_sync(self._lead, key, task_id, instead_of, expires_at)

    def _lead(self, key: str, task_id: str, instead_of: str | None, expires_at: int) -> str:
        values: dict[str, Any] = {":asking": {"S": task_id}}
        # Nobody leads this key yet, or who asks does already (the answer to its last call may have been lost) …
        condition = "attribute_not_exists(pk) OR task_id = :asking"
        if instead_of is not None:
            # … or who leads is the one that is known to have failed.
            condition += " OR task_id = :failed"
            values[":failed"] = {"S": instead_of}
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "pk": {"S": key},
                    "sk": {"S": _SORT_KEY},
                    "task_id": {"S": task_id},
                    "expires_at": {"N": str(expires_at)},
                },
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            item: dict[str, Any] = refusal.response["Item"]  # type: ignore[typeddict-item]
            leader: str = item["task_id"]["S"]
            return leader
        except (ClientError, BotoCoreError) as error:
            raise StoreUnavailableError("the cache did not answer", code="flights_unavailable") from error
        return task_id

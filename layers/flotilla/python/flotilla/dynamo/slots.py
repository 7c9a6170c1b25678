"""Slots of concurrency caps in the `control` table: a partition for each cap, an item for each slot in use.

Every call may be repeated, also by the client on its own: a claim is told from another's by its holder, and only its
holder frees a slot.

Failure policy: an error to the caller. What happens without an answer is decided by who asks (`ConcurrencyCaps`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.primitives.slots import Claim, Slot

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION_PREFIX = "SLOTS#"
_SORT_PREFIX = "SLOT#"

T = TypeVar("T")


class DynamoSlots:
    """`SlotStore` over the `control` table."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def read(self, name: str) -> list[Slot]:
        """See `SlotStore.read`."""
        return await self._run_sync(_answered, lambda: self._read(name))

    async def claim(self, name: str, claim: Claim, expires_at: int) -> Slot | None:
        """See `SlotStore.claim`."""
        return await self._run_sync(_answered, lambda: self._claim(name, claim, expires_at))

    async def give_up(self, name: str, index: int, holder: str) -> None:
        """See `SlotStore.give_up`."""
        await self._run_sync(_answered, lambda: self._give_up(name, index, holder))

    def _read(self, name: str) -> list[Slot]:
        found: list[Slot] = []
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :slots",
            "ExpressionAttributeValues": {":slots": {"S": PARTITION_PREFIX + name}},
            # Half the price, and what is a moment old is put right by the claim's condition.
            "ConsistentRead": False,
        }
        while True:
            page = self._client.query(**request)
            found.extend(_slot(item) for item in page["Items"])
            if "LastEvaluatedKey" not in page:
                return found
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _claim(self, name: str, claim: Claim, expires_at: int) -> Slot | None:
        slot = claim.slot
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    **_key(name, slot.index),
                    "holder": {"S": slot.holder},
                    "until_ms": {"N": str(slot.until_ms)},
                    "expires_at": {"N": str(expires_at)},
                },
                # Nobody has it; or it is the claimant's (the answer to its last call may have been lost); or the lease
                # of whoever had it ended, by any clock.
                ConditionExpression="attribute_not_exists(pk) OR holder = :holder OR until_ms <= :free_by",
                ExpressionAttributeValues={":holder": {"S": slot.holder}, ":free_by": {"N": str(claim.free_by_ms)}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            item: dict[str, Any] = refusal.response["Item"]  # type: ignore[typeddict-item]
            return _slot(item)
        return None

    def _give_up(self, name: str, index: int, holder: str) -> None:
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=_key(name, index),
                # It still is this holder's.
                ConditionExpression="holder = :holder",
                ExpressionAttributeValues={":holder": {"S": holder}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return


def _answered(call: Callable[[], T]) -> T:
    try:
        return call()
    except (ClientError, BotoCoreError) as error:
        raise StoreUnavailableError("the slots did not answer", code="slots_unavailable") from error


def _key(name: str, index: int) -> dict[str, Any]:
    return {"pk": {"S": PARTITION_PREFIX + name}, "sk": {"S": f"{_SORT_PREFIX}{index:05d}"}}


def _slot(item: dict[str, Any]) -> Slot:
    index = int(item["sk"]["S"].removeprefix(_SORT_PREFIX))
    return Slot(index, item["holder"]["S"], int(item["until_ms"]["N"]))

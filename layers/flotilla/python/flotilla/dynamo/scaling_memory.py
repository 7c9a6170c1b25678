"""What the scaler remembers, one item of the `control` table, followed by a condition on its version.

    run A reads version 7 · run B reads version 7 · A stores 8 · B's 8 is refused: it has decided on what is past

Failure policy: an error to the caller, who changes nothing without it (`services.scale`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.scaling_ports import Remembered, ScalingMemory

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION = "SCALER"

_KEY: dict[str, Any] = {"pk": {"S": PARTITION}, "sk": {"S": "MEMORY"}}
_KNOWN = frozenset(each.name for each in fields(Remembered))

T = TypeVar("T")


class DynamoScalingMemories:
    """`ScalingMemories` over the `control` table."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def read(self) -> ScalingMemory:
        """See `ScalingMemories.read`."""
        return await self._run_sync(_answered, self._read)

    async def follow(self, memory: ScalingMemory) -> bool:
        """See `ScalingMemories.follow`."""
        return await self._run_sync(_answered, lambda: self._follow(memory))

    def _read(self) -> ScalingMemory:
        answer = self._client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
        return _from_item(answer["Item"]) if "Item" in answer else ScalingMemory()

    def _follow(self, memory: ScalingMemory) -> bool:
        try:
            self._client.put_item(
                TableName=self._table,
                Item={**_KEY, **_to_item(memory)},
                # There is none yet, or it is the one that this one was made of.
                ConditionExpression="attribute_not_exists(pk) OR version = :before",
                ExpressionAttributeValues={":before": {"N": str(memory.version - 1)}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            item: dict[str, Any] = refusal.response["Item"]  # type: ignore[typeddict-item]
            # It was stored, its answer was lost, and the client has asked again.
            return _from_item(item) == memory
        return True


def _to_item(memory: ScalingMemory) -> dict[str, Any]:
    lanes = {lane: asdict(remembered) for lane, remembered in memory.lanes.items()}
    return {
        "version": {"N": str(memory.version)},
        "lanes": {"S": json.dumps(lanes, separators=(",", ":"), sort_keys=True)},
        "by": {"S": memory.by},
        "busy_until_ms": {"N": str(memory.busy_until_ms)},
    }


def _from_item(item: dict[str, Any]) -> ScalingMemory:
    lanes = json.loads(item["lanes"]["S"])
    return ScalingMemory(
        version=int(item["version"]["N"]),
        # A later version may remember more.
        lanes={
            lane: Remembered(**{name: value for name, value in remembered.items() if name in _KNOWN})
            for lane, remembered in lanes.items()
        },
        by=item["by"]["S"],
        busy_until_ms=int(item["busy_until_ms"]["N"]),
    )


def _answered(call: Callable[[], T]) -> T:
    try:
        return call()
    except (ClientError, BotoCoreError) as error:
        raise StoreUnavailableError("the scaler's memory did not answer", code="scaling_memory_unavailable") from error

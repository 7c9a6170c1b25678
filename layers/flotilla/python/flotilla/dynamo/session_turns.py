"""The turns of sessions in the `control` table: one partition for each session, one item for each turn.

Failure policy: an error to the caller. A turn that could not be put is in its task's log, and is put again from there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.clock import Clock
from flotilla.coordination import Turn
from flotilla.errors import StoreUnavailableError
from flotilla.models import Payload, canonical_json
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_TURNS = 1000
"""The newest so many turns of a session are read; older ones are out of its sight."""

_MAX_PAGES = 4
"""DynamoDB's pages hold 1 MB: with turns as large as they may be, fewer are in sight."""


class DynamoSessionTurns:
    """`SessionTurns` over the `control` table.

    Args:
        client: A DynamoDB client.
        table: Name of the table.
        session_days: How long after it was put a turn may be dropped.
        clock: Dates that.
        run_sync: Runs the client's blocking calls.
    """

    def __init__(self, client: DynamoDBClient, table: str, session_days: int, clock: Clock, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._kept_seconds = session_days * 86_400
        self._clock = clock
        self._run_sync = run_sync

    async def read(self, tenant: str, session: str) -> list[Turn]:
        """See `SessionTurns.read`; the newest `MAX_TURNS`, or about 4 MB of them if that is less."""
        return await self._run_sync(self._read, _partition(tenant, session))

    async def put(self, tenant: str, session: str, turns: Sequence[Turn]) -> None:
        """See `SessionTurns.put`."""
        partition = _partition(tenant, session)
        expires_at = self._clock.now_ms() // 1000 + self._kept_seconds
        # Nobody reads between them: the session's next task comes after the message of this one is done with.
        await asyncio.gather(*(self._run_sync(self._put, partition, turn, expires_at) for turn in turns))

    def _read(self, partition: str) -> list[Turn]:
        turns: list[Turn] = []
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :session AND begins_with(sk, :turn)",
            "ExpressionAttributeValues": {":session": {"S": partition}, ":turn": {"S": "TURN#"}},
            "ConsistentRead": True,
            "ScanIndexForward": False,
        }
        try:
            for _ in range(_MAX_PAGES):
                page = self._client.query(**request, Limit=MAX_TURNS - len(turns))
                turns.extend(_from_item(item) for item in page["Items"])
                if len(turns) == MAX_TURNS or "LastEvaluatedKey" not in page:
                    break
                request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error
        turns.reverse()
        return turns

    def _put(self, partition: str, turn: Turn, expires_at: int) -> None:
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "pk": {"S": partition},
                    "sk": {"S": f"TURN#{turn.position:08d}#{turn.task_id}"},
                    "position": {"N": str(turn.position)},
                    "task_id": {"S": turn.task_id},
                    "content": {"S": canonical_json(turn.content.to_json())},
                    "expires_at": {"N": str(expires_at)},
                },
                # This turn is not there yet.
                ConditionExpression="attribute_not_exists(pk)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # it was put before: by this call, whose answer was lost, or by an earlier receipt of the message
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error


def _partition(tenant: str, session: str) -> str:
    return "SESSION#" + hashlib.sha256(f"{tenant}\0{session}".encode()).hexdigest()


def _from_item(item: dict[str, Any]) -> Turn:
    return Turn(int(item["position"]["N"]), item["task_id"]["S"], Payload.from_json(json.loads(item["content"]["S"])))


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the session's memory did not answer", code="session_unavailable")

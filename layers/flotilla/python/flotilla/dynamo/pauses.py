"""Pauses in the `control` table, all in one partition: one query tells every one that is in force.

Failure policy: an error to the caller. Whether work goes on without an answer is decided by who asks (`PauseBoard`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.coordination import Pause, PauseScope
from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION = "PAUSE"

_SCOPES = frozenset(PauseScope)


class DynamoPauses:
    """`Pauses` over the `control` table."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def read(self) -> list[Pause]:
        """See `Pauses.read`."""
        return await self._run_sync(self._read)

    async def put(self, pause: Pause) -> None:
        """See `Pauses.put`."""
        await self._run_sync(self._put, pause)

    async def remove(self, scope: PauseScope, name: str) -> None:
        """See `Pauses.remove`."""
        await self._run_sync(self._remove, scope, name)

    def _read(self) -> list[Pause]:
        items: list[dict[str, Any]] = []
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pauses",
            "ExpressionAttributeValues": {":pauses": {"S": PARTITION}},
            "ConsistentRead": True,
        }
        try:
            while True:
                page = self._client.query(**request)
                items.extend(page["Items"])
                if "LastEvaluatedKey" not in page:
                    break
                request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error
        return [pause for item in items if (pause := _from_item(item)) is not None]

    def _put(self, pause: Pause) -> None:
        try:
            # Unconditional: the newest word of an operator counts.
            self._client.put_item(
                TableName=self._table,
                Item={
                    **_key(pause.scope, pause.name),
                    "reason": {"S": pause.reason},
                    "actor": {"S": pause.actor},
                    "since_ms": {"N": str(pause.since_ms)},
                    **({} if pause.expires_at is None else {"expires_at": {"N": str(pause.expires_at)}}),
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error

    def _remove(self, scope: PauseScope, name: str) -> None:
        try:
            self._client.delete_item(TableName=self._table, Key=_key(scope, name))
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error


def _key(scope: PauseScope, name: str) -> dict[str, Any]:
    return {"pk": {"S": PARTITION}, "sk": {"S": f"{scope.value}#{name}"}}


def _from_item(item: dict[str, Any]) -> Pause | None:
    scope, _, name = item["sk"]["S"].partition("#")
    if scope not in _SCOPES:
        return None  # of a later version, which knows what it holds up
    return Pause(
        scope=PauseScope(scope),
        name=name,
        reason=item["reason"]["S"],
        actor=item["actor"]["S"],
        since_ms=int(item["since_ms"]["N"]),
        expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
    )


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the pauses did not answer", code="pauses_unavailable")

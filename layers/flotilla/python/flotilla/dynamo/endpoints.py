"""Webhook endpoints in the `control` table: a partition for each tenant, an item for each endpoint.

The partition of no tenant (none has an empty name) holds the note of what the fleet's endpoints may ask for.

Failure policy: closed. What cannot be read or confirmed is an error to the caller.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.broadcast import Breaker, Endpoint, EndpointState, Secret
from flotilla.errors import StoreUnavailableError
from flotilla.models import Status
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION_PREFIX = "WEBHOOKS#"

_NOTE_KEY: dict[str, Any] = {"pk": {"S": PARTITION_PREFIX}, "sk": {"S": "ASKED_FOR"}}
_STATUSES = frozenset(Status)

T = TypeVar("T")


def to_item(endpoint: Endpoint) -> dict[str, Any]:
    """The item for `endpoint`."""
    breaker = endpoint.breaker
    return {
        **_key(endpoint.tenant, endpoint.id),
        "tenant": {"S": endpoint.tenant},
        "url": {"S": endpoint.url},
        "created_at_ms": {"N": str(endpoint.created_at_ms)},
        "version": {"N": str(endpoint.version)},
        "endpoint_state": {"S": endpoint.state.value},
        "breaker": {"S": _text([breaker.failures, breaker.opened, breaker.until_ms])},
        "events": {"S": _text([status.value for status in endpoint.events])},
        "agents": {"S": _text(endpoint.agents)},
        "secrets": {"S": _text([[secret.text, secret.until_ms] for secret in endpoint.secrets])},
    }


def from_item(item: dict[str, Any]) -> Endpoint:
    """Read what `to_item` wrote."""
    agents = json.loads(item["agents"]["S"])
    return Endpoint(
        id=item["sk"]["S"],
        tenant=item["tenant"]["S"],
        url=item["url"]["S"],
        # What a later version knows besides is left to it.
        events=tuple(Status(name) for name in json.loads(item["events"]["S"]) if name in _STATUSES),
        agents=None if agents is None else tuple(agents),
        secrets=tuple(Secret(text, until_ms) for text, until_ms in json.loads(item["secrets"]["S"])),
        created_at_ms=int(item["created_at_ms"]["N"]),
        state=EndpointState.ACTIVE if item["endpoint_state"]["S"] == EndpointState.ACTIVE else EndpointState.DISABLED,
        breaker=Breaker(*json.loads(item["breaker"]["S"])),
        version=int(item["version"]["N"]),
    )


class DynamoEndpoints:
    """`Endpoints` over the `control` table (partition key `pk`, sort key `sk`)."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def add(self, endpoint: Endpoint) -> bool:
        """See `Endpoints.add`."""
        return await self._run_sync(_answered, lambda: self._add(endpoint))

    async def get(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        """See `Endpoints.get`."""
        return await self._run_sync(_answered, lambda: self._get(tenant, endpoint_id))

    async def of(self, tenant: str) -> list[Endpoint]:
        """See `Endpoints.of`."""
        return await self._run_sync(_answered, lambda: self._of(tenant))

    async def change(self, endpoint: Endpoint) -> bool:
        """See `Endpoints.change`."""
        return await self._run_sync(_answered, lambda: self._change(endpoint))

    async def remove(self, tenant: str, endpoint_id: str) -> bool:
        """See `Endpoints.remove`."""
        return await self._run_sync(_answered, lambda: self._remove(tenant, endpoint_id))

    async def ask_for(self, statuses: Iterable[Status]) -> None:
        """See `Endpoints.ask_for`."""
        wanted = sorted(status.value for status in statuses)
        await self._run_sync(_answered, lambda: self._ask_for(wanted))

    async def asked_for(self) -> frozenset[Status]:
        """See `Endpoints.asked_for`."""
        return await self._run_sync(_answered, self._asked_for)

    def _add(self, endpoint: Endpoint) -> bool:
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_item(endpoint),
                # The tenant has no endpoint of this id yet.
                ConditionExpression="attribute_not_exists(pk)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _get(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        answer = self._client.get_item(TableName=self._table, Key=_key(tenant, endpoint_id), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None

    def _of(self, tenant: str) -> list[Endpoint]:
        if not tenant:
            return []
        found = [from_item(item) for item in self._partition(PARTITION_PREFIX + tenant)]
        return sorted(found, key=lambda endpoint: (endpoint.created_at_ms, endpoint.id))

    def _change(self, endpoint: Endpoint) -> bool:
        attributes = {name: value for name, value in to_item(endpoint).items() if name not in ("pk", "sk", "version")}
        names = {f"#{position}": name for position, name in enumerate(attributes)}
        sets = ", ".join(f"#{position} = :{position}" for position in range(len(attributes)))
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(endpoint.tenant, endpoint.id),
                UpdateExpression=f"SET {sets}, #version = :next",
                # It is there, and nobody has changed it since it was read.
                ConditionExpression="#version = :seen",
                ExpressionAttributeNames={**names, "#version": "version"},
                ExpressionAttributeValues={
                    **{f":{position}": value for position, value in enumerate(attributes.values())},
                    ":seen": {"N": str(endpoint.version)},
                    ":next": {"N": str(endpoint.version + 1)},
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _remove(self, tenant: str, endpoint_id: str) -> bool:
        answer = self._client.delete_item(TableName=self._table, Key=_key(tenant, endpoint_id), ReturnValues="ALL_OLD")
        return "Attributes" in answer

    def _ask_for(self, statuses: list[str]) -> None:
        self._client.update_item(
            TableName=self._table,
            Key=_NOTE_KEY,
            # Only ever added to: a status that nobody asks for any more costs reads and no correctness.
            UpdateExpression="ADD statuses :statuses",
            ExpressionAttributeValues={":statuses": {"SS": statuses}},
        )

    def _asked_for(self) -> frozenset[Status]:
        names = [name for item in self._partition(PARTITION_PREFIX) for name in item["statuses"]["SS"]]
        return frozenset(Status(name) for name in names if name in _STATUSES)

    def _partition(self, partition: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :partition",
            "ExpressionAttributeValues": {":partition": {"S": partition}},
            "ConsistentRead": True,
        }
        while True:
            page = self._client.query(**request)
            items.extend(page["Items"])
            if "LastEvaluatedKey" not in page:
                return items
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _answered(call: Callable[[], T]) -> T:
    try:
        return call()
    except (ClientError, BotoCoreError) as error:
        raise StoreUnavailableError("the endpoints did not answer", code="endpoints_unavailable") from error


def _key(tenant: str, endpoint_id: str) -> dict[str, Any]:
    return {"pk": {"S": PARTITION_PREFIX + tenant}, "sk": {"S": endpoint_id}}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

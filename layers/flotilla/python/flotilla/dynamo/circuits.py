"""Circuits in the `control` table: a partition for each, with its state, its counts and the leases of its probes.

    CIRCUIT#{name}   STATE                          the record, replaced by a condition on its version
                     W#{sub-bucket start}#{shard}   counts, by addition only; forgotten by TTL
                     PROBE#{slot}                   who makes a probe, until when
    CIRCUITS         {name}                         that there is such a circuit

Prices: a state read eventually consistent is half a read unit, an addition one write unit (an item of counts stays
below 1 KB: at most 43 latencies and, while calls fail, a hundred slots of trials, of which half are filled), a window
a read unit for every 8 KB.

Failure policy: an error to the caller, who goes on without (`CircuitBreaker`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.circuit_ports import ProbeLease
from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.primitives.circuit_window import SubBucket, sub_bucket_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION_PREFIX = "CIRCUIT#"
NAMES_PARTITION = "CIRCUITS"
COUNTS_KEPT_SECONDS = 600
"""How long counts are kept at least: several windows, so that what opened a circuit can still be looked at."""

_STATE_KEY = "STATE"
_COUNTS_PREFIX = "W#"
_PROBE_PREFIX = "PROBE#"
_NOT_COUNTS = frozenset({"pk", "sk", "expires_at"})
_TEXTS = {"state": CircuitState, "mode": CircuitMode, "reason": str, "by": str}

T = TypeVar("T")


class DynamoCircuits:
    """`CircuitStore` over the `control` table (partition key `pk`, sort key `sk`, TTL `expires_at`)."""

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync

    async def read(self, circuit: str, *, consistent: bool) -> CircuitRecord:
        """See `CircuitStore.read`."""
        return await self._run_sync(_answered, lambda: self._read(circuit, consistent))

    async def transition(self, circuit: str, record: CircuitRecord) -> CircuitRecord | None:
        """See `CircuitStore.transition`."""
        return await self._run_sync(_answered, lambda: self._transition(circuit, record))

    async def add(self, circuit: str, shard: int, columns: Mapping[str, int], now_ms: int) -> SubBucket:
        """See `CircuitStore.add`."""
        return await self._run_sync(_answered, lambda: self._add(circuit, shard, columns, now_ms))

    async def window(self, circuit: str, since_ms: int) -> list[SubBucket]:
        """See `CircuitStore.window`."""
        return await self._run_sync(_answered, lambda: self._window(circuit, since_ms))

    async def acquire_probe(self, circuit: str, lease: ProbeLease, now_ms: int) -> int | None:
        """See `CircuitStore.acquire_probe`."""
        return await self._run_sync(_answered, lambda: self._acquire_probe(circuit, lease, now_ms))

    async def return_probe(self, circuit: str, slot: int, owner: str) -> None:
        """See `CircuitStore.return_probe`."""
        await self._run_sync(_answered, lambda: self._return_probe(circuit, slot, owner))

    async def probes(self, circuit: str) -> list[ProbeLease]:
        """See `CircuitStore.probes`."""
        return await self._run_sync(_answered, lambda: self._probes(circuit))

    async def names(self) -> list[str]:
        """See `CircuitStore.names`."""
        return await self._run_sync(_answered, self._names)

    def _read(self, circuit: str, consistent: bool) -> CircuitRecord:
        answer = self._client.get_item(TableName=self._table, Key=_key(circuit, _STATE_KEY), ConsistentRead=consistent)
        return _from_item(answer["Item"]) if "Item" in answer else CircuitRecord()

    def _transition(self, circuit: str, record: CircuitRecord) -> CircuitRecord | None:
        if record.version == 1:
            # First: a name without a circuit is one that nothing happened to, a circuit without a name is never shown.
            self._client.put_item(TableName=self._table, Item={"pk": {"S": NAMES_PARTITION}, "sk": {"S": circuit}})
        try:
            self._client.put_item(
                TableName=self._table,
                Item={**_key(circuit, _STATE_KEY), **_to_item(record)},
                # Nothing ever happened to it, or nobody has made a step since the record that this one follows.
                ConditionExpression="attribute_not_exists(pk) OR version = :before",
                ExpressionAttributeValues={":before": _number(record.version - 1)},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            item: dict[str, Any] = refusal.response["Item"]  # type: ignore[typeddict-item]
            there = _from_item(item)
            return None if there == record else there
        return None

    def _add(self, circuit: str, shard: int, columns: Mapping[str, int], now_ms: int) -> SubBucket:
        start_ms = sub_bucket_of(now_ms)
        wanted = list(columns.items())
        additions = ", ".join(f"#{place} :{place}" for place in range(len(wanted)))
        answer = self._client.update_item(
            TableName=self._table,
            Key=_key(circuit, f"{_COUNTS_PREFIX}{start_ms:013d}#{shard:02d}"),
            UpdateExpression=f"SET expires_at = :expires_at ADD {additions}",
            ExpressionAttributeNames={f"#{place}": name for place, (name, _) in enumerate(wanted)},
            ExpressionAttributeValues={
                ":expires_at": _number(start_ms // 1000 + COUNTS_KEPT_SECONDS),
                **{f":{place}": _number(count) for place, (_, count) in enumerate(wanted)},
            },
            ReturnValues="ALL_NEW",
        )
        return SubBucket(start_ms, shard, _counts(answer["Attributes"]))

    def _window(self, circuit: str, since_ms: int) -> list[SubBucket]:
        # Half the price of a consistent one. Who has just written knows what he wrote from the answer to that.
        items = self._query(
            PARTITION_PREFIX + circuit, f"{_COUNTS_PREFIX}{since_ms:013d}", f"{_COUNTS_PREFIX}~", consistent=False
        )
        found = []
        for item in items:
            _, start_ms, shard = item["sk"]["S"].split("#")
            found.append(SubBucket(int(start_ms), int(shard), _counts(item)))
        return found

    def _acquire_probe(self, circuit: str, lease: ProbeLease, now_ms: int) -> int | None:
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    **_key(circuit, f"{_PROBE_PREFIX}{lease.slot}"),
                    "lessee": {"S": lease.owner},
                    "until_ms": _number(lease.until_ms),
                    "expires_at": _number(lease.until_ms // 1000 + COUNTS_KEPT_SECONDS),
                },
                # Nobody has it, or who had it is gone, or the answer that it is the owner's was lost.
                ConditionExpression="attribute_not_exists(pk) OR until_ms <= :now OR lessee = :lessee",
                ExpressionAttributeValues={":now": _number(now_ms), ":lessee": {"S": lease.owner}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refusal:
            item: dict[str, Any] = refusal.response["Item"]  # type: ignore[typeddict-item]
            return int(item["until_ms"]["N"])
        return None

    def _return_probe(self, circuit: str, slot: int, owner: str) -> None:
        try:
            self._client.delete_item(
                TableName=self._table,
                Key=_key(circuit, f"{_PROBE_PREFIX}{slot}"),
                # It has not expired and been given to another since.
                ConditionExpression="lessee = :lessee",
                ExpressionAttributeValues={":lessee": {"S": owner}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _probes(self, circuit: str) -> list[ProbeLease]:
        items = self._query(PARTITION_PREFIX + circuit, _PROBE_PREFIX, f"{_PROBE_PREFIX}~", consistent=True)
        found = [
            ProbeLease(
                int(item["sk"]["S"].removeprefix(_PROBE_PREFIX)), item["lessee"]["S"], int(item["until_ms"]["N"])
            )
            for item in items
        ]
        return sorted(found, key=lambda lease: lease.slot)

    def _names(self) -> list[str]:
        return [item["sk"]["S"] for item in self._query(NAMES_PARTITION, " ", "~", consistent=False)]

    def _query(self, partition: str, first: str, last: str, *, consistent: bool) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :partition AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":partition": {"S": partition},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            "ConsistentRead": consistent,
        }
        while True:
            page = self._client.query(**request)
            items.extend(page["Items"])
            if "LastEvaluatedKey" not in page:
                return items
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _to_item(record: CircuitRecord) -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: {"S": str(value)} if name in _TEXTS else _number(value) for name, value in values.items()}


def _from_item(item: dict[str, Any]) -> CircuitRecord:
    found: dict[str, Any] = {}
    try:
        for field in fields(CircuitRecord):
            if field.name in item:  # else of a version before it: the default
                kind = _TEXTS.get(field.name)
                found[field.name] = kind(item[field.name]["S"]) if kind else int(item[field.name]["N"])
    except ValueError as error:
        # A state that only a later version of this code knows must not stop the calls of this one.
        raise StoreUnavailableError("the circuit is of a later version", code="circuits_unavailable") from error
    return CircuitRecord(**found)


def _counts(item: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in item.items() if name not in _NOT_COUNTS and "N" in value}


def _key(circuit: str, sort_key: str) -> dict[str, Any]:
    return {"pk": {"S": PARTITION_PREFIX + circuit}, "sk": {"S": sort_key}}


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _answered(call: Callable[[], T]) -> T:
    try:
        return call()
    except (ClientError, BotoCoreError) as error:
        raise StoreUnavailableError("the circuits did not answer", code="circuits_unavailable") from error

"""Entries of the `views` table brought back to what their logs say, for a rebuild of the read model.

An item is compared whole, keys of the indexes included: an entry that says the right thing and is in no list, or in a
wrong one, is not right. Attributes that this version does not know are a later version's and no reason to write.

Failure policy: an error to the caller. What was mended stays mended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flotilla.dynamo.view_items import Item, from_item, key_of, to_item
from flotilla.dynamo.views import KEPT_DAYS
from flotilla.errors import StoreUnavailableError
from flotilla.ports import RunSync
from flotilla.read_model import Entry
from flotilla.retention_ports import Mended, Standing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TRIES = 5
"""Whoever else writes the entry meanwhile has followed its log further; nobody does so often at once."""

_OPTIONAL = (
    "head_hash",
    "session",
    "message",
    "archive_key",
    "next_at_ms",
    "cause",
    "fingerprint",
    "finished_at_ms",
    "expires_at",
    "attention_pk",
    "attention_sk",
    "dead_pk",
    "dead_sk",
    "watch_pk",
    "watch_sk",
    "run",
    "step",
    "spent",
    "run_pk",
    "run_sk",
)
"""Attributes that an entry has or has not; all others it has."""


class DynamoEntryMender:
    """`EntryMender` over the `views` table.

    Args:
        client: A DynamoDB client.
        table: Name of the table.
        run_sync: Runs the client's blocking calls.
        kept_days: How long the archive keeps logs.
    """

    def __init__(self, client: DynamoDBClient, table: str, run_sync: RunSync, *, kept_days: int = KEPT_DAYS) -> None:
        self._client = client
        self._table = table
        self._run_sync = run_sync
        self._kept_days = kept_days

    async def mend(self, entry: Entry, over: Standing | None = None) -> Mended:
        """See `EntryMender.mend`."""
        return await self._run_sync(self._mend, entry, over)

    def _mend(self, entry: Entry, over: Standing | None) -> Mended:
        for _ in range(_TRIES):
            found = self._get(entry)
            there = None if found is None else _standing(found)
            if there is not None and there != over and there.head_seq > entry.head_seq:
                return Mended(stored=False, standing=there)
            wanted = self._wanted(entry, found, there, over)
            now = _standing(wanted)
            if found is not None and _says(found, wanted):
                return Mended(stored=False, standing=now)
            if self._put(wanted, found):
                return Mended(stored=True, standing=now)
        raise StoreUnavailableError("an entry is written again and again", code="views_unavailable")

    def _wanted(self, entry: Entry, found: Item | None, there: Standing | None, over: Standing | None) -> Item:
        if found is None or there is None or there == over or there.head_seq < entry.head_seq:
            return to_item(entry, self._kept_days)
        if entry.archive_key is None and entry.status.terminal:
            entry = replace(entry, archive_key=there.archive_key)
        looked_at_ms = _look_at_ms(found)
        if entry.status.terminal:
            # What is looked after though it has ended (a run's tasks) is so once.
            if entry.look_at_ms is None or looked_at_ms is None:
                return to_item(replace(entry, look_at_ms=None), self._kept_days)
        elif looked_at_ms is None:
            return to_item(entry, self._kept_days)
        item = to_item(replace(entry, look_at_ms=looked_at_ms), self._kept_days)
        return item | {"looks": found["looks"]} if "looks" in found else item

    def _get(self, entry: Entry) -> Item | None:
        try:
            answer = self._client.get_item(
                TableName=self._table,
                Key=key_of(entry.tenant, entry.task_id, entry.created_at_ms),
                ConsistentRead=True,
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error
        return dict(answer["Item"]) if "Item" in answer else None

    def _put(self, item: Item, found: Item | None) -> bool:
        """Store `item` in place of `found`; False where that is not what is there any more."""
        request: dict[str, Any] = {}
        if found is None:
            condition = "attribute_not_exists(pk)"
        else:
            clauses = ["attribute_exists(pk)"]
            values: dict[str, Any] = {}
            # It stands where it was seen, and says of the archive what it said.
            for name in ("head_seq", "archive_key"):
                if name in found:
                    clauses.append(f"{name} = :{name}")
                    values[f":{name}"] = found[name]
                else:
                    clauses.append(f"attribute_not_exists({name})")
            condition = " AND ".join(clauses)
            if values:
                request["ExpressionAttributeValues"] = values
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression=condition, **request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except (ClientError, BotoCoreError) as error:
            raise _unavailable() from error
        return True


def _standing(item: Item) -> Standing:
    try:
        head_seq = int(item["head_seq"]["N"])
    except (KeyError, ValueError):
        head_seq = -1
    return Standing(head_seq, item.get("archive_key", {}).get("S"))


def _look_at_ms(item: Item) -> int | None:
    try:
        return from_item(item).look_at_ms
    except (KeyError, ValueError):
        return None


def _says(found: Item, wanted: Item) -> bool:
    """Whether `found` says all that `wanted` says, and of what an entry can say nothing else."""
    return all(found.get(name) == wanted.get(name) for name in {*wanted, *_OPTIONAL})


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the read model did not answer", code="views_unavailable")
